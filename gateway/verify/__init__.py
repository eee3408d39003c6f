"""Signature schemes as data, and the one verifier over them; no I/O, no clock."""

from __future__ import annotations

from gateway.verify.handshake import Challenge, handshake
from gateway.verify.keys import MOST_SECRETS, Dated, Key, read_keys
from gateway.verify.request import request_url
from gateway.verify.scheme import Handshake, Scheme, template
from gateway.verify.schemes import SCHEMES
from gateway.verify.sign import sign
from gateway.verify.verifier import Verified, verify, verify_dummy

__all__ = [
    "MOST_SECRETS",
    "SCHEMES",
    "Challenge",
    "Dated",
    "Handshake",
    "Key",
    "Scheme",
    "Verified",
    "handshake",
    "read_keys",
    "request_url",
    "sign",
    "template",
    "verify",
    "verify_dummy",
]
