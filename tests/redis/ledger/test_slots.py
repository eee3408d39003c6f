"""A candidate never sees more calls at once than it allows, and none while its circuit is open."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gateway.ledger import CircuitRule, open_ledger

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=5)
SECOND = timedelta(seconds=1)
RULE = CircuitRule(failures=3, window=timedelta(seconds=60), open_for=timedelta(milliseconds=80))


def acquire(ledger, token, *, limit=2, lease=LEASE):
    return ledger.slots.acquire("gpt", token=token, limit=limit, lease=lease)


def release(ledger, token, outcome="ok", took=SECOND):
    return ledger.slots.release("gpt", token=token, outcome=outcome, took=took, circuit=RULE)


async def test_no_more_than_the_limit_is_granted_at_once_fleet_wide(redis_url):
    workers = [await open_ledger(redis_url) for _ in range(3)]
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
    waits = [(await acquire(ledger, token)).after for token in "cdec"]
    assert waits == [timedelta(milliseconds=100 * at) for at in (1, 2, 3, 1)]


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
    assert refused.state == "open"
    assert timedelta(0) < refused.after <= RULE.open_for
    await asyncio.sleep(0.09)
    probe, other = await acquire(ledger, "e"), await acquire(ledger, "f")
    assert (probe.state, probe.probe, other.state) == ("granted", True, "open")
    await release(ledger, "e")
    assert (await acquire(ledger, "f")).state == "granted"


async def test_a_failed_probe_opens_it_again(ledger):
    for token in "abc":
        await release(ledger, token, "failed")
    await asyncio.sleep(0.09)
    await acquire(ledger, "e")
    assert await release(ledger, "e", "failed")
    assert (await acquire(ledger, "f")).state == "open"


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
