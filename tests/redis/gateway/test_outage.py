"""What senders are told while Redis is away, slow or full."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta

import pytest
from served import BODY, CONFIG, SECRETS, signed_headers

from gateway.admit import Admitter
from gateway.errors import LedgerUnavailable
from gateway.ledger import Admission, Event, Rules, new_event_id, open_ledger
from otel.records import EventRejected


def test_a_dead_redis_is_a_quick_503_and_the_same_event_is_taken_afterwards(start, own_redis):
    redis = own_redis()
    gateway = start(redis.url)
    headers = signed_headers()
    redis.kill()
    began = time.monotonic()
    refused = gateway.post("demo", BODY, headers)
    assert time.monotonic() - began < 1.5
    assert (refused.status_code, refused.json()["code"]) == (503, "ledger_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert gateway.records[-1] == EventRejected(
        source="demo", code="ledger_unavailable", status=503, took=gateway.records[-1].took
    )
    redis.restart()
    assert gateway.post("demo", BODY, headers).status_code == 202
    assert gateway.post("demo", BODY, headers).status_code == 200


def test_a_redis_that_hangs_is_a_503_within_a_second(start, own_redis):
    redis = own_redis()
    gateway = start(redis.url)
    headers = signed_headers()
    gateway.post("demo", BODY, signed_headers())
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        refused = gateway.post("demo", BODY, headers)
        took = time.monotonic() - began
        assert gateway.get("/live").status_code == 200
        unready = gateway.get("/ready")
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    assert (refused.status_code, refused.json()["code"]) == (503, "ledger_unavailable")
    assert took < 1.5
    assert (unready.status_code, unready.json()["redis"]) == (503, "unreachable")
    assert unready.headers["retry-after"] == "1"
    assert gateway.post("demo", BODY, headers).status_code in {200, 202}
    assert gateway.get("/ready").status_code == 200


def test_without_the_replicas_that_are_waited_for_it_is_unready_and_says_why(start, own_redis, caplog):
    gateway = start(own_redis().url, config=f'[gateway]\nwait_replicas = 1\nwait_timeout = "50ms"\n{CONFIG}')
    refused = gateway.post("demo", BODY, signed_headers())
    unready = gateway.get("/ready")
    assert (refused.status_code, refused.json()["code"]) == (503, "ledger_unavailable")
    assert (unready.status_code, unready.json()["redis"]) == (503, "too few replicas")
    assert "1 events answered 503: 0 of 1 replicas had it in time" in caplog.messages


def test_the_status_of_an_event_is_503_while_redis_is_away(start, own_redis):
    redis = own_redis()
    gateway = start(redis.url)
    location = gateway.post("asker").headers["location"]
    redis.kill()
    response = gateway.get(location)
    assert (response.status_code, response.json()["code"]) == (503, "ledger_unavailable")


def test_a_redis_short_of_memory_is_a_503(start, own_redis):
    gateway = start(own_redis(maxmemory="3mb", maxmemory_policy="noeviction").url)
    body = b'{"a":"' + b"x" * 200_000 + b'"}'
    codes = [gateway.post("other", body, signed_headers(body, secret=SECRETS["other"])) for _ in range(20)]
    assert codes[0].status_code == 202
    assert codes[-1].status_code == 503
    assert codes[-1].json()["code"] == "overloaded"
    assert int(codes[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize("deadline", [0.05, 0.2])
def test_nobody_waits_longer_than_the_deadline(own_redis, deadline):
    redis = own_redis()

    async def wait() -> float:
        ledger = await open_ledger(redis.url)
        admitter = Admitter(ledger, deadline=timedelta(seconds=deadline))
        os.kill(redis.pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.raises(LedgerUnavailable):
                await admitter.admit(make_admission())
            return time.monotonic() - began
        finally:
            os.kill(redis.pid, signal.SIGCONT)
            await admitter.close()
            await ledger.close()

    assert deadline <= asyncio.run(wait()) < deadline + 0.2


def make_admission() -> Admission:
    from gateway.app import utc_now

    now = utc_now()
    event = Event(id=new_event_id(now), source="s", pipeline="p", received_at=now, body=b"{}")
    return Admission(event=event, rules=Rules(source="s", pipeline="p"), nonce=event.id)
