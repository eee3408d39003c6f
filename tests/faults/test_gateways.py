"""Faults of gateways: SIGKILL around the script, replies that are lost, equal events, and senders that insist."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx
import pytest
from faults.proxy import Proxy


@pytest.mark.parametrize(
    ("moment", "fault"),
    [
        ("asked", "kill -9 of a gateway before the script"),
        ("answered", "kill -9 of a gateway after the script"),
        ("replied", "kill -9 of a gateway before its reply leaves"),
    ],
)
def test_a_gateway_killed_at_one_moment(world, play, moment, fault):
    port = world.ports[0]
    front = Proxy(port)
    kills = play.times(short=1, long=20)
    for _ in kills:
        kill = lambda _: world.kill_gateway(port)  # noqa: E731
        if moment == "replied":
            struck = front.strike("POST /hooks", do=kill, when="answered")
        else:
            struck = world.at_gateway.strike(world.digest("admit"), do=kill, when=moment)
        sending = threading.Thread(target=play.send, args=(1,), kwargs={"urls": [front.http_url]})
        sending.start()
        assert struck.wait(10), "it came to that moment"
        killed = time.monotonic()
        world.stand_up()
        sending.join()
        play.recoveries.append(time.monotonic() - killed)
    front.close()
    row = play.check(fault, remark="the sender repeats; recovery is until its 2xx, with a new gateway's start")
    assert row.ambiguous == row.recovered == len(kills)
    assert row.extra_calls == 0


def test_replies_of_redis_to_the_gateways_are_lost(world, play):
    with play.load(rate=10):
        for _ in play.times(short=1, long=10):
            time.sleep(1)
            world.at_gateway.drop_replies()
            time.sleep(3)
            world.at_gateway.heal()
            play.recovered_since(time.monotonic())
    row = play.check("a partition between gateways and Redis in which replies are lost")
    assert row.ambiguous > 0
    assert world.slowest_answer() < 4, "nobody waits for what does not come"
    assert row.extra_calls == 0


def test_the_same_event_fifty_times_at_two_gateways(world, play):
    async def fifty(sent: str) -> None:
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            urls = [f"{world.urls[at % 2]}/hooks/blog" for at in range(50)]
            assert all(await asyncio.gather(*(play.post(client, url, sent, {"number": sent}) for url in urls)))

    rounds = play.times(short=5, long=50)
    for at in rounds:
        sent = f"{play.prefix}{at}"
        play.attempted.append(sent)
        asyncio.run(fifty(sent))
        assert len(play.acknowledged[sent]) == 1, "all fifty are told of the same event"
    row = play.check("the same event 50 times at once, at two gateways")
    assert play.answers == {202: len(rounds), 200: 49 * len(rounds)}
    assert row.extra_calls == 0


def test_senders_that_repeat_at_once_what_was_refused(world, play):
    capacity = 4 / 0.5  # the source's concurrency, and what a call takes
    world.provider.latency = 0.5
    before = len(world.stack.delivered)
    started = time.monotonic()
    with play.load(rate=5 * capacity, source="storm", pause=0.05):
        time.sleep(60 if play.long else 4)
    took = time.monotonic() - started
    goodput = (len(world.stack.delivered) - before) / took / capacity
    row = play.check(
        "a storm of senders at 5 x capacity that repeat at once what was refused",
        remark=f"{play.answers[503]} answers 503; {goodput:.0%} of the capacity went on during the storm",
    )
    assert play.answers[503] > 0
    assert goodput > 0.5, "a storm does not stop the work"
    assert (row.extra_calls, row.dead) == (0, 0)
