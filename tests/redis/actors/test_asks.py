"""What a run shows of its asks: how far a long answer is, and what all of them cost."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from fakes import model_server as say

from actors.llm import provider
from otel.records import ModelCalled

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),  # LiteLLM does, of each piece
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),  # and this, of its own types
]

APP = """
from typing import Literal
from pydantic import BaseModel
from hookmill import Run, pipeline

class Mood(BaseModel):
    mood: Literal["good", "bad"]

@pipeline("telling", steps=("write",))
async def telling(run: Run) -> str:
    return await run.ask("write", "Tell me a long story.", progress=True)

@pipeline("paying", steps=("mood",))
async def paying(run: Run) -> str:
    return (await run.ask("mood", "How is it?", into=Mood)).mood
"""
MODELS = """
model_list:
  - model_name: fast
    litellm_params:
      model: openai/fast
      api_base: {url}
      api_key: sk-fake
      input_cost_per_token: 0.0
      output_cost_per_token: 0.001
"""
COST = 0.005  # of each call: the fake tells 5 tokens


@pytest.fixture(scope="module", autouse=True)
def prepared():
    provider.prepare()


@pytest.fixture
def fake():
    with say.serve() as server:
        yield server


async def test_a_long_answer_shows_how_far_it_is_at_most_twice_a_second(fake, make_bench, admit):
    fake.default = replace(say.says("once upon a time, " * 10), drip=0.05)  # 45 pieces, 2.3 s
    seen, began = {}, time.monotonic()
    async with make_bench(APP, "telling", yaml=MODELS.format(url=fake.url)) as bench:
        event_id = await admit(bench, "telling")
        running = asyncio.ensure_future(bench.runner.run(event_id))
        while not running.done():
            progress = (await bench.ledger.progress({event_id: ""}))[event_id]
            if progress.reason:
                seen.setdefault(progress.reason, progress.json())
            await asyncio.sleep(0.02)
        took = time.monotonic() - began
        view = await bench.ledger.show(event_id)
    counted = [int(reason.removesuffix(" tokens so far")) for reason in seen]
    assert counted == sorted(counted)
    assert 3 <= len(counted) <= 2 * took + 2, "the ledger's own renewal may tell one more"
    assert {(told["state"], told["step"]) for told in seen.values()} == {("running", "write")}
    assert (view.state, view.reason, view.result) == ("done", "", "once upon a time, " * 10)


async def test_an_event_costs_what_its_failed_asks_cost_too(fake, make_bench, admit):
    fake.script("fast", *[say.says({"mood": "purple"})] * 2, say.says("no"), *[say.says({"mood": "good"})])
    async with make_bench(APP, "paying", yaml=MODELS.format(url=fake.url)) as bench:
        event_id = await admit(bench, "paying")
        await bench.runner.run(event_id)
        failed = await bench.ledger.show(event_id)
        while not (view := await bench.ledger.show(event_id)).over:  # the keeper wakes it, within a second
            await asyncio.sleep(0.1)
            await bench.runner.run(event_id)
        calls = bench.of(ModelCalled)
    assert (failed.attempts, failed.error_class, failed.cost_usd) == (1, "bad_output", pytest.approx(2 * COST))
    assert (view.state, view.result, len(calls)) == ("done", "good", 4)
    assert (view.steps[0].cost_usd, view.cost_usd) == (pytest.approx(2 * COST), pytest.approx(4 * COST))
