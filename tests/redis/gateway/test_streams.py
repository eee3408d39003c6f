"""Streams of an event's progress, many of them on one gateway."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from statistics import median
from typing import TYPE_CHECKING

import httpx
import pytest
from served import BODY, CONFIG, PARSERS, TOKEN, free_id, link, put_token, request_bytes, signed_headers

from gateway import streams

if TYPE_CHECKING:
    from gateway.ledger import Ledger

TOOK = '{"name": "redact", "took": 0.1, "at": 1}'
AUTH = {"authorization": f"Bearer {TOKEN}"}


class Reader:
    """One open stream, over a socket of its own."""

    def __init__(self, gateway, event_id, headers=AUTH, path=""):
        self.client = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
        self.client.sendall(request_bytes(path or f"/events/{event_id}/stream", headers, method="GET"))
        self.rest = b""
        self.head = self.until(b"\r\n\r\n").decode("latin-1")

    @property
    def status(self):
        return int(self.head.split()[1])

    def until(self, mark):
        while mark not in self.rest:
            part = self.client.recv(65536)
            if not part:
                raise EOFError(self.rest)
            self.rest += part
        found, _, self.rest = self.rest.partition(mark)
        return found

    def block(self):
        """Read what stands before the next empty line: the lines of one event, comment or retry."""
        return [line for line in self.until(b"\n\n").decode().split("\n") if ":" in line]

    def event(self):
        """Read the next event: its name and what it says."""
        while True:
            fields = dict(line.split(": ", 1) for line in self.block())
            if "data" in fields:
                return fields["event"], json.loads(fields["data"])

    def ended(self):
        """Read to the end of the response, and tell whether nothing but the end was left."""
        return self.until(b"0\r\n\r\n").strip() == b""

    def close(self):
        self.client.close()


@pytest.fixture
def reader(gateway):
    put_token(gateway)
    opened = []

    def begin(*arguments, **named):
        opened.append(Reader(gateway, *arguments, **named))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


@pytest.fixture
def event_id(gateway):
    return accepted(gateway)


def accepted(gateway):
    body = json.dumps({"n": free_id()}).encode()
    return gateway.post("demo", body, signed_headers(body)).json()["event_id"]


def begin(gateway, event_id):
    return gateway.ledger(lambda ledger: ledger.begin(event_id, fence="f")).work


@pytest.mark.parametrize("http", PARSERS)
def test_a_stream_tells_every_state_until_the_end(gateway, reader, event_id):
    stream = reader(event_id)
    assert stream.status == 200
    assert "content-type: text/event-stream" in stream.head.lower()
    assert stream.event() == ("progress", stream_json(event_id, state="queued"))
    work = begin(gateway, event_id)
    kind, told = stream.event()
    assert (kind, told["state"]) == ("progress", "running")
    gateway.ledger(lambda ledger: ledger.checkpoint(work, "redact", output=b"1", took=TOOK, total=2))
    told = stream.event()[1]
    assert (told["step_number"], told["steps_total"], told["percent"]) == (2, 2, 50)
    gateway.ledger(lambda ledger: ledger.finish(work, "done"))
    kind, told = stream.event()
    assert (kind, told["state"], told["percent"]) == ("end", "done", 100)
    assert stream.ended()


def stream_json(event_id, **fields):
    unknown = {"step": "", "step_number": None, "steps_total": None, "percent": None, "reason": "", "error_class": ""}
    return {"id": event_id} | unknown | {"attempts": 0, "due_at": None} | fields


def test_a_signed_link_opens_its_stream_and_no_other(gateway, reader, event_id):
    path = link(event_id).replace("?", "/stream?")
    assert reader(event_id, headers={}, path=path).event()[1]["state"] == "queued"
    other = accepted(gateway)
    assert gateway.get(path.replace(event_id, other)).status_code == 401


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer hm_unknown"}])
def test_a_stream_needs_a_link_or_a_token(gateway, event_id, headers):
    refused = gateway.get(f"/events/{event_id}/stream", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")


def test_there_is_no_stream_of_an_event_that_does_not_exist(gateway):
    put_token(gateway)
    refused = gateway.get("/events/evt_00000000000000000000000000/stream", headers=AUTH)
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


def test_a_reader_that_saw_the_end_is_told_not_to_come_again_unless_it_goes_on(gateway, reader, event_id):
    work = begin(gateway, event_id)
    gateway.ledger(lambda ledger: ledger.bury(work, reason="no", error_class="permanent"))
    assert reader(event_id).event()[0] == "end"
    assert gateway.get(f"/events/{event_id}/stream", headers=AUTH | {"last-event-id": "end"}).status_code == 204
    gateway.ledger(lambda ledger: ledger.replay(event_id))
    assert reader(event_id, headers=AUTH | {"last-event-id": "end"}).event()[1]["state"] == "queued"


def time_posts(gateway):
    """Give the seconds that each of 50 webhooks took."""
    took = []
    for _ in range(50):
        began = time.monotonic()
        assert gateway.post("demo", BODY, signed_headers()).status_code == 202
        took.append(time.monotonic() - began)
    return took


def test_two_hundred_streams_hear_of_their_events_and_hold_up_no_webhook(gateway, reader):
    events = [accepted(gateway) for _ in range(20)]
    alone = time_posts(gateway)
    opened = [(event_id, reader(event_id)) for event_id in events for _ in range(10)]
    for event_id, stream in opened:
        assert stream.event()[1] == stream_json(event_id, state="queued")
    before = calls(gateway)
    beside = time_posts(gateway)
    # One read per tick, and one call per webhook.
    assert calls(gateway) - before <= len(beside) + sum(beside) / streams.TICK + 3
    assert median(beside) < 3 * median(alone) + 0.05
    works = [begin(gateway, event_id) for event_id in events]
    gateway.ledger(lambda ledger: finish_all(ledger, works))
    for event_id, stream in opened:
        kind, told = stream.event()
        while kind != "end":
            kind, told = stream.event()
        assert (told["id"], told["state"]) == (event_id, "done")
        assert stream.ended()
    until = time.monotonic() + 5
    while gate_of(gateway).streams.open and time.monotonic() < until:
        time.sleep(0.02)
    assert gate_of(gateway).streams.open == 0


async def finish_all(ledger, works):
    for work in works:
        await ledger.finish(work, "done")


def calls(gateway):
    return gateway.ledger(scripts_run)


async def scripts_run(ledger: Ledger) -> int:
    return (await ledger.redis.info("commandstats")).get("cmdstat_evalsha", {}).get("calls", 0)


def gate_of(gateway):
    return gateway.server.lifespan.state["gate"]


@pytest.fixture
def connect():
    """Open streams on any gateway, which are closed with the test."""
    with contextlib.ExitStack() as opened:
        yield lambda *arguments: opened.enter_context(contextlib.closing(Reader(*arguments)))


def test_a_stream_too_many_is_refused_and_a_place_is_free_again_after_one_closed(start, redis_url, connect):
    gateway = start(redis_url, config="[gateway]\nstreams = 2\n" + CONFIG)
    put_token(gateway)
    event_id = accepted(gateway)
    held = [connect(gateway, event_id) for _ in range(2)]
    refused = gateway.get(f"/events/{event_id}/stream", headers=AUTH)
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert 2 <= int(refused.headers["retry-after"]) <= 6
    assert gateway.post("demo", BODY, signed_headers()).status_code == 202
    held.pop().close()
    until = time.monotonic() + 5
    while gate_of(gateway).streams.open == 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert connect(gateway, event_id).status == 200


def test_a_quiet_stream_gives_signs_of_life_and_at_last_asks_its_reader_to_come_again(
    start, redis_url, monkeypatch, connect
):
    monkeypatch.setattr(streams.Streams.__init__, "__kwdefaults__", {"tick": 0.05, "heartbeat": 0.2, "longest": 0.5})
    gateway = start(redis_url)
    put_token(gateway)
    stream = connect(gateway, accepted(gateway))
    stream.event()
    assert stream.block() == [": waiting"]
    while (lines := stream.block()) == [": waiting"]:
        pass
    assert lines[0].startswith("retry: ")
    assert 1000 <= int(lines[0].split()[1]) <= 5000
    assert stream.ended()


def test_a_question_for_the_head_of_a_stream_holds_no_place(gateway, event_id):
    put_token(gateway)
    answer = httpx.head(f"{gateway.url}/events/{event_id}/stream", headers=AUTH, timeout=5)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    assert gate_of(gateway).streams.open == 0


@pytest.mark.parametrize("http", PARSERS)
def test_streams_end_when_the_gateway_stops_and_tell_when_to_come_again(gateway, reader, event_id):
    opened = [reader(event_id) for _ in range(20)]
    for stream in opened:
        stream.event()
    began = time.monotonic()
    gateway.stop()
    assert time.monotonic() - began < 3
    for stream in opened:
        assert stream.block()[0].startswith("retry: ")
        assert stream.ended()


def test_streams_outlive_a_redis_that_is_away(start, own_redis, connect):
    redis = own_redis()
    gateway = start(redis.url)
    put_token(gateway)
    event_id = accepted(gateway)
    stream = connect(gateway, event_id)
    assert stream.event()[1]["state"] == "queued"
    redis.kill()
    time.sleep(0.6)
    redis.restart()
    begin(gateway, event_id)
    assert stream.event()[1]["state"] == "running"
