"""Which header blocks are taken, and the room for bodies."""

from __future__ import annotations

import pytest

from gateway.body import Room, check_headers
from gateway.errors import (
    AmbiguousLength,
    ContentEncodingUnsupported,
    HeaderRepeated,
    HeadersTooLarge,
    Overloaded,
    TransferEncodingUnsupported,
)


@pytest.mark.parametrize(
    ("headers", "rejection"),
    [
        ([(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], AmbiguousLength),
        ([(b"content-length", b"5"), (b"content-length", b"5")], AmbiguousLength),
        ([(b"content-length", b"-1")], AmbiguousLength),
        ([(b"content-length", b"1_0")], AmbiguousLength),
        ([(b"content-length", b"")], AmbiguousLength),
        ([(b"transfer-encoding", b"gzip, chunked")], TransferEncodingUnsupported),
        ([(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], TransferEncodingUnsupported),
        ([(b"transfer-encoding", b"")], TransferEncodingUnsupported),
        ([(b"content-encoding", b"gzip")], ContentEncodingUnsupported),
        ([(b"content-encoding", b"identity"), (b"content-encoding", b"br")], ContentEncodingUnsupported),
        ([(b"content-type", b"a/b"), (b"content-type", b"a/b")], HeaderRepeated),
        ([(b"x", b"1")] * 101, HeadersTooLarge),
        ([(b"x", b"1" * 16384)], HeadersTooLarge),
    ],
)
def test_a_header_block_is_refused(headers, rejection):
    with pytest.raises(rejection):
        check_headers(tuple(headers))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-length", b"5"), (b"content-type", b"application/json")],
        [(b"transfer-encoding", b"Chunked")],
        [(b"content-encoding", b"identity")],
        [(b"x", b"1")] * 100,
    ],
)
def test_a_header_block_is_taken(headers):
    check_headers(tuple(headers))


def test_bodies_that_fill_the_room_together_are_refused():
    room = Room(10)
    room.take(6)
    with pytest.raises(Overloaded):
        room.take(5)
    room.free(6)
    room.take(10)
