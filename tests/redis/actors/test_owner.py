"""Whatever happens to Redis or to the lease, a paid answer is saved once or handed over, never lost silently."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.ledger.keys import key
from otel.records import RunFinished, StepFinished

pytestmark = pytest.mark.anyio

APP = """
import asyncio
from hookmill import Run, pipeline

CALLS = []

async def pay() -> str:
    CALLS.append(1)
    await asyncio.sleep(0.6)
    return f"answer {len(CALLS)}"

@pipeline("paid", steps=("pay",))
async def paid(run: Run) -> str:
    return await run.step("pay", pay)

async def long() -> None:
    await asyncio.sleep(30)

@pipeline("endless")
async def endless(run: Run) -> None:
    await run.step("long", long)
"""


async def test_a_paid_answer_is_held_through_an_outage_and_saved_after_it(make_bench, admit, own_redis):
    server = own_redis()
    async with make_bench(APP, "paid", url=server.url) as bench:
        event_id = await admit(bench, "paid")
        running = asyncio.create_task(bench.runner.run(event_id))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(0.8)
        assert not running.done()
        await asyncio.to_thread(server.restart)
        await asyncio.wait_for(running, timeout=10)
        view = await bench.ledger.show(event_id)
    assert (view.state, view.result, view.lives) == ("done", "answer 1", 1)


async def test_a_lease_taken_over_ends_the_run_here(make_bench, admit):
    async with make_bench(APP, "endless") as bench:
        event_id = await admit(bench, "endless")
        running = asyncio.create_task(bench.runner.run(event_id))
        await asyncio.sleep(0.2)
        await bench.ledger.redis.zadd(key("due"), {event_id: 1})
        assert (await bench.ledger.begin(event_id, fence="thief")).work.lives == 2
        await asyncio.wait_for(running, timeout=5)
        (finished,) = bench.of(RunFinished)
        assert finished.outcome == "lost"
        assert bench.keeper.held() == 0
        assert (await bench.ledger.show(event_id)).state == "running"


async def test_a_drain_gives_back_what_still_runs_without_counting_an_attempt(make_bench, admit):
    async with make_bench(APP, "endless") as bench:
        event_id = await admit(bench, "endless")
        running = asyncio.create_task(bench.runner.run(event_id))
        await asyncio.sleep(0.2)
        bench.owner.drain_soon()
        started = time.monotonic()
        await asyncio.wait_for(running, timeout=5)
        assert time.monotonic() - started < 1
        view = await bench.ledger.show(event_id)
    assert (view.reason, view.attempts) == ("the worker was stopped", 0)
    assert view.state in {"waiting", "queued"}


async def test_a_wake_up_while_redis_is_away_is_forgotten_not_failed(make_bench, own_redis):
    server = own_redis()
    async with make_bench(APP, "paid", url=server.url) as bench:
        await asyncio.to_thread(server.kill)
        await bench.runner.run("evt_1")
        await asyncio.to_thread(server.restart)
    assert bench.of(StepFinished) == []


async def test_a_blocked_loop_does_not_lose_its_lease(make_bench, admit, monkeypatch):
    monkeypatch.setattr("actors.keeper.RENEW", __import__("datetime").timedelta(milliseconds=100))
    async with make_bench(APP, "endless") as bench:
        event_id = await admit(bench, "endless")
        running = asyncio.create_task(bench.runner.run(event_id))
        await asyncio.sleep(0.3)
        before = await bench.ledger.redis.zscore(key("due"), event_id)
        time.sleep(1)  # noqa: ASYNC251 - the loop is blocked on purpose
        after = await bench.ledger.redis.zscore(key("due"), event_id)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert after - before >= 800
