"""A run's steps are saved as they end, and no attempt pays again for what an earlier one finished."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta

import pytest

from gateway.ledger.keys import key
from otel.records import ModelCalled, RunFinished, StepFinished

pytestmark = pytest.mark.anyio

APP = """
import asyncio, json, time
from dataclasses import dataclass
from pydantic import BaseModel
from hookmill import Discard, RetryAfter, Run, pipeline

DONE = []

class Label(BaseModel):
    team: str
    urgent: bool = False

def label(text: str) -> Label:
    DONE.append("label")
    return Label(team=text.upper())

async def draft(topic: str) -> str:
    DONE.append(topic)
    if topic == "bad" and DONE.count("bad") < 2:
        raise ValueError("a bad topic")
    return topic * 2

@pipeline("typed", steps=("label",))
async def typed(run: Run) -> dict:
    got = await run.step("label", label, "billing")
    assert isinstance(got, Label)
    return {"team": got.team}

@pipeline("mapped", steps=("draft",))
async def mapped(run: Run) -> list:
    return await run.map("draft", draft, ["a", "bad", "a", "c"], concurrency=2)

@pipeline("twice")
async def twice(run: Run) -> None:
    await run.step("same", label, "a")
    await run.step("same", label, "b")

@pipeline("rounds", steps=("label",))
async def rounds(run: Run) -> list:
    return [await run.step("label", label, name, key=name) for name in ("a", "b")]

def big() -> str:
    return "x" * 300_000

@pipeline("huge")
async def huge(run: Run) -> str:
    return await run.step("big", big)

def strange() -> int:
    return "not a number"

@pipeline("mistyped")
async def mistyped(run: Run) -> int:
    return await run.step("strange", strange)

@pipeline("slow")
async def slow(run: Run) -> None:
    await asyncio.sleep(60)

class Mood(BaseModel):
    sentiment: str

@pipeline("asking", steps=("mood",))
async def asking(run: Run) -> Mood:
    return await run.ask("mood", "How does the writer feel?", untrusted=run.event.json["text"], into=Mood)

async def wait_long() -> None:
    DONE.append("waited")

@pipeline("parked")
async def parked(run: Run) -> str:
    await run.step("first", label, "a")
    async def wait() -> str:
        if "parked" not in DONE:
            DONE.append("parked")
            from datetime import timedelta
            await run.parking.wait(timedelta(seconds=1.2), "a slot of gpt")
        return "went on"
    return await run.step("wait", wait)

def blocking() -> str:
    time.sleep(0.2)
    return "done"

@pipeline("threads")
async def threads(run: Run) -> str:
    before = time.monotonic()
    results = await asyncio.gather(*(run.step("block", blocking, key=str(n)) for n in range(4)))
    return f"{time.monotonic() - before:.1f}"
