"""A small OpenAI-compatible server that answers with the local lexicon, and fails now and then as it is told.

    python -m actors.llm.demo_server --port 0 --fail-every 7 --burst-at 40 --burst 6 --latency 0.05

Prints its port as the first line. Faults go by the number of the call, so two equal runs fail alike. `GET /stats`
tells calls, faults and the most calls at once. For demonstrations: it listens on 127.0.0.1 and asks for no key.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from actors.llm import lexicon, local

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

MODEL = "lexicon-demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong, by the number of the call, counted from 1; 0 switches a fault off.

    Every `fail_every`th call is a 500, every `empty_every`th has no choices; `burst` calls from `burst_at` on are 503s;
    above `max_concurrent` calls at once, it answers 429.
    """

    fail_every: int = 0
    empty_every: int = 0
    burst_at: int = 0
    burst: int = 6
    max_concurrent: int = 0
    latency: float = 0.0

    def status(self, number: int, *, now_in: int) -> int:
        """Give the status of that call."""
        if self.max_concurrent and now_in > self.max_concurrent:
            return 429
        if self.burst_at and self.burst_at <= number < self.burst_at + self.burst:
            return 503
        return 500 if self.fail_every and number % self.fail_every == 0 else 200

    def empty(self, number: int) -> bool:
        """Whether that call gets an answer without choices."""
        return bool(self.empty_every) and number % self.empty_every == 0


class Demo:
    """The server's endpoints and what they counted."""

    def __init__(self, faults: Faults) -> None:
        """Take what goes wrong; nothing was called yet."""
        self.faults = faults
        self.calls = self.now_in = self.max_concurrent = 0
        self.statuses: Counter[int] = Counter()

    async def complete(self, request: Request) -> Response:
        """Answer `POST /v1/chat/completions`."""
        body = await request.json()
        self.calls, self.now_in = self.calls + 1, self.now_in + 1
        self.max_concurrent = max(self.max_concurrent, self.now_in)
        number, status = self.calls, self.faults.status(self.calls, now_in=self.now_in)
        try:
            await asyncio.sleep(self.faults.latency if status == 200 else 0)
            answered = _complete(body, number, empty=self.faults.empty(number)) if status == 200 else _error(status)
        finally:
            self.now_in -= 1
        self.statuses[answered.status_code] += 1
        return answered

    async def stats(self, _: Request) -> Response:
        """Answer `GET /stats`."""
        counted = {str(status): count for status, count in sorted(self.statuses.items())}
        return JSONResponse({"calls": self.calls, "max_concurrent": self.max_concurrent, "statuses": counted})


def create_app(faults: Faults) -> Starlette:
    """Make the application."""
    demo = Demo(faults)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", demo.complete, methods=["POST"]),
            Route("/stats", demo.stats),
        ]
    )


def _complete(body: dict[str, Any], number: int, *, empty: bool) -> Response:
    try:
        text = local.reply(body["messages"], body.get("response_format"))
    except lexicon.CannotAnswer as unable:
        return _error(501, str(unable))
    message = {"role": "assistant", "content": text}
    choices = [] if empty else [{"index": 0, "message": message, "finish_reason": "stop"}]
    usage = local.count(body["messages"], text)
    head = {"id": f"chatcmpl-demo-{number}", "object": "chat.completion", "created": 0, "model": MODEL}
    return JSONResponse(head | {"choices": choices, "usage": usage})


def _error(status: int, text: str = "a fault of the demonstration") -> Response:
    headers = {"retry-after": "1"} if status in {429, 503} else None
    error = {"message": text, "type": "demo", "param": None, "code": None}
    return JSONResponse({"error": error}, status, headers)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    given = _parser().parse_args(arguments)
    port = given.__dict__.pop("port")
    lexicon.read("warm")  # its tables load in 0.7 s: before the port is told, not within the first call
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(create_app(Faults(**vars(given))), log_level="error", lifespan="off")
        uvicorn.Server(config).run(sockets=[listening])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m actors.llm.demo_server", description="OpenAI protocol, no model.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one (default)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--fail-every", type=int, default=0, metavar="K", help="every Kth call is a 500")
    parser.add_argument("--empty-every", type=int, default=0, metavar="K", help="every Kth call has no choices")
    parser.add_argument("--burst-at", type=int, default=0, metavar="N", help="503s from call N on")
    parser.add_argument("--burst", type=int, default=6, metavar="N", help="that many of them (6)")
    parser.add_argument("--max-concurrent", type=int, default=0, metavar="N", help="429 above N calls at once")
    return parser


if __name__ == "__main__":
    main()
