"""Signature schemes as data, and the one verifier over them; no I/O, no clock."""

from __future__ import annotations

from gateway.verify.keys import read_keys
from gateway.verify.scheme import Handshake, Scheme, template
from gateway.verify.schemes import SCHEMES
from gateway.verify.sign import sign
from gateway.verify.verifier import Challenge, Verified, verify, verify_dummy

__all__ = [
    "SCHEMES",
    "Challenge",
    "Handshake",
    "Scheme",
    "Verified",
    "read_keys",
    "sign",
    "template",
    "verify",
    "verify_dummy",
]
