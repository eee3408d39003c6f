"""Signatures under public keys. `cryptography` costs 10 MB: it is imported only where such a key is configured."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

PEM = b"-----BEGIN PUBLIC KEY-----"


def read_public(text: bytes, *, proof: Literal["ed25519", "ecdsa"]) -> bytes:
    """Decode a public key, PEM or base64 of DER, to DER; ValueError where it is none, or not one for this proof."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    key = _load(text)
    if proof == "ed25519" and isinstance(key, Ed25519PublicKey):
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    if proof == "ecdsa" and isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raise ValueError(f"is not a public key for {proof}")


def check_ed25519(key: bytes) -> bytes:
    """Return the 32 bytes of a key as they are; ValueError where they are no point of the curve."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - as above

    Ed25519PublicKey.from_public_bytes(key)
    return key


def verify_ed25519(key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether an ed25519 signature of 64 bytes holds (RFC 8032)."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_ecdsa(key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether an ECDSA signature over SHA-256, in DER, holds; `key` is what `read_public` gave."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    public = cast("EllipticCurvePublicKey", load_der_public_key(key))
    try:
        public.verify(signature, message, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def sign_ed25519(seed: bytes, message: bytes) -> bytes:
    """Sign with the private half, given by its first 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - as above

    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def _load(text: bytes) -> PublicKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key  # noqa: PLC0415

    try:
        if text.startswith(PEM):
            return load_pem_public_key(text)
        return load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a public key, neither PEM nor base64 of DER") from None
