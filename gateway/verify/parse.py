"""Reading what a request claims, strictly: its signatures, its time, its id. Nothing here is proven yet."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.errors import (
    EventIdInvalid,
    HeaderRepeated,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    TimestampMalformed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.verify.scheme import Encoding, Scheme

MOST_ITEMS = 16  # in one signature header; a rotation needs two


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request says of itself, as raw bytes: its signatures without their prefix, the signed string's fields."""

    signatures: tuple[bytes, ...] = field(repr=False)
    fields: Mapping[str, bytes] = field(repr=False)
    headers: Mapping[bytes, bytes] = field(repr=False)  # those that decide, by lower-case name


def read_claim(scheme: Scheme, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Claim:
    """Read what the scheme needs from the headers, each of which may occur once."""
    found = _pick(headers, scheme.deciding)
    items = _items(scheme, found.get(scheme.header.lower().encode(), b""))
    signatures = _after(scheme.prefix, items, fold=scheme.proof == "token")
    if not signatures:
        raise SignatureMalformed
    fields = {"body": body}
    if scheme.timed:
        fields["timestamp"] = _timestamp(scheme, items, found)
    if scheme.id_header:
        fields["id"] = _signed_id(scheme, found)
    return Claim(signatures=tuple(signatures), fields=fields, headers=found)


def signed_parts(scheme: Scheme, fields: Mapping[str, bytes]) -> list[bytes]:
    """List the signed string's parts in order; the body is not copied."""
    pieces = scheme.pieces
    return [fields[piece] if place % 2 else piece.encode() for place, piece in enumerate(pieces)]


def decode(text: bytes, encoding: Encoding) -> bytes:
    """Decode hex (of either case) or canonical base64; whatever is neither becomes b"", which equals no MAC."""
    try:
        raw = binascii.a2b_hex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    # One value has four base64 texts that differ in unused bits; only the one that an encoder writes counts.
    return raw if encoding == "hex" or base64.b64encode(raw) == text else b""


def read_json(body: bytes) -> Any:
    """Parse a body as JSON in UTF-8; None where it is not."""
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError):
        return None


def point(document: Any, pointer: str) -> Any:
    """Follow a JSON pointer (RFC 6901); None where it leads nowhere."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and re.fullmatch("0|[1-9][0-9]{0,8}", name):
            document = document[int(name)] if int(name) < len(document) else None
        else:
            return None
    return document


def _pick(headers: Sequence[tuple[bytes, bytes]], names: frozenset[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for spelled, value in headers:
        name = spelled.lower()
        if name in found:
            raise HeaderRepeated
        if name in names:
            found[name] = value
    return found


def _items(scheme: Scheme, value: bytes) -> list[bytes]:
    if not value.strip():
        raise SignatureMissing
    if not value.isascii():
        raise SignatureInvalid
    if not scheme.separator:
        return [value]
    items = value.split(scheme.separator.encode(), MOST_ITEMS)
    if len(items) > MOST_ITEMS:
        raise SignatureMalformed
    return [item.strip(b" ") for item in items]


def _after(prefix: str, items: Sequence[bytes], *, fold: bool = False) -> list[bytes]:
    """List what follows the prefix in each item that has it; `fold` ignores case, as RFC 9110 wants of "Bearer"."""
    start = prefix.encode()
    same = (lambda text: text.lower() == start.lower()) if fold else start.__eq__
    return [item[len(start) :] for item in items if same(item[: len(start)])]


def _timestamp(scheme: Scheme, items: Sequence[bytes], found: Mapping[bytes, bytes]) -> bytes:
    if scheme.timestamp_header:
        if (value := found.get(scheme.timestamp_header.lower().encode())) is None:
            raise TimestampMalformed(f"The header {scheme.timestamp_header} is missing.")
        return value
    times = _after(scheme.timestamp_item, items)
    if len(times) != 1:
        raise SignatureMalformed
    return times[0]


def _signed_id(scheme: Scheme, found: Mapping[bytes, bytes]) -> bytes:
    if (value := found.get(scheme.id_header.lower().encode())) is None:
        raise EventIdInvalid(f"The header {scheme.id_header} is missing.")
    return value
