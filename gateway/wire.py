"""What uvicorn leaves open on a connection, whatever parses it: the size and pace of a header block, and how it ends.

uvicorn has no bound on headers and no deadline for them, lets trailers join the headers (httptools), answers a broken
request twice (h11), and closes a connection on which the sender still writes in a way that can lose our answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.body import WHOLE
from gateway.errors import HeadersTooLarge, Overloaded
from gateway.problem import render

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from uvicorn import Config
    from uvicorn._types import ASGI3Application

HEAD_SECONDS = 10.0
MOST_HEAD_BYTES = 256 * 1024  # a first line and headers; the application refuses far smaller ones in proper form
LINGER_SECONDS = 2.0
MOST_CONNECTIONS = 1000


async def crowded(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a request because there are too many connections, as the application would have said it."""
    reply = render(Overloaded(), headers={"Retry-After": "1", "Connection": "close"})
    await reply(scope, receive, send)


class Lingering:
    """A transport that writes what one turn of the loop gave it in one go: uvicorn writes an answer's head apart.

    Closed while the sender still writes, it ends our side first: a reset would lose the answer.
    """

    def __init__(self, transport: asyncio.Transport, wire: Wire) -> None:
        """Take the transport and the protocol on it."""
        self._transport = transport
        self._wire = wire
        self._held: list[bytes] = []
        self.lingers = False

    def __getattr__(self, name: str) -> Any:
        """Be the transport in everything else."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write when this turn ends, unless this is over: of requests sent together uvicorn tells only one."""
        if self.lingers:
            return
        self._held.append(data)
        if len(self._held) == 1:
            self._wire.loop.call_soon(self._flush)

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))

    def is_closing(self) -> bool:
        """Tell whether this connection is over."""
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """Close, at once or after the sender had its chance to read."""
        self._flush()
        if not self._wire.unread:
            self._transport.close()
        elif not self.is_closing():
            self.lingers = True
            self._transport.write_eof()
            self._transport.resume_reading()
            self._wire.loop.call_later(LINGER_SECONDS, self._transport.close)


class Wire(asyncio.Protocol):
    """The protocol of the public listener, to be mixed into one of uvicorn's."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    config: Config
    connections: set[Any]
    cycle: Any
    app: Any
    limit_concurrency: int | None
    head_bytes = 0
    head_since: float | None = None  # the time of the loop at which a header block began, and has not ended
    head_timer: asyncio.TimerHandle | None = None
    end_timer: asyncio.TimerHandle | None = None
    in_head = True
    scope: Any

    @property
    def unread(self) -> bool:
        """Whether the sender may still be writing the request that was answered."""
        return self.head_bytes > 0 if self.in_head else self.cycle is None or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(cast("asyncio.Transport", Lingering(transport, self)))
        self.limit_concurrency = None  # uvicorn's own refusal is no problem+json and names no time: see below
        self.head_since = self.loop.time()
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self.head_timer is not None:
            self.head_timer.cancel()
        self._stop_end_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what was sent, unless the connection is over or the header block has no end."""
        if self.transport.is_closing():
            return
        if self.in_head:
            self.head_bytes += len(data)
            self.head_since = self.head_since or self.loop.time()
        super().data_received(data)
        if self.in_head and self.head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def head_ended(self) -> None:
        """Go on to the body, and turn the request away where there are too many connections."""
        self.in_head, self.head_since = False, None
        most = self.config.limit_concurrency
        full = most is not None and len(self.connections) > most
        self.app = cast("ASGI3Application", crowded) if full else self.config.loaded_app

    def message_ended(self) -> None:
        """Begin to wait for the next request; of this one, no more will come.

        An application that begins only now finds the body in its scope. One that has begun reads on, and looks no more.
        """
        if self.cycle is not None:  # none after a demand to speak another protocol
            self.scope[WHOLE] = bytes(self.cycle.body)
        self.in_head, self.head_bytes = True, 0
        self._stop_end_timer()

    def answered_early(self) -> None:
        """Give a sender that was answered before its request had ended a while to end it.

        A proxy takes the connection for good, and would lose its next request, another sender's, to one that we close.
        """
        self.end_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, once: not after an answer that has begun, and with no other answer after it."""
        begun = False
        if self.cycle and not self.cycle.response_complete:
            begun = self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if begun:
            self.transport.close()
        else:
            super().send_400_response(msg)  # type: ignore[misc]

    def _watch_head(self) -> None:
        """Look again when the header block that is under way has had its time: one timer, whatever comes meanwhile."""
        now = self.loop.time()
        end = (self.head_since or now) + HEAD_SECONDS
        if end <= now:
            self.transport.abort()
        else:
            self.head_timer = self.loop.call_at(end, self._watch_head)

    def _stop_end_timer(self) -> None:
        if self.end_timer is not None:
            self.end_timer.cancel()
            self.end_timer = None

    def _refuse_head(self) -> None:
        reply = render(HeadersTooLarge(), headers={"Connection": "close"})
        lines = [b"HTTP/1.1 431 Request Header Fields Too Large"]
        lines += [name + b": " + value for name, value in reply.headers]
        self.transport.write(b"\r\n".join([*lines, b"", reply.body]))
        self.transport.close()


class HttptoolsWire(Wire, HttpToolsProtocol):
    """The protocol over httptools: the quick one."""

    def on_headers_complete(self) -> None:
        """Freeze the headers, for a trailer must not join them."""
        self.head_ended()
        self.scope["headers"] = list(self.headers)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        super().on_message_complete()
        self.message_ended()

    def on_response_complete(self) -> None:
        """Go on with the connection, once the request that was answered has ended."""
        if not self.pipeline and self.cycle.response_complete and self.cycle.more_body:
            self.answered_early()
        super().on_response_complete()
