"""Secrets, as configured, to keys. Errors count the secrets, and never show one."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.verify.scheme import Scheme


def read_keys(scheme: Scheme, secrets: Sequence[bytes]) -> list[bytes]:
    """List one key per secret, in order; ValueError, of one line, where there is none or one of them is unusable.

    Call it when configuration is loaded: an empty key would let anyone sign, so no request is judged under one.
    """
    if not secrets:
        raise ValueError("secrets: at least one is needed")
    keys = []
    for number, secret in enumerate(secrets, 1):
        try:
            keys.append(read_key(scheme, secret))
        except ValueError as error:
            # Not chained: the cause may quote the secret.
            raise ValueError(f"secrets: number {number} {error}") from None
    return keys


def read_key(scheme: Scheme, secret: bytes) -> bytes:
    """Decode one secret as the scheme wants; ValueError says what is wrong with it, without showing it."""
    if scheme.proof == "token" and (not secret.isascii() or not secret.decode("ascii").isprintable() or b" " in secret):
        raise ValueError("is not visible ASCII, so no header can carry it")
    if scheme.key == "whsec" and secret.startswith((b"whpk_", b"whsk_")):
        raise ValueError("is an ed25519 key (whpk_, whsk_); this scheme takes shared secrets (whsec_)")
    try:
        key = _decode(scheme, secret)
    except ValueError:
        raise ValueError(f"is not valid {'hex' if scheme.key == 'hex' else 'base64'}") from None
    if not key:
        raise ValueError("is empty")
    return key


def _decode(scheme: Scheme, secret: bytes) -> bytes:
    match scheme.key:
        case "raw":
            return secret
        case "hex":
            return bytes.fromhex(secret.decode("ascii"))
        case "base64":
            return base64.b64decode(secret, validate=True)
        case "whsec":
            return base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
