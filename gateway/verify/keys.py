"""Secrets, as configured, to keys. Errors count the secrets, and never show one."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.verify.public_keys import PEM, check_ed25519, read_public

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.verify.scheme import Proof, Scheme

MOST_SECRETS = 8  # a rotation needs two
FORMS = {"hex": "hex", "base64": "base64", "whsec": "base64", "pem": "base64, nor a PEM public key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """A secret that is valid up to `not_after`, that instant included."""

    value: bytes = field(repr=False)
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A secret made ready: what it proves with, and the prefix of the signatures that it may prove."""

    value: bytes = field(repr=False)
    proof: Proof
    prefix: str
    not_after: datetime | None = None

    @property
    def public(self) -> bool:
        """Whether it can verify but not sign."""
        return self.proof in {"ed25519", "ecdsa"}

    def valid(self, now: datetime) -> bool:
        """Tell whether its end, if it has one, is not over."""
        return self.not_after is None or now <= self.not_after


def read_keys(scheme: Scheme, secrets: Sequence[bytes | Dated | Key]) -> list[Key]:
    """List one key per secret, in order; ValueError, of one line, where there is none or one of them is unusable.

    Call it when configuration is loaded: an empty key would let anyone sign, so no request is judged under one. What is
    a Key already stays as it is.
    """
    if not secrets:
        raise ValueError("secrets: at least one is needed")
    if len(secrets) > MOST_SECRETS:
        raise ValueError(f"secrets: at most {MOST_SECRETS} are tried, got {len(secrets)}")
    return [
        secret if isinstance(secret, Key) else _numbered(scheme, secret, number)
        for number, secret in enumerate(secrets, 1)
    ]


def _numbered(scheme: Scheme, secret: bytes | Dated, number: int) -> Key:
    dated = secret if isinstance(secret, Dated) else Dated(value=secret)
    try:
        return read_key(scheme, dated.value, not_after=dated.not_after)
    except ValueError as error:
        # Not chained: the cause may quote the secret.
        raise ValueError(f"secrets: number {number} {error}") from None


def read_key(scheme: Scheme, secret: bytes, *, not_after: datetime | None = None) -> Key:
    """Decode one secret as the scheme wants; ValueError says what is wrong with it, without showing it."""
    if scheme.proof == "token" and (not secret.isascii() or not secret.decode("ascii").isprintable() or b" " in secret):
        raise ValueError("is not visible ASCII, so no header can carry it")
    proof, prefix = _kind(scheme, secret)
    try:
        value = _decode(scheme, secret, proof=proof)
    except ValueError:
        raise ValueError(f"is not {_wanted(scheme, proof)}") from None
    if not value:
        raise ValueError("is empty")
    return Key(value=value, proof=proof, prefix=prefix, not_after=not_after)


def _kind(scheme: Scheme, secret: bytes) -> tuple[Proof, str]:
    """Tell a shared secret from a public key, where a scheme takes both."""
    if scheme.key == "whsec" and secret.startswith((b"whpk_", b"whsk_")):
        if not scheme.public_prefix:
            raise ValueError("is an ed25519 key (whpk_, whsk_); this scheme takes shared secrets (whsec_)")
        if secret.startswith(b"whsk_"):
            raise ValueError("is a private ed25519 key (whsk_), which belongs to the sender; we need its whpk_ half")
        return "ed25519", scheme.public_prefix
    if scheme.key == "pem" and secret.startswith(PEM):
        return "ed25519", scheme.prefix
    return scheme.proof, scheme.prefix


def _decode(scheme: Scheme, secret: bytes, *, proof: Proof) -> bytes:
    if secret and proof in {"ed25519", "ecdsa"}:
        return _decode_public(scheme, secret)
    match scheme.key:
        case "hex":
            return bytes.fromhex(secret.decode("ascii"))
        case "base64" | "pem":
            return base64.b64decode(secret, validate=True)
        case "whsec":
            return base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
        case _:
            return secret


def _decode_public(scheme: Scheme, secret: bytes) -> bytes:
    match scheme.key:
        case "hex":
            return check_ed25519(bytes.fromhex(secret.decode("ascii")))
        case "whsec":
            return check_ed25519(base64.b64decode(secret.removeprefix(b"whpk_"), validate=True))
        case "pem":
            return read_public(secret, proof="ed25519")
        case _:
            return read_public(secret, proof="ecdsa")


def _wanted(scheme: Scheme, proof: Proof) -> str:
    if proof in {"ed25519", "ecdsa"}:
        return f"a public key for {'ECDSA on P-256' if proof == 'ecdsa' else 'ed25519'}"
    return f"valid {FORMS[scheme.key]}"
