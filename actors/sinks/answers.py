"""What a receiver answered, and how much of it may be kept.

The opening of an answer often says what is wrong with a delivery, so it is kept with the delivery, in the ledger, and
for as long. It is content that somebody else wrote: it goes into no log, no span and no error. An answer that repeats a
piece of what was sent, or of what authenticates us, is not kept at all.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from actors.sinks.outgoing import Receipt

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_READ = 4096  # bytes of an answer: enough to reuse its connection
BODY_GRACE = 1.0  # seconds for them, once the status has settled how the delivery ended
MOST_KEPT = 512  # bytes
PIECE, STRIDE = 32, 8  # so an echo of 39 bytes of what was sent is found, and no shorter one than 32
SECRET_PIECE = 8
READABLE = ("text/", "application/json", "application/problem+json")


async def read_receipt(response: httpx.Response, *, sent: bytes, secrets: Sequence[str]) -> Receipt:
    """Make the receipt of an answer, reading no more of it than is needed; it never raises what the network does."""
    opening, size = await _opening(response)
    detail = f"HTTP {response.status_code}, {size}"
    readable = response.headers.get("content-type", "").lower().startswith(READABLE)
    if not readable or "content-encoding" in response.headers:
        return Receipt(status=response.status_code, detail=detail)
    kept = _kept(opening[:MOST_KEPT], sent=sent, secrets=secrets)
    return Receipt(status=response.status_code, detail=detail, answer=kept)


async def _opening(response: httpx.Response) -> tuple[bytes, str]:
    """Give how the body begins, and say how long it is."""
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_GRACE):
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) > MOST_READ:
                    return bytes(read), f"more than {MOST_READ} bytes"
    except (TimeoutError, httpx.HTTPError):
        return bytes(read), f"{len(read)} bytes, then cut off"
    return bytes(read), f"{len(read)} bytes"


def _kept(opening: bytes, *, sent: bytes, secrets: Sequence[str]) -> str:
    echoed = any(opening[at : at + PIECE] in sent for at in range(0, len(opening) - PIECE + 1, STRIDE))
    if echoed or any(_holds(opening, secret.encode()) for secret in secrets):
        return ""
    return opening.decode("utf-8", "replace")


def _holds(opening: bytes, secret: bytes) -> bool:
    """Tell whether a piece of the secret is in it: an echo may be cut short anywhere."""
    most = max(1, len(secret) - SECRET_PIECE + 1)
    return any(secret[at : at + SECRET_PIECE] in opening for at in range(most))
