"""An answer that is ready to be sent: an ASGI application, as Starlette's responses are, without their cost."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from gateway.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from gateway.ledger import Event, Verdict


@frozen
class Reply:
    """A status, header lines and a body; where it answers to an admission, also its event and verdict."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = field(repr=False)
    event: Event | None = None
    verdict: Verdict | None = None

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def header_lines(body: bytes, media_type: str, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Give the header lines of an answer with that body."""
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return [(b"content-length", b"%d" % len(body)), (b"content-type", media_type.encode()), *lines]
