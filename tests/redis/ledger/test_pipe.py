"""Calls share one connection: answers come in order, and who waits for one is always told how it ended."""

from __future__ import annotations

import asyncio

import pytest

from gateway.ledger import LedgerDown, open_ledger

pytestmark = pytest.mark.anyio


async def test_each_of_many_calls_at_once_gets_its_own_answer(ledger, admission):
    verdicts = await ledger.admit([admission() for _ in range(20)])
    ids = [verdict.event_id for verdict in verdicts]
    begun = await asyncio.gather(*(ledger.begin(one, fence=one) for one in ids))
    assert [one.work.id for one in begun] == ids


async def test_one_that_gives_up_waiting_does_not_shift_the_answers(ledger, admission):
    first, second = [one.event_id for one in await ledger.admit([admission(), admission()])]
    given_up = asyncio.create_task(ledger.begin(first, fence="a"))
    kept = asyncio.create_task(ledger.begin(second, fence="b"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert (await kept).work.id == second


async def test_who_waits_when_the_ledger_is_closed_is_told(redis_url, ledger):
    closing = await open_ledger(redis_url)
    await ledger.redis.client_pause(500)
    waiting = asyncio.create_task(closing.begin("evt_none", fence="a"))
    await asyncio.sleep(0.05)
    await closing.close()
    with pytest.raises(LedgerDown):
        await asyncio.wait_for(waiting, timeout=5)
