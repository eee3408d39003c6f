"""The line in front of a candidate, over real slots: no herd, no idle slot, no slot lost."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from actors.gate import Gate
from gateway.ledger import Ended, Grant, Way, open_ledger
from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def gate(ledger, *, limit=1):
    return Gate(Way(name="gpt", pool="gpt", concurrent=limit), ledger.slots)


async def sleep(after, _reason):
    await asyncio.sleep(after.total_seconds())


def enter(way, token, *, wait=sleep):
    return way.enter(token, timeout=SECOND, wait=wait, reason="waiting for a slot")


def leave(way, token, outcome="ok"):
    return way.leave(token, Grant(state="granted", after=SECOND), Ended(outcome=outcome, took=SECOND))


async def calls_take(ledger, took):
    """Let the ledger learn how long a call takes: so long is the wait of the first in line."""
    await ledger.slots.release(Way(name="gpt", pool="gpt"), token="before", ended=Ended(outcome="ok", took=took))


async def held(ledger):
    return {token.decode() for token in await ledger.redis.zrange(key("slots", "gpt"), 0, -1)}


async def in_line(ledger, count):
    """Wait until so many were told to wait, and their line is at rest."""
    until = time.monotonic() + 5
    while await ledger.redis.zcard(key("waiters", "gpt")) < count:
        assert time.monotonic() < until
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)


async def scripts_run(ledger):
    return (await ledger.redis.info("commandstats"))["cmdstat_evalsha"]["calls"]


async def end(*tasks):
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_those_who_wait_enter_in_the_order_they_came_and_never_more_than_the_limit(ledger):
    way, order, present = gate(ledger), [], []

    async def pass_through(number):
        await enter(way, str(number))
        order.append(number)
        present.append(await held(ledger))
        await leave(way, str(number))

    await calls_take(ledger, MINUTE)
    await enter(way, "first")
    passing = [asyncio.ensure_future(pass_through(number)) for number in range(20)]
    await in_line(ledger, 20)
    await leave(way, "first")
    await asyncio.wait_for(asyncio.gather(*passing), 10)
    assert order == list(range(20))
    assert present == [{str(number)} for number in range(20)]
    assert await held(ledger) == set()


async def test_a_slot_given_back_is_handed_over_at_once_whatever_the_wait_was(ledger):
    await calls_take(ledger, MINUTE)
    way = gate(ledger)
    await enter(way, "a")
    waiting = asyncio.ensure_future(enter(way, "b"))
    await in_line(ledger, 1)
    await leave(way, "a")
    assert (await asyncio.wait_for(waiting, 5)).state == "granted"


@pytest.mark.parametrize("steps", range(12))
async def test_a_slot_given_back_while_the_head_is_asking_is_not_missed(ledger, steps):
    await calls_take(ledger, MINUTE)
    way = gate(ledger)
    await enter(way, "a")
    waiting = asyncio.ensure_future(enter(way, "b"))
    for _ in range(steps):
        await asyncio.sleep(0)
    await leave(way, "a")
    assert (await asyncio.wait_for(waiting, 5)).state == "granted"


async def test_a_slot_given_back_wakes_only_the_head_of_the_line(ledger):
    await calls_take(ledger, MINUTE)
    way = gate(ledger)
    await enter(way, "a")
    waiting = [asyncio.ensure_future(enter(way, str(number))) for number in range(50)]
    await in_line(ledger, 50)
    before = await scripts_run(ledger)
    await leave(way, "a")
    assert (await asyncio.wait_for(waiting[0], 5)).state == "granted"
    await asyncio.sleep(0.05)
    assert await scripts_run(ledger) - before <= 3, "the release, the head, and the next one that moved up"
    await end(*waiting)


async def test_a_waiter_rests_as_long_as_it_is_told(ledger):
    rested = []

    async def wait(after, reason):
        rested.append((after, reason))
        await asyncio.sleep(60)

    await calls_take(ledger, 30 * SECOND)
    way = gate(ledger)
    await enter(way, "holder")
    waiting = asyncio.ensure_future(enter(way, "a", wait=wait))
    await in_line(ledger, 1)
    assert rested == [(30 * SECOND, "waiting for a slot")]
    await end(waiting)


async def test_who_leaves_the_line_lets_the_next_one_up(ledger):
    await calls_take(ledger, MINUTE)
    way = gate(ledger)
    await enter(way, "a")
    head, second = (asyncio.ensure_future(enter(way, name)) for name in "bc")
    await in_line(ledger, 2)
    await end(head)
    await leave(way, "a")
    assert (await asyncio.wait_for(second, 5)).state == "granted"
    assert head.cancelled()


async def test_a_wait_that_fails_ends_the_waiting(ledger):
    async def refuse(_after, _reason):
        raise TimeoutError("the run is over")

    way = gate(ledger)
    await enter(way, "a")
    with pytest.raises(TimeoutError, match="the run is over"):
        await enter(way, "b", wait=refuse)


async def test_a_cancelled_asker_leaves_no_slot_behind(ledger):
    way = gate(ledger)
    await ledger.redis.client_pause(200)
    asking = asyncio.ensure_future(enter(way, "a"))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await held(ledger) == set()


async def test_an_asker_leaves_no_slot_behind_whenever_it_is_cancelled(ledger):
    way = gate(ledger)
    for steps in range(40):
        asking = asyncio.ensure_future(enter(way, "a"))
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        (granted,) = await asyncio.gather(asking, return_exceptions=True)
        if not asking.cancelled():  # it had its slot already, and goes on
            assert granted.state == "granted"
            await leave(way, "a")
        assert await held(ledger) == set()


async def test_a_slot_is_given_back_also_when_that_is_cancelled(ledger):
    way = gate(ledger)
    await enter(way, "a")
    await ledger.redis.client_pause(200)
    leaving = asyncio.ensure_future(leave(way, "a"))
    await asyncio.sleep(0.05)
    await end(leaving)
    assert leaving.cancelled()
    assert (await asyncio.wait_for(enter(way, "b"), 5)).state == "granted"
    assert await held(ledger) == {"b"}


async def test_a_ledger_that_is_down_does_not_cost_the_answer(own_redis, monkeypatch):
    monkeypatch.setattr("actors.gate.MARGIN", SECOND / 10)
    redis = own_redis()
    ledger = await open_ledger(redis.url)
    way = gate(ledger)
    await enter(way, "a")
    redis.kill()
    await leave(way, "a")
    await ledger.close()


async def test_a_slot_is_given_back_as_soon_as_the_ledger_answers_again(own_redis):
    redis = own_redis(appendfsync="always")
    ledger = await open_ledger(redis.url)
    way = gate(ledger)
    await enter(way, "a")
    redis.kill()
    leaving = asyncio.ensure_future(leave(way, "a"))
    await asyncio.sleep(0.05)
    assert not leaving.done()
    await asyncio.to_thread(redis.restart)
    await asyncio.wait_for(leaving, 10)
    assert await held(ledger) == set()
    await ledger.close()


async def test_without_a_limit_nobody_waits(ledger):
    way = gate(ledger, limit=None)
    began = time.monotonic()
    grants = await asyncio.gather(*(enter(way, str(number)) for number in range(30)))
    assert {grant.state for grant in grants} == {"granted"}
    assert time.monotonic() - began < 2
