"""1,000 events at models that fail: our own ask, and LiteLLM's Router in its place, over the same faults.

A real gateway, two worker processes and a receiver; the same ledger, retries and deliveries for all. What differs is
who asks the models.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.gateway.subjects import cpu_seconds, own_redis
from bench.memory import family
from bench.models.apps.answering import Label
from bench.models.mix import GOOD_KEY, PREFIXES, PRICES, SPENT_KEY, UNKNOWN_KEY, Mix, bill
from bench.models.world import APPS, PATIENCE, keep_sending, percentile, start_workers
from fakes import model_server
from pydantic import ValidationError
from stack import Stack, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.telling import Say
    from fakes.model_server import Asked, FakeProvider

OURS, ROUTER, AT_ONCE = "ours", "routed", "routed_at_once"
VARIANTS = (OURS, ROUTER, AT_ONCE)
WORKERS = 2
RATE = 25  # events a second
REFUSED = 20  # events beyond those that count, which every model refuses with a 400
TIMEOUT = 3  # seconds of one call
CONFIG = """
[sources.blog]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "{pipeline}"
concurrency = {concurrency}
sinks = ["receiver"]
retry = {{ attempts = 4, first = "500ms", cap = "5s" }}

[sinks.receiver]
kind = "webhook"
url = "{url}"
secret = "env:SINK_SECRET"
allow_private = true

[budget]
day = 1000.0
"""
OUR_OWN = {
    "aliases": {
        "fast": {
            "candidates": ["first", "second", "third"],
            "deadline": "12s",
            "larger_context": ["second", "third"],
            "on_refusal": ["second", "third"],
        }
    }
}
FALLBACKS = [{"first": ["second", "third"]}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What came of a variant; seconds from the post of an event to its delivery.

    `refused` are the events that every model refuses, and the calls made for them. Money in US dollars: what the
    providers' book says of the answers that told their tokens, of those that did not, and of those that never arrived;
    and what ours says is spent, is spent on the events, and is reserved.
    """

    variant: str
    events: int
    done: int
    at_first: int
    unvalidated: int
    calls: dict[str, int]
    p50: float
    p99: float
    cpu_ms: float
    refused: int
    refused_calls: int
    told_usd: float
    untold_usd: float
    unheard_usd: float
    booked_usd: float
    on_events_usd: float
    held_usd: float

    @property
    def billed_usd(self) -> float:
        """All that the providers bill."""
        return self.told_usd + self.untold_usd + self.unheard_usd

    @property
    def success(self) -> float:
        """The share of events whose result was delivered."""
        return self.done / self.events


def run_fallback(folder: Path, *, events: int, say: Say) -> list[Fallback]:
    """Work the same events in each variant."""
    found = []
    for variant in VARIANTS:
        say(f"{events:,} events at models that fail: {variant}")
        found.append(run_variant(folder / variant, variant, events=events))
    return found


def run_variant(folder: Path, variant: str, *, events: int) -> Fallback:
    """Send the events, and wait until all are over."""
    with ExitStack() as opened:
        redis, provider = opened.enter_context(own_redis(folder)), opened.enter_context(model_server.serve())
        mix = Mix(events)
        provider.default = mix
        shutil.copy(APPS / "answering.py", folder)
        listed = model_list(provider)
        stack = Stack(
            folder,
            redis.url,
            pipeline=f"answering.py:{variant}",
            models=json.dumps({"model_list": listed, "hookmill": OUR_OWN}),
            config=CONFIG,
            env={"BENCH_ROUTER": json.dumps(router_settings(listed, redis.url)), "HOOKMILL_LOG": "INFO"},
        )
        opened.enter_context(stack)
        stack.start_gateway()
        start_workers(stack, WORKERS)
        cpu = cpu_of(stack)
        bodies = [ticket(number) for number in range(events + REFUSED)]
        posted = asyncio.run(keep_sending(stack, bodies, per_second=RATE))
        until(lambda: over(stack) == len(bodies), within=PATIENCE + len(bodies), every=0.5)
        return tell(stack, variant, events, provider.calls, mix, posted=posted, cpu=cpu_of(stack) - cpu)


