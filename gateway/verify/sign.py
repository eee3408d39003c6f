"""The sender's side of a scheme, for `hookmill send`, deliveries and tests."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from gateway.errors import EventIdInvalid, Rejection
from gateway.verify.clock import write_time
from gateway.verify.derived import DERIVED
from gateway.verify.keys import Key, read_key
from gateway.verify.message_signatures import write_message
from gateway.verify.parse import signed_bytes
from gateway.verify.public_keys import sign_ed25519
from gateway.verify.request import Request
from gateway.verify.verifier import check_id, check_signed_id, digest

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.verify.scheme import Scheme

Headers = list[tuple[str, str]]
PRIVATE = b"whsk_"


def sign(
    scheme: Scheme,
    secret: bytes,
    body: bytes,
    *,
    now: datetime,
    event_id: str,
    url: str = "",
    method: str = "POST",
) -> Headers:
    """List the headers under which `verify` accepts this body at `now`.

    The id goes where the scheme carries one in a header, else nowhere. Raises ValueError for a secret or an id that
    the scheme cannot carry, and for schemes whose signature stands in the body or needs the provider's private key.
    """
    if scheme.pointer:
        raise ValueError("signature: stands in the body, which is sent as it is")
    key = _signing_key(scheme, secret)
    if scheme.proof == "token":
        return [(scheme.header, scheme.prefix + key.value.decode("ascii")), *_id_headers(scheme, event_id)]
    request = Request(headers=(), body=body, url=url, method=method)
    moment = write_time(now, scheme.timestamp_unit)
    if scheme.read:
        headers, base = write_message(request, created=moment)
        return [*headers, (scheme.header, f"sig=:{_signature(scheme, key, base)}:")]
    signed = signed_bytes(scheme.layouts[0], _fields(scheme, request, event_id=event_id, moment=moment))
    items = [scheme.timestamp_item + moment] if scheme.timestamp_item else []
    signature = scheme.separator.join([*items, key.prefix + _signature(scheme, key, signed)])
    headers = _id_headers(scheme, event_id)
    if scheme.timestamp_header:
        headers.append((scheme.timestamp_header, moment))
    return [*headers, (scheme.header, signature)]


def _signing_key(scheme: Scheme, secret: bytes) -> Key:
    if scheme.public_prefix and secret.startswith(PRIVATE):
        seed = base64.b64decode(secret.removeprefix(PRIVATE), validate=True)[:32]
        return Key(value=seed, proof="ed25519", prefix=scheme.public_prefix)
    key = read_key(scheme, secret)
    if key.public:
        raise ValueError("secret: is a public key; only the provider can sign what it verifies")
    return key


def _fields(scheme: Scheme, request: Request, *, event_id: str, moment: str) -> dict[str, bytes]:
    fields = {"id": event_id.encode(), "timestamp": moment.encode(), "body": request.body}
    try:
        return fields | {name: DERIVED[name](request) for name in scheme.derived}
    except Rejection:
        raise ValueError(f"body: is not what scheme {scheme.name} signs") from None


def _signature(scheme: Scheme, key: Key, signed: bytes) -> str:
    raw = sign_ed25519(key.value, signed) if key.public else digest(scheme, key, signed)
    return raw.hex() if scheme.encoding == "hex" else base64.b64encode(raw).decode()


def _id_headers(scheme: Scheme, event_id: str) -> Headers:
    kind, place = scheme.dedupe_place
    names = dict.fromkeys([*filter(None, [scheme.id_header]), *([place] if kind == "header" else [])])
    try:
        if scheme.id_header:
            check_signed_id(scheme, event_id.encode())
        if names:
            check_id(event_id)
    except EventIdInvalid as error:
        raise ValueError(f"event_id: {error.detail}") from None
    return [(name, event_id) for name in names]
