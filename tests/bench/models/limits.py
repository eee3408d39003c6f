"""What an upstream and a budget see of a fleet: calls in any minute, calls at once, dollars spent."""

from __future__ import annotations

import asyncio
import shutil
from bisect import bisect_left
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.gateway.subjects import own_redis
from bench.models.fallback import over, ticket
from bench.models.mix import bill, draw
from bench.models.world import APPS, PATIENCE, start_workers
from fakes import model_server
from fakes.dialects import Said
from stack import CONFIG, Stack, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.telling import Say
    from fakes.model_server import Asked, Scripted

RPM, AT_ONCE, WORKERS = 60, 5, 4
LATENCY = 3.0  # seconds of a call, so that both limits matter
MINUTE = 60.0
LIMITED = """
model_list:
  - model_name: only
    litellm_params: {{model: openai/only, api_base: "{base}", api_key: sk-fake}}
hookmill:
  aliases:
    fast: {{candidates: [only]}}
  candidates:
    only: {{rpm: {rpm}, max_concurrent: {at_once}}}
"""
BUDGET, PRICE, MOST = 1.0, 1e-4, 100  # US dollars, per token, tokens of an answer
LOST = 0.1  # of the answers that are paid for and never arrive
FLEETS = (1, 2, 4)
DEAR = """
model_list:
  - model_name: dear
    litellm_params:
      model: openai/dear
      api_base: "{base}"
      api_key: sk-fake
      max_tokens: {most}
      input_cost_per_token: {price}
      output_cost_per_token: {price}
  - model_name: free
    litellm_params: {{model: local/lexicon}}
hookmill:
  aliases:
    fast: {{candidates: [dear, free]}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the upstream's own log says; `used` is the share of the limit, as long as there was work."""

    events: int
    done: int
    rpm: int
    concurrent: int
    most_in_a_minute: int
    most_at_once: int
    seconds: float
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgeted:
    """What a budget came to with so many worker processes; US dollars by the provider's own book and by ours."""

    workers: int
    events: int
    done: int
    calls: int
    billed_usd: float
    booked_usd: float
    held_usd: float


def run_limits(folder: Path, *, events: int, rpm: int = RPM, say: Say) -> Limits:
    """Post the events at once to four workers, and read the upstream's log."""
    say(f"limits, {events} events at once: mostly waiting, {events / rpm:.0f} minutes")
    with ExitStack() as opened:
        redis = opened.enter_context(own_redis(folder))
        fake = opened.enter_context(model_server.serve(latency=LATENCY))
        shutil.copy(APPS / "answering.py", folder)
        yaml = LIMITED.format(base=fake.url, rpm=rpm, at_once=AT_ONCE)
        stack = Stack(folder, redis.url, pipeline="answering.py:plain", models=yaml, concurrency=events)
        opened.enter_context(stack)
        stack.start_gateway()
        start_workers(stack, WORKERS)
        asyncio.run(stack.burst([ticket(number) for number in range(events)]))
        until(lambda: over(stack) == events, within=PATIENCE + 70 * (events / rpm), every=0.5)
        began = sorted(call.began for call in fake.calls)
        return Limits(
            events=events,
            done=len(stack.delivered),
            rpm=rpm,
            concurrent=AT_ONCE,
            most_in_a_minute=most_within(began, MINUTE),
            most_at_once=fake.most,
            seconds=began[-1] - began[0],
            used=used(began, rpm),
        )


def most_within(times: Sequence[float], seconds: float) -> int:
    """Give the most of these that lie within any such span."""
    return max(bisect_left(times, start + seconds) - place for place, start in enumerate(times))


def used(times: Sequence[float], rpm: int) -> float:
    """Give the share of the limit that was used until the last full minute's worth of calls was left to be made.

    The limit lets `rpm` calls go at the start of each minute: the call number k x rpm not before k minutes.
    """
    full = (len(times) - 1) // rpm
    return full * MINUTE / (times[full * rpm] - times[0]) if full else 1.0


def run_budget(folder: Path, *, events: int, say: Say) -> list[Budgeted]:
    """Spend a budget with one, two and four worker processes."""
    found = []
    for workers in FLEETS:
        say(f"a budget of ${BUDGET:.2f}, {events} events, {workers} worker processes")
        found.append(run_fleet(folder / str(workers), workers, events=events))
    return found


def run_fleet(folder: Path, workers: int, *, events: int) -> Budgeted:
    """Post the events at once; when the budget is spent, those that are left get the free model."""
    with ExitStack() as opened:
        redis = opened.enter_context(own_redis(folder))
        fake = opened.enter_context(model_server.serve(latency=0.1))
        fake.default = dear
        shutil.copy(APPS / "answering.py", folder)
        yaml = DEAR.format(base=fake.url, most=MOST, price=f"{PRICE:f}")
        config = f"{CONFIG}\n[budget]\nday = {BUDGET}\n"
        stack = Stack(folder, redis.url, pipeline="answering.py:plain", models=yaml, config=config)
        opened.enter_context(stack)
        stack.start_gateway()
        start_workers(stack, workers)
        asyncio.run(stack.burst([ticket(number) for number in range(events)]))
        until(lambda: over(stack) == events, within=PATIENCE, every=0.2)
        book = stack.call(lambda ledger: ledger.book(datetime.now(UTC).strftime("%Y-%m-%d")))
        return Budgeted(
            workers=workers,
            events=events,
            done=len(stack.delivered),
            calls=len(fake.calls),
            billed_usd=bill(fake.calls, prices={"dear": (PRICE, PRICE)}),
            booked_usd=book.get("all", 0.0),
            held_usd=book.get("held all", 0.0),
        )


def dear(call: Asked) -> Scripted:
    """Answer with up to as many tokens as are allowed; some answers are billed, and break on the way."""
    drawn = draw(str(call.body["messages"]))
    read = sum(len(message["content"]) for message in call.body["messages"]) // 3
    said = Said(text="fine", usage=(read, 1 + int(drawn * MOST)))
    return model_server.Scripted(answer=said, cut=40 if draw(f"cut {drawn}") < LOST else None)
