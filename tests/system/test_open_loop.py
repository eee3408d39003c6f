"""The open-loop sender of `make bench-gateway`, against real servers."""

from __future__ import annotations

import time
from contextlib import contextmanager
from itertools import count
from urllib.parse import urlsplit

import pytest
import uvloop
from bench.gateway.open_loop import Requests, run
from stack import SECRET, Served
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

STALL = 0.5  # seconds


@contextmanager
def served(answer):
    """Serve; `answer` gives the status of the nth request."""
    numbers = count()

    async def take(request):
        await request.body()
        return JSONResponse({}, answer(next(numbers)))

    server = Served(Starlette(routes=[Route("/hooks/blog", take, methods=["POST"])]))
    try:
        yield f"{server.url}/hooks/blog"
    finally:
        server.stop()


def send(url, *, rate=200, seconds=1):
    return uvloop.run(run(url, rate=rate, seconds=seconds, connections=16))


def test_what_waits_behind_a_slow_answer_counts_from_when_it_was_due():
    def stall_once(nth):
        if nth == 20:
            time.sleep(STALL)
        return 202

    with served(stall_once) as url:
        told = send(url)
    assert (told.accepted, told.errors) == (told.due, {})
    assert told.p99_ms > STALL * 1000 / 2  # a closed loop would have sent, and counted, only one or two of them
    assert told.max_ms >= STALL * 1000 * 0.9


def test_every_other_answer_is_an_error():
    with served(lambda nth: 503 if nth % 4 == 0 else 202) as url:
        told = send(url)
    assert told.errors == {"503": 50}
    assert told.accepted == 150


def test_a_server_that_is_not_there_is_said():
    with served(lambda _: 202) as url:
        pass
    with pytest.raises(ConnectionError):
        send(url)


def test_requests_are_distinct_and_signed():
    requests = Requests(urlsplit("http://127.0.0.1:8420/hooks/blog"))
    seen = set()
    for _ in range(3):
        head, _, body = requests.make().partition(b"\r\n\r\n")
        lines = (line.partition(": ") for line in head.decode().splitlines()[1:])
        headers = {name.lower(): value for name, _, value in lines}
        assert int(headers["content-length"]) == len(body) == 1024
        seen.add((headers["webhook-id"], Webhook(SECRET).verify(body, headers)["number"]))
    assert len(seen) == 3
