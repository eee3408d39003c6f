"""The sender's side of a scheme, for `hookmill send`, deliveries and tests."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from gateway.errors import EventIdInvalid
from gateway.verify.keys import read_key
from gateway.verify.parse import signed_parts
from gateway.verify.verifier import check_id, check_signed_id, mac

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.verify.scheme import Scheme


def sign(scheme: Scheme, secret: bytes, body: bytes, *, now: datetime, event_id: str) -> list[tuple[str, str]]:
    """List the headers under which `verify` accepts this body at `now`.

    The id goes where the scheme carries one in a header, else nowhere. Raises ValueError for a secret or an id that
    the scheme cannot carry.
    """
    key = read_key(scheme, secret)
    if scheme.proof == "token":
        return [(scheme.header, scheme.prefix + key.decode("ascii")), *_id_headers(scheme, event_id)]
    moment = _moment(scheme, now)
    fields = {"id": event_id.encode(), "timestamp": moment.encode(), "body": body}
    signature = _encode(scheme, mac(scheme, key, signed_parts(scheme, fields)))
    items = [scheme.timestamp_item + moment] if scheme.timestamp_item else []
    headers = _id_headers(scheme, event_id)
    if scheme.timestamp_header:
        headers.append((scheme.timestamp_header, moment))
    return [*headers, (scheme.header, scheme.separator.join([*items, scheme.prefix + signature]))]


def _moment(scheme: Scheme, now: datetime) -> str:
    seconds = now.timestamp()
    return f"{int(seconds * 1000):013d}" if scheme.timestamp_unit == "ms" else f"{int(seconds):010d}"


def _encode(scheme: Scheme, raw: bytes) -> str:
    return raw.hex() if scheme.encoding == "hex" else base64.b64encode(raw).decode()


def _id_headers(scheme: Scheme, event_id: str) -> list[tuple[str, str]]:
    kind, _, place = (scheme.dedupe or "").partition(":")
    names = dict.fromkeys([*filter(None, [scheme.id_header]), *([place] if kind == "header" else [])])
    try:
        if scheme.id_header:
            check_signed_id(scheme, event_id.encode())
        if names:
            check_id(event_id)
    except EventIdInvalid as error:
        raise ValueError(f"event_id: {error.detail}") from None
    return [(name, event_id) for name in names]