def ticket(number: int) -> bytes:
    """Make the body of an event."""
    return json.dumps({"number": number, "text": f"Order {number} has not come. " * (1 + number % 7)}).encode()


def model_list(provider: FakeProvider) -> list[dict[str, Any]]:
    """Give three models of three providers, the first under three keys, as LiteLLM's own format has it."""
    keys = {"first": (UNKNOWN_KEY, SPENT_KEY, GOOD_KEY)}
    return [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"{prefix}/{name}",
                "api_base": provider.base(prefix),
                "api_key": key,
                "timeout": TIMEOUT,
                "max_tokens": 300,
                "input_cost_per_token": PRICES[name][0],
                "output_cost_per_token": PRICES[name][1],
            },
        }
        for name, prefix in PREFIXES.items()
        for key in keys.get(name, (GOOD_KEY,))
    ]


def router_settings(listed: Sequence[Mapping[str, Any]], redis_url: str) -> dict[str, Any]:
    """Give the Router's arguments but for its retries: https://docs.litellm.ai/docs/router/learn/reliability.

    A list of fallbacks for every kind of error that it knows, a timeout, and Redis, by which its processes share what
    they know of keys.
    """
    address = urlsplit(redis_url)
    return {
        "model_list": listed,
        "fallbacks": FALLBACKS,
        "context_window_fallbacks": FALLBACKS,
        "content_policy_fallbacks": FALLBACKS,
        "timeout": TIMEOUT,
        "redis_host": address.hostname,
        "redis_port": address.port,
    }


def tell(
    stack: Stack,
    variant: str,
    events: int,
    calls: Sequence[Asked],
    mix: Mix,
    *,
    posted: Mapping[int, float],
    cpu: float,
) -> Fallback:
    """Say what came of it."""
    results = [copies[0] for copies in stack.delivered.values()]
    took = sorted(one["at"] - posted[one["result"]["number"]] for one in results)
    views = [stack.show(one["event_id"]) for one in results]
    book = stack.call(lambda ledger: ledger.book(datetime.now(UTC).strftime("%Y-%m-%d")))
    heard = [call for call in calls if mix.heard(call)]
    untold = [call for call in heard if mix.kind(call) == "no usage"]
    refused = [call for call in calls if call.status == 400 and not mix.kind(call)]
    return Fallback(
        variant=variant,
        events=events,
        done=len(results),
        at_first=sum(view.attempts == 0 for view in views),
        unvalidated=sum(not fits(one["result"]) for one in results),
        calls=dict(Counter(call.model for call in calls)),
        p50=percentile(took, 50),
        p99=percentile(took, 99),
        cpu_ms=1000 * cpu / (events + REFUSED),
        refused=REFUSED,
        refused_calls=len(refused),
        told_usd=bill(heard) - bill(untold),
        untold_usd=bill(untold),
        unheard_usd=bill(calls) - bill(heard),
        booked_usd=book.get("all", 0.0),
        on_events_usd=sum(view.cost_usd for view in views),
        held_usd=book.get("held all", 0.0),
    )


def fits(result: Mapping[str, Any]) -> bool:
    """Whether what was delivered is what was asked for."""
    try:
        return bool(Label.model_validate(dict(result)))
    except ValidationError:
        return False


def over(stack: Stack) -> int:
    """Count the events that are over, and whose result has arrived."""
    counts = stack.stats().counts
    return counts.get("dead", 0) + min(counts.get("done", 0), len(stack.delivered))


def cpu_of(stack: Stack) -> float:
    """Give the seconds of CPU that the workers have used."""
    return sum(cpu_seconds(pid) for worker in stack.workers for pid in family(worker.pid))
