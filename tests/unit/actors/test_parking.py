"""A run whose every step waits is suspended until the first of them may go on."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from actors.parking import SETTLE, Parking

pytestmark = pytest.mark.anyio
LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=20)


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def at_work(parking, waiting):
    with parking.working():
        await waiting


async def settle():
    await asyncio.sleep(SETTLE * 2)


async def test_a_short_wait_keeps_its_thread():
    parking = Parking()
    await asyncio.wait_for(at_work(parking, parking.wait(SHORT, "rate")), timeout=1)
    await settle()
    assert not parking.suspended.done()


async def test_the_only_step_waiting_long_suspends_the_run():
    parking = Parking()
    waiting = asyncio.create_task(at_work(parking, parking.wait(LONG, "circuit open")))
    await settle()
    suspension = parking.suspended.result()
    assert suspension.reason == parking.reason == "circuit open"
    assert suspension.until - asyncio.get_running_loop().time() == pytest.approx(30, abs=1)
    waiting.cancel()


async def test_while_a_sibling_works_the_others_wait():
    parking, done = Parking(), asyncio.Event()
    waiting = asyncio.create_task(at_work(parking, parking.wait(LONG, "budget")))
    working = asyncio.create_task(at_work(parking, done.wait()))
    await settle()
    assert not parking.suspended.done()
    assert parking.reason == ""
    done.set()
    await settle()
    assert parking.suspended.done(), "nobody works any more"
    waiting.cancel()
    await working


async def test_of_several_waits_the_first_to_end_counts():
    parking = Parking()
    waiting = [asyncio.create_task(at_work(parking, parking.wait(LONG * times, str(times)))) for times in (3, 1, 2)]
    await settle()
    assert parking.suspended.result().reason == "1"
    for one in waiting:
        one.cancel()


async def test_plain_python_between_two_steps_is_not_idleness():
    parking = Parking()
    waiting = asyncio.create_task(at_work(parking, parking.wait(LONG, "slot")))
    for _ in range(10):
        await at_work(parking, asyncio.sleep(SETTLE / 5))
        await asyncio.sleep(SETTLE / 5)
    assert not parking.suspended.done()
    waiting.cancel()
