"""A model that hangs, and a provider that answers 429 to everybody for a while."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bench.gateway.subjects import own_redis
from bench.models.fallback import over, ticket
from bench.models.world import APPS, PATIENCE, keep_sending, percentile, start_workers
from fakes import model_server
from fakes.models import asker, candidate, models
from stack import Stack, until

from actors.errors import Failure
from actors.llm import Question, provider
from gateway.ledger import CircuitRule, open_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from bench.telling import Say
    from fakes.model_server import FakeProvider

SHARE = timedelta(seconds=1)
CANDIDATES = 3  # of which the first hangs
EVERY = 0.1  # seconds between two asks
NEVER = CircuitRule(failures=1_000_000)  # an open circuit would spare the others the wait that is measured
STORM_RATE = 5  # events a second
COMPRESSED = 5  # seconds of a storm for one of ours
STORM_MODELS = """
model_list:
  - model_name: only
    litellm_params: {{model: openai/only, api_base: "{base}", api_key: sk-fake}}
hookmill:
  aliases:
    fast: {{candidates: [only]}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """The seconds until the answer of the next candidate, over so many asks."""

    asks: int
    share: float
    answered: int
    p50: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What came of a storm; seconds. `burnt` counts failed attempts of runs, `after` is until all were over."""

    seconds: float
    events: int
    done: int
    burnt: int
    calls: int
    first_after: float
    after: float


def run_hang(folder: Path, *, asks: int, say: Say) -> Hang:
    """Ask one after the other, with LiteLLM and a Redis, a model that hangs and two that do not."""
    say(f"a model that hangs: {asks} asks")
    provider.prepare()
    with own_redis(folder) as redis, model_server.serve() as fake:
        fake.default = lambda call: model_server.hang() if call.model == "hanging" else model_server.says("fine")
        took = asyncio.run(_ask_hanging(redis.url, fake, asks))
    answered = sorted(one for one in took if one is not None)
    return Hang(
        asks=asks,
        share=SHARE.total_seconds(),
        answered=len(answered),
        p50=percentile(answered, 50),
        p99=percentile(answered, 99),
    )


async def _ask_hanging(url: str, fake: FakeProvider, asks: int) -> list[float | None]:
    ledger = await open_ledger(url, deadline=timedelta(seconds=5))
    line = [candidate(fake, name, circuit=NEVER) for name in ("hanging", "next", "last")]
    configured = models(*line, deadline=CANDIDATES * SHARE)
    await provider.warm(configured)
    asking = asker(configured, ledger)
    question = Question(alias="fast", prompt="How is it?")

    async def wait(after: timedelta, _reason: str) -> None:
        await asyncio.sleep(after.total_seconds())

    async def one(place: int) -> float | None:
        await asyncio.sleep(EVERY * place)
        began = time.monotonic()
        try:
            answer = await asking.ask(question, wait=wait, called=lambda _: None)
        except Failure:
            return None
        return time.monotonic() - began if answer.candidate == "next" else None

    try:
        return await asyncio.gather(*(one(place) for place in range(asks)))
    finally:
        await provider.close()
        await ledger.close()


def run_storm(folder: Path, *, seconds: float, say: Say) -> Storm:
    """Send events all through a storm of 429 without a Retry-After; one model, one worker process."""
    say(f"a storm of 429, {seconds:.0f} s")
    with ExitStack() as opened:
        redis, fake = opened.enter_context(own_redis(folder)), opened.enter_context(model_server.serve())
        fake.default = model_server.says("fine")
        shutil.copy(APPS / "answering.py", folder)
        yaml = STORM_MODELS.format(base=fake.url)
        stack = opened.enter_context(Stack(folder, redis.url, pipeline="answering.py:plain", models=yaml))
        stack.start_gateway()
        start_workers(stack, 1)
        fake.default = model_server.status(429)
        began = time.monotonic()
        bodies = [ticket(number) for number in range(round(STORM_RATE * seconds))]
        asyncio.run(keep_sending(stack, bodies, per_second=STORM_RATE))
        fake.default = model_server.says("fine")
        calm, calls = time.monotonic(), len(fake.calls)
        until(lambda: over(stack) == len(bodies), within=PATIENCE, every=0.1)
        after = time.monotonic() - calm
        first = min(call.began for call in fake.calls[calls:]) - calm
        results = [copies[0]["event_id"] for copies in stack.delivered.values()]
        return Storm(
            seconds=calm - began,
            events=len(bodies),
            done=len(results),
            burnt=sum(stack.show(one).attempts for one in results),
            calls=calls,
            first_after=first,
            after=after,
        )
