"""Framing: which headers and which bodies are taken at all, before anything is hashed or parsed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.errors import (
    AmbiguousLength,
    BodyTimeout,
    ContentEncodingUnsupported,
    ContentTooLarge,
    HeaderRepeated,
    HeadersTooLarge,
    Overloaded,
    TransferEncodingUnsupported,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from starlette.types import Receive

Headers = tuple[tuple[bytes, bytes], ...]

MOST_HEADER_BYTES = 16 * 1024
MOST_HEADER_LINES = 100
LINE_EXTRA = 4  # the colon, the space and the line's end
LONGEST_LENGTH = 15  # digits of a Content-Length worth reading
MOST_ROOM = 256 * 1024 * 1024
WHOLE = "hookmill.whole"  # in a scope: the body, where all of it had arrived when the application was called
ONCE = {
    b"content-length": AmbiguousLength,
    b"transfer-encoding": TransferEncodingUnsupported,
    b"content-encoding": ContentEncodingUnsupported,
    b"host": HeaderRepeated,
    b"content-type": HeaderRepeated,
    b"authorization": HeaderRepeated,
}
"""What may stand once, and what it is to repeat it."""


def values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Give the values of every header line of that (lower-case) name."""
    return [value for key, value in headers if key == name]


def text(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """Give the value of the first header line of that (lower-case) name, stripped; empty if there is none."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1").strip()
    return ""


def check_headers(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse header blocks that are too large, frame the body ambiguously, encode it, or repeat what may stand once."""
    size = sum([len(name) + len(value) + LINE_EXTRA for name, value in headers])
    if size > MOST_HEADER_BYTES or len(headers) > MOST_HEADER_LINES:
        raise HeadersTooLarge
    named = dict(headers)
    length, coding = named.get(b"content-length"), named.get(b"transfer-encoding")
    if length is not None and (coding is not None or not length.isdigit()):
        raise AmbiguousLength
    if coding is not None and coding.strip().lower() != b"chunked":
        raise TransferEncodingUnsupported
    if named.get(b"content-encoding", b"").strip().lower() not in {b"", b"identity"}:
        raise ContentEncodingUnsupported
    if len(named) < len(headers):
        _check_once([name for name, _ in headers])


def _check_once(names: Sequence[bytes]) -> None:
    for name, refusal in ONCE.items():
        if names.count(name) > 1:
            raise refusal


class Room:
    """The memory that bodies being read may take together, so that many large ones cannot exhaust the process."""

    def __init__(self, most: int = MOST_ROOM) -> None:
        """Take the bound, in bytes."""
        self.most = most
        self.used = 0

    def take(self, size: int) -> None:
        """Take that many bytes; raises Overloaded when there is no more room."""
        if self.used + size > self.most:
            raise Overloaded(retry_after=1)
        self.used += size

    def free(self, size: int) -> None:
        """Give them back."""
        self.used -= size


async def read_body(incoming: Receive, headers: Headers, *, most: int, within: timedelta, room: Room) -> bytes:
    """Read a raw body that has not arrived yet.

    Raises ContentTooLarge beyond `most` bytes (before reading, where the length is declared), BodyTimeout where it does
    not end in time or the sender hangs up, Overloaded where the bodies in progress fill the room.
    """
    declared = text(headers, b"content-length")
    if len(declared) > LONGEST_LENGTH or int(declared or 0) > most:
        raise ContentTooLarge
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await _collect(incoming, most=most, room=room)
    except TimeoutError:
        raise BodyTimeout from None


async def _collect(incoming: Receive, *, most: int, room: Room) -> bytes:
    parts, size, more = list[bytes](), 0, True
    try:
        while more:
            message = await incoming()
            if message["type"] == "http.disconnect":
                raise BodyTimeout
            part, more = message.get("body", b""), message.get("more_body", False)
            if size + len(part) > most:
                raise ContentTooLarge
            room.take(len(part))
            size += len(part)
            parts.append(part)
        return b"".join(parts)
    finally:
        room.free(size)
