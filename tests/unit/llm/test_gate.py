"""The line in front of a candidate: no herd, no idle slot, no slot lost."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from actors.llm.gate import Gate
from gateway.config import Candidate
from gateway.ledger import Grant, LedgerDown

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)
NOTHING = timedelta()


class MemorySlots:
    """A memory twin of gateway.ledger.slots.Slots for one candidate: equal answers, without circuits and leases.

    tests/redis/llm runs the same line against the real ones.
    """

    def __init__(self, *, slow=0.0, after=SECOND / 2):
        self.slow, self.after = slow, after
        self.held: set[str] = set()
        self.most = self.acquired = self.asking = self.most_asking = 0
        self.outcomes: list[str] = []
        self.down = False

    async def acquire(self, _candidate, *, token, limit, **_lease):
        self.acquired, self.asking = self.acquired + 1, self.asking + 1
        self.most_asking = max(self.most_asking, self.asking)
        if limit and len(self.held) >= limit:
            state = "wait"
        else:
            state = "granted"
            self.held.add(token)
        self.most = max(self.most, len(self.held))
        try:
            await asyncio.sleep(self.slow)
        finally:
            self.asking -= 1
        return Grant(state=state, after=self.after if state == "wait" else NOTHING)

    async def release(self, _candidate, *, token, outcome, **_health):
        await asyncio.sleep(self.slow)
        if self.down:
            raise LedgerDown("Redis did not answer (ConnectionError)")
        self.held.discard(token)
        self.outcomes.append(outcome)
        return False


def gate(slots, *, limit=1):
    return Gate(Candidate(name="gpt", model="openai/gpt", max_concurrent=limit), slots)


async def sleep(after, _reason):
    await asyncio.sleep(after.total_seconds())


def enter(way, token, *, wait=sleep):
    return way.enter(token, timeout=SECOND, wait=wait, reason="waiting for a slot")


def leave(way, token, outcome="ok"):
    return way.leave(token, outcome=outcome, took=SECOND)


async def test_they_enter_in_the_order_they_came():
    slots, order = MemorySlots(), []
    way = gate(slots)

    async def pass_through(number):
        await enter(way, str(number))
        order.append(number)
        await asyncio.sleep(0.005)
        await leave(way, str(number))

    await asyncio.gather(*(pass_through(number) for number in range(20)))
    assert (order, slots.most, slots.held) == (list(range(20)), 1, set())


async def test_a_slot_given_back_is_handed_over_at_once_whatever_the_wait_was():
    slots = MemorySlots(after=60 * SECOND)
    way = gate(slots)
    await enter(way, "a")
    began = time.monotonic()
    waiting = asyncio.ensure_future(enter(way, "b"))
    await asyncio.sleep(0.05)
    await leave(way, "a")
    assert (await waiting).state == "granted"
    assert time.monotonic() - began < 1


async def test_a_slot_given_back_while_the_head_is_asking_is_not_missed():
    slots = MemorySlots(slow=0.02, after=60 * SECOND)
    way = gate(slots)
    await enter(way, "a")
    waiting = asyncio.ensure_future(enter(way, "b"))
    await asyncio.sleep(0.005)
    await leave(way, "a")
    assert (await asyncio.wait_for(waiting, 1)).state == "granted"


async def test_a_slot_given_back_wakes_only_the_head_of_the_line():
    slots = MemorySlots(after=60 * SECOND)
    way = gate(slots)
    await enter(way, "a")
    waiting = [asyncio.ensure_future(enter(way, str(number))) for number in range(50)]
    await asyncio.sleep(0.05)
    asked = slots.acquired
    await leave(way, "a")
    assert (await asyncio.wait_for(waiting[0], 1)).state == "granted"
    await asyncio.sleep(0.05)
    assert slots.acquired - asked <= 2, "the head, and the next one that moved up"
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_waiter_rests_as_long_as_it_is_told():
    rested = []

    async def wait(after, reason):
        rested.append((after, reason))
        await asyncio.sleep(60)

    way = gate(MemorySlots(after=30 * SECOND))
    await enter(way, "holder")
    waiting = asyncio.ensure_future(enter(way, "a", wait=wait))
    await asyncio.sleep(0.01)
    assert rested == [(30 * SECOND, "waiting for a slot")]
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_who_leaves_the_line_lets_the_next_one_up():
    slots = MemorySlots(after=60 * SECOND)
    way = gate(slots)
    await enter(way, "a")
    head, second = (asyncio.ensure_future(enter(way, name)) for name in "bc")
    await asyncio.sleep(0.01)
    head.cancel()
    await asyncio.sleep(0.01)
    await leave(way, "a")
    assert (await asyncio.wait_for(second, 1)).state == "granted"
    assert head.cancelled()


async def test_a_wait_that_fails_ends_the_waiting():
    async def refuse(_after, _reason):
        raise TimeoutError("the run is over")

    way = gate(MemorySlots())
    await enter(way, "a")
    with pytest.raises(TimeoutError, match="the run is over"):
        await enter(way, "b", wait=refuse)


async def test_a_slot_granted_to_a_cancelled_asker_is_given_back():
    slots = MemorySlots(slow=0.05)
    way = gate(slots)
    asking = asyncio.ensure_future(enter(way, "a"))
    await asyncio.sleep(0.01)
    assert slots.held == {"a"}
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (slots.held, slots.outcomes) == (set(), ["neutral"])


async def test_a_slot_is_given_back_also_when_that_is_cancelled():
    slots = MemorySlots(slow=0.02)
    way = gate(slots)
    await enter(way, "a")
    leaving = asyncio.ensure_future(leave(way, "a"))
    await asyncio.sleep(0.005)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await asyncio.sleep(0.05)
    assert slots.held == set()


async def test_a_ledger_that_is_down_does_not_cost_the_answer(monkeypatch):
    monkeypatch.setattr("actors.llm.gate.MARGIN", SECOND / 10)
    slots = MemorySlots()
    slots.down = True
    way = gate(slots)
    await enter(way, "a")
    await leave(way, "a")


async def test_a_slot_is_given_back_as_soon_as_the_ledger_answers_again():
    slots = MemorySlots()
    way = gate(slots)
    await enter(way, "a")
    slots.down = True
    leaving = asyncio.ensure_future(leave(way, "a"))
    await asyncio.sleep(0.05)
    assert slots.held == {"a"}
    slots.down = False
    await asyncio.wait_for(leaving, 1)
    assert slots.held == set()


async def test_without_a_limit_nobody_waits():
    slots = MemorySlots()
    way = gate(slots, limit=None)
    grants = await asyncio.gather(*(enter(way, str(number)) for number in range(30)))
    assert {grant.state for grant in grants} == {"granted"}
