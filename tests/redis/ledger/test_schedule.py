"""Nothing that was accepted is stranded: the sweep wakes what is due, and what lost its owner or its wake-up."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio


async def pop(ledger, lane="normal"):
    return await ledger.redis.lpop(key("lane", lane))


async def test_a_waiting_run_is_woken_when_it_is_due_and_not_before(ledger, begun):
    work = await begun()
    await ledger.postpone(work, timedelta(milliseconds=80), reason="503", error_class="transient", counted=True)
    early = await ledger.sweep("tests")
    assert early.woken == 0
    assert timedelta(0) < early.next_due <= timedelta(milliseconds=80)
    assert (await ledger.begin(work.id, fence="early")).outcome == "waiting"
    await asyncio.sleep(0.1)
    assert (await ledger.sweep("tests")).woken == 1
    assert (await pop(ledger)).decode() == work.id
    assert (await ledger.begin(work.id, fence="again")).work.attempts == 1


async def test_a_wake_up_lost_on_the_way_is_given_again_once(ledger, admission):
    (verdict,) = await ledger.admit([admission()])
    await pop(ledger)  # a worker took it and died
    assert (await ledger.sweep("tests")).woken == 0
    await ledger.redis.zadd(key("due"), {verdict.event_id: 1})  # ten seconds later
    assert (await ledger.sweep("tests")).woken == 1
    await ledger.redis.zadd(key("due"), {verdict.event_id: 1})
    assert (await ledger.sweep("tests")).woken == 0, "it is still in its lane"
    assert await ledger.redis.llen(key("lane", "normal")) == 1


async def test_after_an_outage_leases_are_extended_before_anything_is_taken_over(ledger, begun):
    work = await begun()
    await ledger.redis.zadd(key("due"), {work.id: 1})
    await ledger.redis.set(key("swept"), 1)
    sweep = await ledger.sweep("tests")
    assert (sweep.extended, sweep.recovered) == (1, 0)
    assert (await ledger.begin(work.id, fence="second")).outcome == "busy"


async def test_an_outage_delays_no_work_that_waits_and_is_noticed_once(ledger, begun, admission):
    running, waiting = await begun(), await begun()
    (lost,) = await ledger.admit([admission()])
    await pop(ledger)
    await ledger.postpone(waiting, timedelta(0), reason="503")
    await ledger.redis.zadd(key("due"), {running.id: 1, lost.event_id: 1})
    await ledger.redis.set(key("swept"), 1)
    sweep = await ledger.sweep("tests", lease=timedelta(minutes=1))
    assert (sweep.extended, sweep.recovered, sweep.woken) == (1, 0, 2)
    seconds = (await ledger.show(running.id)).lease_until.timestamp() - (await ledger.redis.time())[0]
    assert 50 < seconds <= 61
    await ledger.redis.zadd(key("due"), {running.id: 1})
    sweep = await ledger.sweep("tests")
    assert (sweep.extended, sweep.recovered) == (0, 1), "it swept a moment ago"
    assert 80_000 < await ledger.redis.ttl(key("swept")) <= 86_400


async def test_a_run_whose_owner_is_silent_is_queued_and_keeps_its_fence(ledger, begun):
    work = await begun()
    before = (await ledger.show(work.id)).updated_at
    await asyncio.sleep(0.003)
    await ledger.redis.zadd(key("due"), {work.id: 1})
    assert (await ledger.sweep("tests")).recovered == 1
    view = await ledger.show(work.id)
    assert (view.state, view.lives) == ("queued", 1)
    assert view.updated_at > before
    assert (await ledger.sweep("tests")).next_due > timedelta(seconds=5)
    await ledger.redis.zadd(key("due"), {work.id: 1})
    assert (await ledger.sweep("tests")).recovered == 0, "it is queued already"


async def test_what_is_over_or_gone_leaves_the_schedule(ledger, begun):
    work = await begun()
    await ledger.finish(work, "done")
    await ledger.redis.zadd(key("due"), {work.id: 1, "evt_gone": 1})
    sweep = await ledger.sweep("tests")
    assert (sweep.woken, sweep.recovered, sweep.next_due) == (0, 0, None)
    assert await pop(ledger) is None


async def test_a_sweep_looks_at_two_hundred_and_says_when_more_is_due(ledger):
    await ledger.redis.zadd(key("due"), {f"evt_{number}": number for number in range(1, 251)})
    assert (await ledger.sweep("tests")).next_due == timedelta(0)
    assert await ledger.redis.zcard(key("due")) == 50
    assert (await ledger.sweep("tests")).next_due is None


async def test_the_next_to_come_due_is_the_first_of_many(ledger, begun):
    for minutes in (3, 1, 2):
        await ledger.postpone(await begun(), timedelta(minutes=minutes), reason="503")
    assert timedelta(seconds=50) < (await ledger.sweep("tests")).next_due <= timedelta(minutes=1)


async def test_what_is_due_goes_before_what_is_new_but_within_the_cap(ledger, admission):
    first, second, third = await ledger.admit([admission(concurrency=1) for _ in range(3)])
    work = (await ledger.begin(first.event_id, fence="f")).work
    await ledger.postpone(work, timedelta(0), reason="503", counted=True)
    other = (await ledger.begin(second.event_id, fence="f")).work
    await ledger.sweep("tests")
    assert (await ledger.begin(first.event_id, fence="f")).outcome == "waiting"
    await ledger.finish(other, "done")
    assert (await ledger.begin(first.event_id, fence="g")).outcome == "start"
    assert (await ledger.begin(third.event_id, fence="g")).outcome == "waiting"


async def test_many_sweepers_wake_a_run_once(ledger, begun):
    work = await begun()
    await ledger.postpone(work, timedelta(0), reason="due")
    sweeps = await asyncio.gather(*(ledger.sweep("tests") for _ in range(20)))
    assert sum(sweep.woken for sweep in sweeps) == 1
    assert await ledger.redis.llen(key("lane", "normal")) == 1


async def test_the_list_of_events_shrinks_as_fast_as_events_expire(ledger):
    await ledger.redis.zadd(key("index"), {f"evt_{number}": number for number in range(900)})
    await ledger.sweep("tests")
    assert await ledger.redis.zcard(key("index")) < 20


async def test_the_lists_keep_what_is_there(ledger, begun, admission):
    await ledger.admit([admission() for _ in range(5)])
    letter = await begun()
    await ledger.bury(letter, reason="bad", error_class="permanent")
    await ledger.sweep("tests")
    assert await ledger.redis.zcard(key("index")) == 6
    assert await ledger.redis.zcard(key("dead")) == 1


async def test_the_lists_forget_what_has_reached_its_ttl(ledger, begun):
    work = await begun()
    await ledger.bury(work, reason="bad", error_class="permanent")
    await ledger.redis.delete(key("work", work.id))
    await ledger.sweep("tests")
    assert await ledger.redis.zcard(key("index")) == 0
    assert await ledger.redis.zcard(key("dead")) == 0


async def test_who_sweeps_is_seen_until_it_retires(ledger):
    await ledger.sweep("here-1")
    await ledger.sweep("here-2")
    await ledger.retire("here-1")
    seconds, _ = await ledger.redis.time()
    await ledger.redis.zadd(key("workers"), {"here-3": (seconds - 70) * 1000, "here-4": (seconds - 45) * 1000})
    await ledger.sweep("here-2")
    assert await ledger.redis.zrem(key("workers"), "here-4") == 1
    assert await ledger.redis.zscore(key("workers"), "here-3") is None, "unseen for a minute"
    ((name, ago),) = (await ledger.stats()).workers.items()
    assert name == "here-2"
    assert 0 <= ago < 5
