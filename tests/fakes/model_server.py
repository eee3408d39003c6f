"""A real HTTP server that speaks the protocols of model providers and misbehaves as scripted.

    with serve() as fake:
        fake.script("gpt-a", status(500), hang(), says("fine"))     # one reply a call, then `fake.default`
        fake.url                                                    # "http://127.0.0.1:PORT/v1", for OpenAI's clients
        fake.base("anthropic")                                      # "http://127.0.0.1:PORT", for that provider's

It runs in a thread with a loop of its own, so a caller may block. `fake.limit` makes it answer 429 above that many
calls at once; `fake.most` tells the most it ever saw at once; `fake.calls` what was asked, in order.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import defaultdict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from fakes.dialects import DIALECTS, Dialect, OpenAI, Said, Words, Wrong
from fakes.streaming import stream
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request


FINE = Said(text="fine")
GEMINI_STREAM = "/v1beta/models/{model}:streamGenerateContent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """One answer of the server: what it says in the protocol of the call, or a `body` of bytes as they are.

    `delay` in seconds before it, `drip` in seconds between its bytes, or the pieces of a stream; `cut` is where its
    bytes (its pieces) end, and the connection `breaks` there.
    """

    answer: Said | Wrong | Callable[[Words], Said | Wrong | None] = FINE
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    delay: float = 0.0
    drip: float = 0.0
    cut: int | None = None
    breaks: bool = False

    def render(self, dialect: Dialect, asked: Asked) -> bytes | list[bytes]:
        """Give the bytes, or pieces, in that protocol; notes the status, and what is billed, in `asked`."""
        asked.status = self.status
        if self.body is not None:
            return self.body
        answer = self.answer(dialect.words) if callable(self.answer) else self.answer
        if answer is None:
            raise LookupError(f"{dialect.prefix} has no such answer")
        if isinstance(answer, Wrong):
            asked.status, said = answer.status, dialect.fail(answer)
        else:
            asked.billed, said = answer.usage, dialect.complete(answer, asked.body)
            if asked.streams:
                return stream(dialect.prefix, answer, asked.body)[: self.cut]
        return json.dumps(said).encode()[: self.cut]


@dataclass(slots=True, kw_only=True)
class Asked:
    """One call as the server saw it; monotonic seconds; `ended` stays None while it hangs.

    `billed` are the tokens read and written of the completion that it made, whether or not they were told or arrived.
    """

    model: str
    body: dict[str, Any]
    key: str
    began: float
    ended: float | None = None
    status: int = 0
    billed: tuple[int, int] | None = None
    streams: bool = False


def says(content: Any, *, finish: str = "stop", usage: bool = True, delay: float = 0.0, drip: float = 0.0) -> Scripted:
    """Answer well: a text, or anything else as JSON text."""
    text = content if isinstance(content, str) else json.dumps(content)
    return Scripted(answer=Said(text=text, finish=finish, tells=usage), delay=delay, drip=drip)


def status(code: int, *, message: str = "scripted fault", **headers: str) -> Scripted:
    """Answer with an error; header names with underscores for dashes (`retry_after="2"`)."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(answer=Wrong(status=code, message=message), headers=sent)


def quota() -> Scripted:
    """Answer as the provider does when the account has no money left, which no waiting cures (OpenAI: a 429)."""
    return Scripted(answer=lambda words: words.quota)


def bad_key() -> Scripted:
    """Answer as the provider does to a key that it does not know (Gemini: a 400)."""
    return Scripted(answer=lambda words: words.bad_key)


def overloaded() -> Scripted:
    """Answer as the provider does when it has more to do than it can (Anthropic: a 529)."""
    return Scripted(answer=lambda words: words.overloaded)


def too_long() -> Scripted:
    """Answer that the prompt does not fit the model, in the provider's words."""
    return Scripted(answer=lambda words: words.too_long)


def refused() -> Scripted:
    """Answer that the prompt breaks the provider's content policy (OpenAI: a 400, others: a 200 without text)."""
    return Scripted(answer=lambda words: words.refused)


def no_choices() -> Scripted:
    """Answer 200 without a choice."""
    return Scripted(answer=Said(text=None))


def broken_json() -> Scripted:
    """Answer 200 with JSON that ends in the middle."""
    return Scripted(cut=40)


def html(code: int = 200) -> Scripted:
    """Answer as a proxy in between does."""
    return Scripted(status=code, body=b"<html><body>Bad gateway</body></html>", media_type="text/html")


