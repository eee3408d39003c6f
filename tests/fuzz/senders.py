"""Senders of genuine requests for every scheme, those among them that only a provider can sign."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.verify import SCHEMES, Scheme, sign
from gateway.verify.clock import write_time
from gateway.verify.message_signatures import write_message
from gateway.verify.request import Request

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ALL = tuple(SCHEMES.values())
METHODS = ("POST", "GET", "post", "PUT", "")
WORDS = (
    b"\x00", b"\xff", b"\r\n", b" ", b",", b"=", b";", b".", b":", b"&", b"?", b"%", b'"', b"\\", b"{}", b"null",
    b"v1,", b"v1a,", b"v1=", b"v0=", b"t=", b"t=1,", b"sha256=", b"sha1=", b"Bearer ", b"sig=", b"sig2=:AAAA:, ",
    b'("content-digest")', b";created=1795176000", b";expires=1", b'("@method" "@query-param";name="a")', b"sha-256=:",
    b"1795176000", b"1795176000000", b"2026-11-20T12:00:00Z", b"00" * 32, b"A" * 43 + b"=", b"nan", b"+1", b"1e3",
    b'"id": 1, ', b'{"a":' * 70, b"[" * 2000, b"9" * 5000, b"\\ud800", b":443", b"%2B", b"%ff", b"\xc3\xa9",
    b"v1,A " * 20,
    b"&a" * 1100,
)  # fmt: skip


def seed_of(name: str) -> bytes:
    """Give the 32 bytes that all keys of this sender are made of."""
    return sha256(name.encode()).digest()


def ed25519(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed_of(name))


def p256(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(seed_of(name), "big") >> 1, ec.SECP256R1())


def takes_public(scheme: Scheme) -> bool:
    """Tell whether a scheme takes a public key in place of a shared secret."""
    return bool(scheme.public_prefix) or scheme.key == "pem"


def secret_of(scheme: Scheme, name: str, *, public: bool = False) -> bytes:
    """Give what the gateway is configured with to know this sender."""
    seed, raw = seed_of(name), ed25519(name).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    if scheme.proof == "ecdsa":
        return base64.b64encode(p256(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    if scheme.proof == "ed25519":
        return raw.hex().encode()
    if public and scheme.key == "pem":
        return ed25519(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if public:
        return b"whpk_" + base64.b64encode(raw)
    match scheme.key:
        case "hex":
            return seed.hex().encode()
        case "pem":
            return base64.b64encode(seed)
        case "whsec":
            return b"whsec_" + base64.b64encode(seed)
        case _:
            return b"secret-" + seed.hex().encode()


def signed(
    scheme: Scheme,
    name: str,
    body: bytes,
    *,
    url: str = "",
    method: str = "POST",
    event_id: str = "msg_1",
    public: bool = False,
) -> Request:
    """Sign a body at NOW as this sender; where the proof or the time stands in the body, it becomes a part of it."""
    request = Request(headers=(), body=carrying(scheme, name, body), url=url, method=method)
    if scheme.pointer:
        return request
    if scheme.proof in {"ed25519", "ecdsa"}:
        headers = timed_headers(scheme, name, request.body)
    elif public and scheme.key == "pem":
        headers = message_headers(scheme, name, request)
    else:
        secret = b"whsk_" + base64.b64encode(seed_of(name)) if public else secret_of(scheme, name)
        headers = sign(scheme, secret, request.body, now=NOW, event_id=event_id, url=url, method=method)
    return replace(request, headers=[(name.lower().encode(), value.encode()) for name, value in headers])


def timed_headers(scheme: Scheme, name: str, body: bytes) -> list[tuple[str, str]]:
    """Sign a time and a body as Discord and SendGrid do."""
    moment = write_time(NOW, scheme.timestamp_unit)
    message = moment.encode() + body
    if scheme.proof == "ecdsa":
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        signature = base64.b64encode(p256(name).sign(message, algorithm)).decode()
    else:
        signature = ed25519(name).sign(message).hex()
    return [(scheme.timestamp_header, moment), (scheme.header, signature)]


def message_headers(scheme: Scheme, name: str, request: Request) -> list[tuple[str, str]]:
    """Sign by RFC 9421 with an ed25519 key."""
    headers, base = write_message(request, created=write_time(NOW, scheme.timestamp_unit))
    return [*headers, (scheme.header, f"sig=:{base64.b64encode(ed25519(name).sign(base)).decode()}:")]


def carrying(scheme: Scheme, name: str, body: bytes) -> bytes:
    """Put into a body what a scheme wants inside it."""
    text = json.dumps(body.decode("latin-1"))
    moment = write_time(NOW, scheme.timestamp_unit)
    if scheme.name == "mailgun":
        secret = secret_of(scheme, name)
        mac = hmac.digest(secret, (moment + "tok1").encode(), "sha256").hex()
        proof = json.dumps({"timestamp": moment, "token": "tok1", "signature": mac})
        return f'{{"signature": {proof}, "event-data": {text}}}'.encode()
    if scheme.name == "microsoft-graph":
        return f'{{"value": [{{"clientState": "{secret_of(scheme, name).decode()}", "x": {text}}}]}}'.encode()
    if scheme.timestamp_pointer:
        return f'{{"{scheme.timestamp_pointer[1:]}": {moment}, "x": {text}}}'.encode()
    return body
