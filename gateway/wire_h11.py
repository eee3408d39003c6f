"""The public listener's protocol over h11: slower than httptools, and written in Python throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.wire import MOST_HEAD_BYTES, Wire

if TYPE_CHECKING:
    import asyncio

    from uvicorn import Config
    from uvicorn.server import ServerState

MOST_INCOMPLETE = 4 * MOST_HEAD_BYTES  # h11's own bound, behind ours: it would answer 400 where ours says what it is


class Heard(h11.Connection):
    """h11's connection, which tells the protocol where a header block and a request end."""

    def __init__(self, wire: H11Wire) -> None:
        """Take the protocol to tell."""
        super().__init__(h11.SERVER, MOST_INCOMPLETE)
        self._wire = wire

    def next_event(self) -> Any:
        """Give the next event of the request."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._wire.head_ended()
        elif isinstance(event, h11.EndOfMessage):
            self._wire.message_ended()
        return event


class H11Wire(Wire, H11Protocol):
    """The protocol over h11."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Take what uvicorn gives a protocol."""
        super().__init__(config, server_state, app_state, _loop)
        self.conn = Heard(self)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; where it began as a HEAD, h11 lets no text follow the answer's head."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.close()

    def shutdown(self) -> None:
        """Let it end with the server; one that h11 gave up is ending already, and a word to it would raise."""
        if self.conn.our_state is not h11.ERROR:
            super().shutdown()

    def on_response_complete(self) -> None:
        """Go on with the connection, once the request that was answered has ended."""
        if self.cycle.response_complete and self.cycle.more_body:
            self.answered_early()
        super().on_response_complete()