"""


async def work(bench, event_id, *, attempts=1):
    """Run it, and sweep what is due, so many times."""
    for attempt in range(attempts):
        if attempt:
            await asyncio.sleep(0.02)
            await bench.ledger.sweep("tests")
        await bench.runner.run(event_id)
    return await bench.ledger.show(event_id)


async def test_a_result_is_recorded_with_a_delivery_per_sink(make_bench, admit):
    async with make_bench(APP, "typed") as bench:
        view = await work(bench, await admit(bench, "typed"))
        assert (view.state, view.result) == ("done", {"team": "BILLING"})
        assert [(one.sink, one.state) for one in view.deliveries] == [("archive", "queued")]
        (step,) = bench.of(StepFinished)
        (finished,) = bench.of(RunFinished)
    assert (step.step, step.cached, step.error_class) == ("label", False, None)
    assert (finished.outcome, finished.attempt, finished.pipeline) == ("done", 1, "app.py:typed")


async def test_items_of_a_map_that_finished_are_not_run_again(make_bench, admit):
    async with make_bench(APP, "mapped") as bench:
        view = await work(bench, await admit(bench, "mapped"), attempts=2)
        assert (view.state, view.result, view.attempts) == ("done", ["aa", "badbad", "aa", "cc"], 1)
        steps = bench.of(StepFinished)
    assert [step.error_class for step in steps].count("ValueError") == 1
    assert sum(step.cached for step in steps) == 3
    assert len({step.step for step in steps}) == 4, "equal items are told apart by their occurrence"


async def test_a_step_name_used_twice_is_refused_and_a_key_tells_rounds_apart(make_bench, admit):
    async with make_bench(APP, "twice", "rounds") as bench:
        refused = await work(bench, await admit(bench, "twice"))
        rounds = await work(bench, await admit(bench, "rounds"))
    assert (refused.state, refused.error_class) == ("dead", "permanent")
    assert "step same is used twice" in refused.reason
    assert [step.key for step in rounds.steps] == ["a", "b"]


@pytest.mark.parametrize(("name", "says"), [("huge", "at most 262144"), ("mistyped", "not what it declares")])
async def test_an_output_that_cannot_be_kept_is_a_dead_letter(make_bench, admit, name, says):
    async with make_bench(APP, name) as bench:
        view = await work(bench, await admit(bench, name))
    assert (view.state, view.error_class) == ("dead", "permanent")
    assert says in view.reason


async def test_a_run_past_its_deadline_is_cancelled_and_tried_again(make_bench, admission):
    async with make_bench(APP, "slow") as bench:
        one = admission(source="slow", pipeline="app.py:slow", timeout=timedelta(milliseconds=100))
        await bench.ledger.admit([one])
        view = await work(bench, one.event.id)
    assert (view.state, view.attempts, view.error_class) == ("waiting", 1, "transient")
    assert view.reason.startswith("took longer than")


async def test_an_answer_of_a_model_is_saved_and_told(make_bench, admit):
    async with make_bench(APP, "asking") as bench:
        view = await work(bench, await admit(bench, "asking", b'{"text": "I love it, thank you!"}'))
        (told,) = bench.of(ModelCalled)
    assert view.result == {"sentiment": "positive"}
    assert (view.steps[0].candidate, view.steps[0].degraded, view.steps[0].calls) == ("fast", True, 1)
    assert (told.step, told.alias, told.call.degraded, told.call.error_class) == ("mood", "fast", True, None)


async def test_a_parked_run_gives_its_place_up_and_goes_on_when_it_is_due(make_bench, admit):
    async with make_bench(APP, "parked") as bench:
        event_id = await admit(bench, "parked")
        started = time.monotonic()
        view = await work(bench, event_id)
        assert time.monotonic() - started < 1, "it was suspended, not slept through"
        assert (view.state, view.reason, view.attempts) == ("waiting", "a slot of gpt", 0)
        assert await bench.ledger.redis.scard(key("active", "source:parked")) == 0
        await asyncio.sleep(1.3)
        await bench.runner.run(event_id)  # the keeper's own sweep has woken it by now
        view = await bench.ledger.show(event_id)
        cached = [step.step for step in bench.of(StepFinished) if step.cached]
    assert (view.state, view.result, view.lives) == ("done", "went on", 1)
    assert cached == ["first"]


async def test_plain_functions_run_in_threads_beside_each_other(make_bench, admit):
    async with make_bench(APP, "threads") as bench:
        view = await work(bench, await admit(bench, "threads"))
    assert float(view.result) < 0.5


async def test_the_sweeper_wakes_a_retry_without_being_asked(make_bench, admit):
    async with make_bench(APP, "mapped") as bench:
        event_id = await admit(bench, "mapped")
        await bench.ledger.redis.delete(key("lane", "normal"))
        await bench.runner.run(event_id)
        for _ in range(100):
            if await bench.ledger.redis.llen(key("lane", "normal")):
                break
            await asyncio.sleep(0.02)
        assert json.loads(json.dumps((await bench.ledger.show(event_id)).json()))["state"] == "queued"


async def test_a_run_whose_source_is_gone_is_kept_as_a_dead_letter(make_bench, admission):
    async with make_bench(APP, "typed") as bench:
        one = admission(source="former", pipeline="app.py:typed")
        await bench.ledger.admit([one])
        view = await work(bench, one.event.id)
    assert view.state == "dead"
    assert "'former' is not configured" in view.reason


async def test_a_run_that_always_hangs_ends_as_a_dead_letter(make_bench, admission):
    async with make_bench(APP, "slow") as bench:
        one = admission(source="slow", pipeline="app.py:slow", timeout=timedelta(milliseconds=50))
        await bench.ledger.admit([one])
        view = await work(bench, one.event.id, attempts=3)
    assert (view.state, view.attempts, view.error_class) == ("dead", 3, "transient")
    assert view.reason == "took longer than 0:00:00.050000 (gave up after 3 attempts)"
