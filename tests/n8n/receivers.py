"""What notifications reach: a Slack-compatible stub, a receiver of anything, a feed, and a mail server."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as KeptMail
from stack import Served
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from email.message import Message

    from starlette.requests import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message that came: the channel it came to, its text or whole body, its headers, and when (monotonic)."""

    channel: str
    text: str
    body: dict[str, Any]
    headers: dict[str, str]
    at: float


class Chat:
    """Incoming webhooks as Slack's, a receiver of anything, a feed, a model of 2 s, and a collector of traces.

    https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/; https://opentelemetry.io/docs/specs/otlp/
    `status` is what the next posts are answered with, `delay` the seconds before it.
    """

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.status, self.delay, self.refused = 200, 0.0, 0
        self.feed, self.traces = "", b""
        routes = [
            Route("/services/{channel}", self._receive, methods=["POST"]),
            Route("/feed.xml", self._feed, methods=["GET"]),
            Route("/model", self._think, methods=["POST"]),
            Route("/v1/traces", self._trace, methods=["POST"]),
        ]
        self._served = Served(Starlette(routes=routes))
        self.url = self._served.url

    def channel(self, name: str) -> str:
        return f"{self.url}/services/{name}"

    def texts(self, part: str, *, channel: str | None = None) -> list[str]:
        """The messages with that part in them."""
        return [one.text for one in self.said if part in one.text and channel in (None, one.channel)]

    def counts(self, parts: list[str]) -> Counter[int]:
        """How many of these parts came so many times."""
        texts = [one.text for one in self.said]
        return Counter(sum(part in text for text in texts) for part in parts)

    def stop(self) -> None:
        self._served.stop()

    async def _receive(self, request: Request) -> Response:
        if self.status >= 300:
            self.refused += 1
            return PlainTextResponse("no", status_code=self.status)
        body = await request.json()
        if self.delay:
            await asyncio.sleep(self.delay)
        self.said.append(
            Said(
                channel=request.path_params["channel"],
                text=str(body.get("text", body)),
                body=body,
                headers=dict(request.headers),
                at=time.monotonic(),
            )
        )
        return PlainTextResponse("ok")

    async def _think(self, _: Request) -> Response:
        await asyncio.sleep(2)
        return PlainTextResponse("fine")

    async def _trace(self, request: Request) -> Response:
        self.traces += await request.body()
        return Response(b"", media_type="application/x-protobuf")

    async def _feed(self, _: Request) -> Response:
        return Response(self.feed, media_type="application/rss+xml")


class _Keeper(KeptMail):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Message] = []

    def handle_message(self, message: Message) -> None:
        self.kept.append(message)


class Mailbox:
    """A mail server on a free loopback port that keeps what it is sent; it can be stopped and started."""

    def __init__(self, port: int) -> None:
        self._keeper, self.port = _Keeper(), port
        self.start()

    @property
    def mails(self) -> list[Message]:
        return self._keeper.kept

    def start(self) -> None:
        self._controller = Controller(self._keeper, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop(no_assert=True)
