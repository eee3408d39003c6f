"""Schedules: an admitted event per due time, exactly once; and what was cancelled stops."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from actors.schedule import Timetable
from gateway.config import load_config
from gateway.ledger.keys import key
from otel.records import RunFinished

pytestmark = pytest.mark.anyio

CONFIG = """
[sources.blog]
scheme = "bearer"
secrets = ["env:TOKEN"]
pipeline = "triage"
{more}
[schedules.pulse]
source = "blog"
every = "1s"
"""
ENDLESS = """
import asyncio
from hookmill import Run, pipeline

async def long() -> None:
    await asyncio.sleep(60)

@pipeline("endless")
async def endless(run: Run) -> None:
    await run.step("long", long)
"""


@pytest.fixture
def timetables(tmp_path):
    """So many workers' timetables of one configuration."""

    def make(number, more=""):
        (tmp_path / "hookmill.toml").write_text(CONFIG.format(more=more))
        config = load_config(tmp_path / "hookmill.toml", {"TOKEN": "a-long-enough-token-for-a-test"})
        return [Timetable(config) for _ in range(number)]

    return make


async def offering(ledger, timetable, *, seconds):
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        wait = await timetable.offer(ledger)
        await asyncio.sleep(wait.total_seconds())


async def test_many_workers_admit_each_due_time_once(ledger, timetables):
    await asyncio.gather(*(offering(ledger, one, seconds=4) for one in timetables(5)))
    views = await ledger.events()
    dues = [json.loads(await ledger.redis.hget(key("event", view.id), "body"))["due"] for view in views]
    assert len(dues) >= 3
    assert len(set(dues)) == len(dues)
    assert {view.repeats for view in views} == {0}
    record = json.loads(await ledger.redis.hget(key("event", views[0].id), "record"))
    assert record["source_event_id"] == f"schedule:pulse:{dues[0]}"


async def test_after_an_outage_only_the_last_missed_time_is_made_up_for(ledger, timetables):
    _, now = await ledger.last_due("pulse")
    await ledger.redis.hincrby(key("schedules"), "pulse", -100_000)
    first, second = timetables(2)
    await first.offer(ledger)
    await second.offer(ledger)
    assert len(await ledger.events()) == 1
    last, _ = await ledger.last_due("pulse")
    assert last >= now - timedelta(seconds=1)


async def test_a_worker_that_dies_between_claim_and_admission_costs_seconds_and_no_event(ledger, timetables):
    _, now = await ledger.last_due("pulse")
    await ledger.redis.hincrby(key("schedules"), "pulse", -100_000)
    assert await ledger.claim_due("pulse", now)
    (one,) = timetables(1)
    await one.offer(ledger)
    assert await ledger.events() == []
    await ledger.redis.hset(key("schedules"), "pulse claimed until", 1)
    await offering(ledger, one, seconds=1.2)
    assert await ledger.events()


async def test_a_worker_that_dies_between_admission_and_note_makes_no_second_event(ledger, timetables):
    await ledger.last_due("pulse")
    await ledger.redis.hincrby(key("schedules"), "pulse", -100_000)
    (one,) = timetables(1)
    before = await ledger.redis.hget(key("schedules"), "pulse")
    await one.offer(ledger)
    (event,) = await ledger.events()
    due = (await ledger.last_due("pulse"))[0]
    await ledger.redis.hset(key("schedules"), "pulse", before)
    admission = one._admission(one._config.schedules["pulse"], due, due)
    assert (await ledger.admit([admission]))[0].event_id == event.id


async def test_an_event_that_a_limit_refuses_is_offered_again(ledger, timetables):
    (one,) = timetables(1, 'limit = "1/2s"\n')
    await offering(ledger, one, seconds=5)
    assert 2 <= len(await ledger.events()) <= 4


async def test_a_running_event_that_is_cancelled_stops_at_its_next_renewal(make_bench, admit, monkeypatch):
    monkeypatch.setattr("actors.keeper.RENEW", timedelta(milliseconds=100))
    async with make_bench(ENDLESS, "endless") as bench:
        event_id = await admit(bench, "endless")
        running = asyncio.create_task(bench.runner.run(event_id))
        await asyncio.sleep(0.3)
        assert await bench.ledger.cancel(event_id) == "cancelled"
        await asyncio.wait_for(running, timeout=10)
        (finished,) = bench.of(RunFinished)
        view = await bench.ledger.show(event_id)
    assert finished.outcome == "lost"
    assert (view.state, view.reason) == ("discarded", "cancelled")
