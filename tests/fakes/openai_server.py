"""A real HTTP server that speaks OpenAI's chat-completions protocol and misbehaves as scripted.

    with serve() as fake:
        fake.script("gpt-a", status(500), hang(), says("fine"))     # one reply a call, then `fake.default`
        fake.url                                                    # "http://127.0.0.1:PORT/v1"

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
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """One answer of the server; `delay` in seconds before it, `drip` in seconds between its bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    delay: float = 0.0
    drip: float = 0.0


@dataclass(slots=True, kw_only=True)
class Asked:
    """One call as the server saw it; monotonic seconds; `ended` stays None while it hangs."""

    model: str
    body: dict[str, Any]
    authorization: str
    began: float
    ended: float | None = None
    status: int = 0


def completion(text: str | None, *, finish: str = "stop", usage: bool = True, model: str = "fake-1") -> dict[str, Any]:
    """Make the JSON of a chat completion."""
    counted = {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}} if usage else {}
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": choices} | counted


def says(content: Any, *, finish: str = "stop", usage: bool = True, delay: float = 0.0, drip: float = 0.0) -> Scripted:
    """Answer well: a text, or anything else as JSON text."""
    text = content if isinstance(content, str) else json.dumps(content)
    return Scripted(body=json.dumps(completion(text, finish=finish, usage=usage)).encode(), delay=delay, drip=drip)


def status(
    code: int, *, message: str = "scripted fault", kind: str = "", error_code: str = "", **headers: str
) -> Scripted:
    """Answer with an error in OpenAI's shape; header names with underscores for dashes (`retry_after="2"`)."""
    error = {"message": message, "type": kind or None, "param": None, "code": error_code or None}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(status=code, body=json.dumps({"error": error}).encode(), headers=sent)


def quota() -> Scripted:
    """Answer as OpenAI does when the account has no money left: a 429 that no waiting cures."""
    return status(
        429, message="You exceeded your current quota", kind="insufficient_quota", error_code="insufficient_quota"
    )


def too_long() -> Scripted:
    """Answer that the prompt does not fit the model."""
    text = "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens."
    return status(400, message=text, kind="invalid_request_error", error_code="context_length_exceeded")


def refused() -> Scripted:
    """Answer that the prompt breaks the provider's content policy."""
    text = "Your request was rejected as a result of our safety system. content_policy_violation"
    return status(400, message=text, kind="invalid_request_error", error_code="content_policy_violation")


def no_choices() -> Scripted:
    """Answer 200 with an empty list of choices."""
    return Scripted(body=json.dumps(completion("") | {"choices": []}).encode())


def broken_json() -> Scripted:
    """Answer 200 with JSON that ends in the middle."""
    return Scripted(body=json.dumps(completion("fine")).encode()[:40])


def html(code: int = 200) -> Scripted:
    """Answer as a proxy in between does."""
    return Scripted(status=code, body=b"<html><body>Bad gateway</body></html>", media_type="text/html")


def hang(seconds: float = 3600.0) -> Scripted:
    """Answer nothing for that long."""
    return replace(says("too late"), delay=seconds)


def drip(text: str = "slowly", *, every: float = 0.2) -> Scripted:
    """Answer well, but one byte at a time: every read is in time, the whole is not."""
    return says(text, drip=every)


class FakeOpenAI:
    """The server's state: scripts per model, and what it saw."""

    def __init__(self, *, latency: float = 0.0, limit: int | None = None) -> None:
        self.latency = latency
        self.limit = limit
        self.default: Scripted | Callable[[dict[str, Any]], Scripted] = says("fine")
        self.calls: list[Asked] = []
        self.now_in = 0
        self.most = 0
        self.turned_away = 0
        self.url = ""
        self.scripts: dict[str, deque[Scripted]] = defaultdict(deque)

    def script(self, model: str, *replies: Scripted) -> None:
        """Queue replies for that model; when they are used up, `default` answers."""
        self.scripts[model].extend(replies)

    def asked(self, model: str) -> list[Asked]:
        """Give the calls for that model, in order of arrival."""
        return [call for call in self.calls if call.model == model]

    def app(self) -> Starlette:
        """Make the application."""
        return Starlette(routes=[Route("/v1/chat/completions", self.complete, methods=["POST"])])

    async def complete(self, request: Request) -> Response:
        """Answer one call as scripted, with its time counted as one of those at once."""
        body = await request.json()
        asked = Asked(
            model=body["model"],
            body=body,
            authorization=request.headers.get("authorization", ""),
            began=time.monotonic(),
        )
        self.calls.append(asked)
        self.now_in += 1
        self.most = max(self.most, self.now_in)
        try:
            reply = self._choose(asked)
            await self._sleep(request, self.latency + reply.delay)
        finally:
            self.now_in -= 1
            asked.ended = time.monotonic()
        asked.status = reply.status
        return _respond(reply)

    def _choose(self, asked: Asked) -> Scripted:
        if self.limit is not None and self.now_in > self.limit:
            self.turned_away += 1
            return status(429, message="too many calls at once", retry_after="1")
        if queued := self.scripts[asked.model]:
            return queued.popleft()
        return self.default(asked.body) if callable(self.default) else self.default

    @staticmethod
    async def _sleep(request: Request, seconds: float) -> None:
        """Sleep, but not longer than the caller stays."""
        if seconds < 1:
            await asyncio.sleep(seconds)
            return
        end = time.monotonic() + seconds
        while time.monotonic() < end and not await request.is_disconnected():  # noqa: ASYNC110 - tells no event
            await asyncio.sleep(0.05)


def _respond(reply: Scripted) -> Response:
    if not reply.drip:
        return Response(reply.body, reply.status, reply.headers, reply.media_type)

    async def bytewise() -> AsyncIterator[bytes]:
        for byte in reply.body:
            yield bytes([byte])
            await asyncio.sleep(reply.drip)

    return StreamingResponse(bytewise(), reply.status, reply.headers, reply.media_type)


@contextmanager
def serve(*, latency: float = 0.0, limit: int | None = None) -> Iterator[FakeOpenAI]:
    """Run the server on a free port of 127.0.0.1 until the block ends."""
    fake = FakeOpenAI(latency=latency, limit=limit)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        fake.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
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
