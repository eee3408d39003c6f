"""Reading what a request claims, strictly: its signatures, its time, its id. Nothing here is proven yet."""

from __future__ import annotations

import binascii
from dataclasses import field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gateway.errors import (
    EventIdInvalid,
    HeaderRepeated,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    TimestampMalformed,
)
from gateway.frozen import frozen
from gateway.verify.derived import DERIVED
from gateway.verify.pointer import point_text, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.verify.request import Request
    from gateway.verify.scheme import Encoding, Scheme

MOST_ITEMS = 16  # in one signature header; a rotation needs two


@frozen
class Claim:
    """What a request says of itself, as raw bytes: its signatures, each with its prefix, the signed string's fields."""

    signatures: tuple[tuple[str, bytes], ...] = field(repr=False)  # the text without the prefix
    fields: Mapping[str, bytes] = field(repr=False)
    headers: Mapping[bytes, bytes] = field(repr=False)  # those that decide, by lower-case name


def read_claim(scheme: Scheme, request: Request, prefixes: frozenset[str]) -> Claim:
    """Read what the scheme needs; a header that decides may occur once, signatures of other prefixes are left out."""
    found = pick(request.headers, scheme.deciding)
    document = read_json(request.body) if scheme.pointer else None
    items = _body_items(scheme, document) if scheme.pointer else _header_items(scheme, found)
    signatures = [(prefix, text) for prefix in sorted(prefixes) for text in _after(scheme, prefix, items)]
    if not signatures:
        raise SignatureMalformed
    fields = {"body": request.body}
    for name in scheme.derived:
        fields[name] = DERIVED[name](request)
    if "timestamp" in scheme.fields:
        fields["timestamp"] = _timestamp(scheme, items, found, document)
    if "id" in scheme.fields:
        fields["id"] = _signed_id(scheme, found, document)
    return Claim(signatures=tuple(signatures), fields=fields, headers=found)


def signed_bytes(layout: Sequence[str | bytes], fields: Mapping[str, bytes]) -> bytes:
    """Put a signed string together; a body that is signed alone is not copied."""
    parts = [fields[part] if isinstance(part, str) else part for part in layout]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def decode(text: bytes, encoding: Encoding) -> bytes:
    """Decode hex (of either case) or canonical base64; whatever is neither becomes b"", which equals no MAC."""
    try:
        raw = binascii.a2b_hex(text) if encoding == "hex" else binascii.a2b_base64(text)
    except ValueError:
        return b""
    # One value has many base64 texts, with other unused bits or strange characters; only what an encoder writes counts.
    return raw if encoding == "hex" or binascii.b2a_base64(raw, newline=False) == text else b""


def pick(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> dict[bytes, bytes]:
    """Give those of the headers that are named, by lower-case name; HeaderRepeated where one of them comes twice."""
    found: dict[bytes, bytes] = {}
    for spelled, value in headers:
        name = spelled.lower()
        if name in names:
            if name in found:
                raise HeaderRepeated
            found[name] = value
    return found


@lru_cache(1024)
def header_name(spelled: str) -> bytes:
    """Give a configured header's name as bytes in lower case; remembered, for each request needs it again."""
    return spelled.lower().encode()


def _header_items(scheme: Scheme, found: Mapping[bytes, bytes]) -> list[bytes]:
    values = [value for name in scheme.carriers if (value := found.get(name)) and not value.isspace()]
    if not values:
        raise SignatureMissing
    if not all(map(bytes.isascii, values)):
        raise SignatureInvalid
    return values if not scheme.separator else _split(values[0], scheme.separator)


def _body_items(scheme: Scheme, document: Any) -> list[bytes]:
    text = point_text(document, scheme.pointer)
    if not text:
        raise SignatureMissing
    if not text.isascii():
        raise SignatureInvalid
    return [text.encode()]


def _split(value: bytes, separator: str) -> list[bytes]:
    items = value.split(separator.encode(), MOST_ITEMS)
    if len(items) > MOST_ITEMS:
        raise SignatureMalformed
    return [item.strip(b" ") for item in items]


def _after(scheme: Scheme, prefix: str, items: Sequence[bytes]) -> list[bytes]:
    """List what follows the prefix in each item that has it; RFC 9110 wants "Bearer" in any case."""
    start = prefix.encode()
    if scheme.proof == "token":
        return [item[len(start) :] for item in items if item[: len(start)].lower() == start.lower()]
    return [item[len(start) :] for item in items if item.startswith(start)]


def _timestamp(scheme: Scheme, items: Sequence[bytes], found: Mapping[bytes, bytes], document: Any) -> bytes:
    if scheme.timestamp_header:
        if (value := found.get(header_name(scheme.timestamp_header))) is None:
            raise TimestampMalformed(f"The header {scheme.timestamp_header} is missing.")
        return value
    if scheme.timestamp_pointer:
        return pointed_time(scheme, document)
    start = scheme.timestamp_item.encode()
    times = [item[len(start) :] for item in items if item.startswith(start)]
    if len(times) != 1:
        raise SignatureMalformed
    return times[0]


def pointed_time(scheme: Scheme, document: Any) -> bytes:
    """Read the time that stands in the body, a text or a whole number."""
    text = point_text(document, scheme.timestamp_pointer)
    if text is None:
        raise TimestampMalformed(f"The body has no time at {scheme.timestamp_pointer}.")
    return text.encode("utf-8", "replace")


def _signed_id(scheme: Scheme, found: Mapping[bytes, bytes], document: Any) -> bytes:
    if scheme.id_pointer:
        return (point_text(document, scheme.id_pointer) or "").encode("utf-8", "replace")
    if (value := found.get(header_name(scheme.id_header))) is None:
        raise EventIdInvalid(f"The header {scheme.id_header} is missing.")
    return value
