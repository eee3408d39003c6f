"""What a failure costs: a chain of four model calls, each of which fails with 20 %, over the same injected faults.

A real gateway, a real worker and a fake provider, which decides by event, step and how often that step was asked
for. So the first call of step 2 of event 7 fails in every variant, or in none.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.gateway.subjects import own_redis
from bench.runs.subjects import APPS, PATIENCE
from fakes import model_server
from stack import Stack, until

if TYPE_CHECKING:
    from pathlib import Path

    from bench.telling import Say
    from fakes.model_server import Asked, Scripted

SHARE = 0.2  # of calls that fail
STEPS = 4
VARIANTS = {"once": 1, "scratch": None, "checkpoints": None}  # pipeline: attempts, None is all that there are
ATTEMPTS = 8
CONFIG = """
[sources.blog]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "{{pipeline}}"
retry = {{{{ attempts = {attempts}, first = "50ms", cap = "200ms" }}}}
concurrency = {{concurrency}}
sinks = []
max_backlog = 1_000_000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What came of a variant: `answered` are the calls that a provider bills, `calls` includes those that failed."""

    variant: str
    attempts: int
    events: int
    done: int
    calls: int
    answered: int

    @property
    def success(self) -> float:
        """The share of events that reached their end."""
        return self.done / self.events

    @property
    def answered_each(self) -> float:
        """Answers bought per event that reached its end."""
        return self.answered / max(1, self.done)

    @property
    def calls_each(self) -> float:
        """Calls made per event that reached its end."""
        return self.calls / max(1, self.done)


class Faults:
    """Decides each call: by event, step and how often the step was asked for in that variant."""

    def __init__(self) -> None:
        """Start with nothing asked."""
        self.asked: Counter[tuple[str, str]] = Counter()

    def __call__(self, call: Asked) -> Scripted:
        """Answer one call."""
        asked = call.model, call.body["messages"][0]["content"]
        self.asked[asked] += 1
        if fails(asked[1], self.asked[asked]):
            return model_server.status(500)
        return model_server.says("fine")


def fails(what: str, time: int) -> bool:
    """Tell whether the call fails: `what` is event and step, `time` counts from 1."""
    drawn = int.from_bytes(hashlib.sha256(f"{what} {time}".encode()).digest()[:8])
    return drawn / 2**64 < SHARE


def run_failure(folder: Path, *, events: int, say: Say) -> list[Cost]:
    """Work the same events in each variant."""
    with ExitStack() as opened:
        provider = opened.enter_context(model_server.serve())
        provider.default = Faults()
        costs = []
        for variant, attempts in VARIANTS.items():
            say(f"cost of failure, {events:,} events: {variant}")
            costs.append(run_variant(folder / variant, provider, variant, events=events, attempts=attempts or ATTEMPTS))
        return costs


def run_variant(folder: Path, provider: Any, variant: str, *, events: int, attempts: int) -> Cost:
    """Post the events and wait until all are over."""
    with own_redis(folder) as redis:
        shutil.copy(APPS / "chain.py", folder / "chain.py")
        config, env = CONFIG.format(attempts=attempts), {"BENCH_MODEL": provider.url, "HOOKMILL_LOG": "WARNING"}
        with Stack(folder, redis.url, pipeline=f"chain.py:{variant}", config=config, env=env) as stack:
            stack.start_gateway()
            stack.start_worker(wait=False)
            until(lambda: stack.stats().workers, within=PATIENCE)
            answers = asyncio.run(stack.burst([json.dumps({"number": number}).encode() for number in range(events)]))
            assert [status for status, _ in answers] == [202] * events
            until(lambda: _over(stack) == events, within=PATIENCE + events, every=0.5)
            done = stack.stats().counts.get("done", 0)
    calls = provider.asked(variant)
    answered = sum(call.status == 200 for call in calls)
    return Cost(variant=variant, attempts=attempts, events=events, done=done, calls=len(calls), answered=answered)


def _over(stack: Stack) -> int:
    counts = stack.stats().counts
    return counts.get("done", 0) + counts.get("dead", 0)
