"""A candidate never sees more calls at once than it allows, and none while its circuit is open."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from programs import PATIENT

from gateway.ledger import CircuitRule, Ended, Way, open_ledger
from gateway.ledger.keys import key
from gateway.ledger.slots import Grant

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=5)
SECOND = timedelta(seconds=1)
RULE = CircuitRule(
    failures=3, window=timedelta(seconds=60), open_for=timedelta(milliseconds=80), ramp=timedelta(milliseconds=1)
)


def way(name="gpt", *, limit=2, pool="gpt", circuit=RULE, **limits):
    return Way(name=name, pool=pool, concurrent=limit, circuit=circuit, **limits)


def acquire(ledger, token, *, lease=LEASE, tokens=0, **over):
    return ledger.slots.acquire(way(**over), token=token, lease=lease, tokens=tokens)


def release(ledger, token, outcome="ok", took=SECOND, *, entry="", rest=timedelta(0), used=None, sent=True, **over):
    ended = Ended(outcome=outcome, took=took, tokens=used, sent=sent, rest=rest)
    return ledger.slots.release(way(**over), token=token, entry=entry, ended=ended)


async def test_no_more_than_the_limit_is_granted_at_once_fleet_wide(redis_url):
    workers = [await open_ledger(redis_url, deadline=PATIENT) for _ in range(3)]
    grants = await asyncio.gather(*(acquire(workers[at % 3], str(at), limit=7) for at in range(30)))
    assert sorted(grant.state for grant in grants) == ["granted"] * 7 + ["wait"] * 23
    for worker in workers:
        await worker.close()


async def test_each_waiter_is_given_its_own_time(ledger):
    for token in "ab":
        await acquire(ledger, token)
    waits = [(await acquire(ledger, token)).after for token in "cdef"]
    assert waits == [timedelta(seconds=at) for at in (1, 2, 3, 4)], "two slots, and a call is taken to last 2 s"


async def test_a_waiter_that_asks_again_keeps_its_place_and_what_calls_take_is_learned(ledger):
    await release(ledger, "before", took=timedelta(milliseconds=200))
    for token in "ab":
        await acquire(ledger, token)
    waits = [(await acquire(ledger, token)).after for token in "cde"]
    await asyncio.sleep(0.35)
    waits += [(await acquire(ledger, token)).after for token in "cc"]
    assert waits == [timedelta(milliseconds=100 * at) for at in (1, 2, 3, 1, 1)]
    await release(ledger, "before", took=timedelta(milliseconds=700))
    await release(ledger, "before", "neutral", took=timedelta(hours=1))
    assert (await acquire(ledger, "c")).after == timedelta(milliseconds=150), "a fifth of 700 and four fifths of 200"


async def test_who_is_granted_leaves_the_queue(ledger):
    await acquire(ledger, "a", limit=1)
    for token in "bc":
        await acquire(ledger, token, limit=1)
    await release(ledger, "a")
    assert await acquire(ledger, "b", limit=1) == Grant(state="granted", after=timedelta(0), probe=False)
    assert (await acquire(ledger, "c", limit=1)).after == SECOND, "it is the first now"
    (view,) = (await ledger.stats()).candidates
    assert (view.in_flight, view.waiting) == (1, 1)


async def test_a_waiter_that_does_not_come_back_loses_its_place_ten_seconds_after_its_time(ledger):
    await acquire(ledger, "a", limit=1)
    await acquire(ledger, "b", limit=1)
    ((_, until),) = await ledger.redis.zrange(key("waiters", "gpt"), 0, -1, withscores=True)
    seconds, _ = await ledger.redis.time()
    assert 9 < until / 1000 - seconds <= 13, "it was to come after 2 s"
    assert 15 < await ledger.redis.ttl(key("waiters", "gpt")) <= 22
    await ledger.redis.zadd(key("waiters", "gpt"), {"b": 1})
    assert (await acquire(ledger, "c", limit=1)).after == 2 * SECOND


async def test_what_is_kept_of_the_calls_has_an_end(ledger):
    await acquire(ledger, "a")
    rule = CircuitRule(failures=1, window=SECOND, open_for=timedelta(hours=1))
    await release(ledger, "b", "failed", circuit=rule)
    assert 45 < await ledger.redis.ttl(key("slots", "gpt")) <= 65
    assert 80_000 + 3600 < await ledger.redis.ttl(key("circuit", "gpt")) <= 86_401 + 3600


async def kept(ledger):
    return {name.decode() for name in await ledger.redis.hkeys(key("circuit", "gpt"))}


async def test_each_outcome_leaves_of_the_circuit_what_it_should(ledger):
    await release(ledger, "a", "failed")
    assert await kept(ledger) == {"failures", "since"}
    await release(ledger, "a", "ok")
    assert await kept(ledger) == set()
    for token in "abc":
        await release(ledger, token, "failed")
    opened = {"open_until", "opened"}
    assert await kept(ledger) == opened
    await asyncio.sleep(0.09)
    for outcome, left in (("neutral", opened), ("ok", {"opened", "ramp_from", "ramp_until"})):
        await acquire(ledger, "e")
        assert await kept(ledger) == opened | {"probe", "probe_until"}
        await release(ledger, "e", outcome)
        assert await kept(ledger) == left


async def test_a_released_slot_is_free_at_once(ledger):
    for token in "ab":
        await acquire(ledger, token)
    await release(ledger, "a")
    assert (await acquire(ledger, "c")).state == "granted"


async def test_the_slot_of_a_caller_that_died_is_free_when_its_lease_ends(ledger):
    await acquire(ledger, "a", limit=1, lease=timedelta(milliseconds=50))
    assert (await acquire(ledger, "b", limit=1)).state == "wait"
    await asyncio.sleep(0.06)
    assert (await acquire(ledger, "b", limit=1)).state == "granted"


async def test_asking_again_under_the_same_token_takes_no_second_slot(ledger):
    await acquire(ledger, "a")
    await acquire(ledger, "a")
    assert (await acquire(ledger, "b")).state == "granted"


async def test_without_a_limit_every_call_is_granted(ledger):
    assert {(await acquire(ledger, str(at), limit=None)).state for at in range(50)} == {"granted"}


async def test_failures_in_a_row_open_the_circuit_and_one_probe_closes_it(ledger):
    opened = [await release(ledger, token, "failed") for token in "abc"]
    assert opened == [False, False, True]
    refused = await acquire(ledger, "d")
    assert (refused.state, refused.probe) == ("open", False)
    assert timedelta(0) < refused.after <= RULE.open_for
    assert (await ledger.stats()).candidates[0].opened == 1
    await asyncio.sleep(0.09)
    probe, other = await acquire(ledger, "e"), await acquire(ledger, "f")
    assert (probe.state, probe.probe, other.state) == ("granted", True, "open")
    assert RULE.open_for < other.after <= LEASE, "until the probe has told, or its caller is dead"
    assert (await acquire(ledger, "e")).probe, "who probes and asks again goes on"
    await release(ledger, "e")
    assert (await acquire(ledger, "f")).state == "granted"


async def test_a_failed_probe_opens_it_again(ledger):
    for token in "abc":
        await release(ledger, token, "failed")
    await asyncio.sleep(0.09)
    await acquire(ledger, "e")
    assert await release(ledger, "e", "failed")
    assert (await acquire(ledger, "f")).state == "open"
    await asyncio.sleep(0.09)
    assert (await acquire(ledger, "g")).probe, "the failed one is not waited for"


async def test_a_probe_that_fails_is_told_once(ledger):
    for token in "abc":
        await release(ledger, token, "failed")
    await asyncio.sleep(0.09)
    await acquire(ledger, "e")
    assert [await release(ledger, "e", "failed") for _ in range(2)] == [True, False]


async def test_failures_further_apart_than_the_window_are_not_counted_together(ledger):
    rule = CircuitRule(failures=2, window=timedelta(milliseconds=50), open_for=timedelta(hours=1))
    for token in "ab":
        assert not await release(ledger, token, "failed", circuit=rule)
        await asyncio.sleep(0.06)


async def test_the_failure_of_a_call_that_was_no_probe_is_one_of_many(ledger):
    for token in "ab":
        await acquire(ledger, token)
        assert not await release(ledger, token, "failed")
    assert await release(ledger, "c", "failed")


async def test_failures_that_fall_in_no_one_window_open_nothing(ledger):
    opened = [await release(ledger, token, "failed") for token in "ab"]
    await ledger.redis.hset(key("circuit", "gpt"), "since", 1)  # the window is long over
    opened += [await release(ledger, token, "failed") for token in "cde"]
    assert opened == [False, False, False, False, True]


async def test_an_outcome_of_a_call_that_was_no_probe_leaves_the_probe_alone(ledger):
    for token in "abc":
        await release(ledger, token, "failed")
    await asyncio.sleep(0.09)
    assert (await acquire(ledger, "e")).probe
    await release(ledger, "late", "neutral")
    await release(ledger, "late", "ok")
    assert (await acquire(ledger, "f")).state == "open"


async def test_an_opened_circuit_counts_its_failures_anew(ledger):
    await acquire(ledger, "a")
    for token in "abc":
        await release(ledger, token, "failed")
    assert [await release(ledger, token, "failed") for token in "def"] == [False, False, True]
    assert (await ledger.stats()).candidates[0].opened == 2


async def test_a_slot_that_is_not_given_back_wakes_nobody(ledger, begun):
    work = await begun()
    await acquire(ledger, "holder", limit=1)
    await acquire(ledger, f"{work.id} ask", limit=1)
    await ledger.postpone(work, SECOND * 60, reason="waits for a slot")
    await release(ledger, "another")
    assert (await ledger.show(work.id)).state == "waiting"


async def test_waiters_that_are_awake_are_passed_over_but_not_past_a_dozen(ledger, begun):
    for awake, woken in ((11, "queued"), (12, "waiting")):
        await ledger.redis.delete(key("waiters", "gpt"), key("slots", "gpt"))
        work = await begun()
        await acquire(ledger, "holder", limit=1)
        for number in range(awake):
            await acquire(ledger, f"evt_{number} ask", limit=1)
        await acquire(ledger, f"{work.id} ask", limit=1)
        await ledger.postpone(work, SECOND * 600, reason="waits for a slot")
        await release(ledger, "holder")
        assert (await ledger.show(work.id)).state == woken


async def test_a_neutral_outcome_says_nothing_of_health_and_frees_the_probe(ledger):
    for token in "abc":
        await release(ledger, token, "failed")
    await asyncio.sleep(0.09)
    await acquire(ledger, "e")
    await release(ledger, "e", "neutral")
    assert (await acquire(ledger, "f")).probe


async def test_a_success_between_failures_starts_the_count_anew(ledger):
    opened = [await release(ledger, "t", outcome) for outcome in ("failed", "failed", "ok", "failed", "failed")]
    assert opened == [False] * 5


async def test_a_slot_given_back_wakes_the_first_run_that_is_suspended_for_one(ledger, begun):
    first, second = await begun(), await begun()
    await acquire(ledger, "holder", limit=1)
    for work in (first, second):
        waits = (await acquire(ledger, f"{work.id} ask", limit=1)).after
        await ledger.postpone(work, waits + SECOND * 60, reason="waits for a slot")
    await release(ledger, "holder")
    assert [(await ledger.show(work.id)).state for work in (first, second)] == ["queued", "waiting"]
    assert (await ledger.begin(first.id, fence="again")).outcome == "start"
    assert (await acquire(ledger, f"{first.id} ask", limit=1)).state == "granted"


async def test_a_slot_given_back_twice_wakes_only_one(ledger, begun):
    first, second = await begun(), await begun()
    await acquire(ledger, "holder", limit=1)
    for work in (first, second):
        await acquire(ledger, f"{work.id} ask", limit=1)
        await ledger.postpone(work, SECOND * 60, reason="waits for a slot")
    await release(ledger, "holder")
    await release(ledger, "holder")
    assert [(await ledger.show(work.id)).state for work in (first, second)] == ["queued", "waiting"]