def hang(seconds: float = 3600.0) -> Scripted:
    """Answer nothing for that long."""
    return replace(says("too late"), delay=seconds)


def drip(text: str = "slowly", *, every: float = 0.2) -> Scripted:
    """Answer well, but one byte at a time: every read is in time, the whole is not."""
    return says(text, drip=every)


class FakeProvider:
    """The server's state: scripts per model, and what it saw."""

    def __init__(self, *, latency: float = 0.0, limit: int | None = None) -> None:
        self.latency = latency
        self.limit = limit
        self.default: Scripted | Callable[[Asked], Scripted] = says("fine")
        self.calls: list[Asked] = []
        self.now_in = 0
        self.most = 0
        self.turned_away = 0
        self.root = ""
        self.scripts: dict[str, deque[Scripted]] = defaultdict(deque)

    def script(self, model: str, *replies: Scripted) -> None:
        """Queue replies for that model; when they are used up, `default` answers."""
        self.scripts[model].extend(replies)

    @property
    def url(self) -> str:
        """The `api_base` for OpenAI's clients."""
        return self.base(OpenAI.prefix)

    def base(self, provider: str) -> str:
        """Give the `api_base` for that provider, by the prefix of its models in LiteLLM."""
        return self.root + DIALECTS[provider].base

    def asked(self, model: str) -> list[Asked]:
        """Give the calls for that model, in order of arrival."""
        return [call for call in self.calls if call.model == model]

    def app(self) -> Starlette:
        """Make the application."""
        ways = [(one.path, partial(self.complete, one)) for one in DIALECTS.values()]
        ways.append((GEMINI_STREAM, partial(self.complete, DIALECTS["gemini"])))
        return Starlette(routes=[Route(path, way, methods=["POST"]) for path, way in ways])

    async def complete(self, dialect: Dialect, request: Request) -> Response:
        """Answer one call as scripted, with its time counted as one of those at once."""
        began = time.monotonic()
        body = await request.json()
        model, key = dialect.model(body, request.path_params), dialect.key(request.headers)
        streams = bool(body.get("stream")) or "streamGenerateContent" in request.url.path
        asked = Asked(model=model, body=body, key=key, began=began, streams=streams)
        self.calls.append(asked)
        self.now_in += 1
        self.most = max(self.most, self.now_in)
        try:
            reply = self._choose(asked)
            await self._sleep(request, self.latency + reply.delay)
        finally:
            self.now_in -= 1
            asked.ended = time.monotonic()
        if reply.delay and await request.is_disconnected():  # nobody is there to be answered, nor to pay
            return Response(status_code=499)
        content = reply.render(dialect, asked)
        return _respond(reply, asked.status, content)

    def _choose(self, asked: Asked) -> Scripted:
        if self.limit is not None and self.now_in > self.limit:
            self.turned_away += 1
            return status(429, message="too many calls at once", retry_after="1")
        if queued := self.scripts[asked.model]:
            return queued.popleft()
        return self.default(asked) if callable(self.default) else self.default

    @staticmethod
    async def _sleep(request: Request, seconds: float) -> None:
        """Sleep, but not longer than the caller stays."""
        if seconds < 1:
            await asyncio.sleep(seconds)
            return
        end = time.monotonic() + seconds
        while time.monotonic() < end and not await request.is_disconnected():  # noqa: ASYNC110 - tells no event
            await asyncio.sleep(0.05)


def _respond(reply: Scripted, code: int, content: bytes | list[bytes]) -> Response:
    if isinstance(content, bytes) and not reply.drip:
        return Response(content, code, reply.headers, reply.media_type)

    async def piecewise() -> AsyncIterator[bytes]:
        for piece in [bytes([byte]) for byte in content] if isinstance(content, bytes) else content:
            yield piece
            await asyncio.sleep(reply.drip)
        if reply.breaks:
            raise ConnectionAbortedError

    media_type = reply.media_type if isinstance(content, bytes) else "text/event-stream"
    return StreamingResponse(piecewise(), code, reply.headers, media_type)


@contextmanager
def serve(*, latency: float = 0.0, limit: int | None = None) -> Iterator[FakeProvider]:
    """Run the server on a free port of 127.0.0.1 until the block ends."""
    fake = FakeProvider(latency=latency, limit=limit)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        fake.root = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(fake.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield fake
        finally:
            server.should_exit = server.force_exit = True
            thread.join(timeout=5)
