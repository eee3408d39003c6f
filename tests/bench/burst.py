"""500 events in a burst at a model that takes 2 s and allows 20 calls at once: accepted, delivered, lost, how long."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fakes import model_server
from stack import Stack, until

from gateway.cli.embedded import DURABLE, Address, EmbeddedRedis, EmbeddedServer, find_server, free_port

MODELS = """
model_list:
  - model_name: gpt
    litellm_params: {{model: openai/gpt-test, api_base: "{url}", api_key: os.environ/FAKE_KEY, timeout: 20}}
hookmill:
  aliases:
    fast: {{candidates: [gpt], deadline: 60s}}
  candidates:
    gpt: {{max_concurrent: {limit}}}
"""
VERDICT = {"sentiment": "neutral", "urgency": "low", "language": "en", "reason": "Asks a question."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What came of a burst; seconds."""

    accepted: int
    delivered: int
    repeats: int
    lost: int
    model_calls: int
    most_at_once: int
    turned_away: int
    took: float
    ideal: float


def make_redis(folder: Path, options: dict[str, str] | None = None) -> EmbeddedRedis:
    """A durable server of its own, with those options besides."""
    address, given = Address(port=free_port()), dict(DURABLE) | (options or {})
    return EmbeddedRedis(EmbeddedServer(binary=find_server(), folder=folder, address=address, options=given))


def run(events=500, latency=2.0, limit=20, *, workers=1, during=None, concurrency=40) -> Burst:
    """Post the burst and wait until all is delivered; `during(stack, redis)` may do harm meanwhile."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        (folder / "redis").mkdir()
        redis = make_redis(folder / "redis")
        redis.start()
        opened.callback(redis.stop)
        provider = opened.enter_context(model_server.serve(latency=latency, limit=limit))
        provider.default = model_server.says(VERDICT)
        models = MODELS.format(url=provider.url, limit=limit)
        stack = opened.enter_context(Stack(folder, redis.url, models=models, concurrency=concurrency))
        stack.start_gateway()
        for _ in range(workers):
            stack.start_worker()
        bodies = [json.dumps({"comment": f"Question {number}?"}).encode() for number in range(events)]
        started = time.monotonic()
        answers = asyncio.run(stack.burst(bodies))
        if during:
            during(stack, redis)
        accepted = {body["event_id"] for status, body in answers if status in (200, 202)}
        until(lambda: len(_events(stack)) >= len(accepted), within=events * latency / limit * 3 + 60)
        took = time.monotonic() - started
        copies = sum(len(got) for got in stack.delivered.values())
        return Burst(
            accepted=len(accepted),
            delivered=len(stack.delivered),
            repeats=copies - len(stack.delivered),
            lost=len(accepted - _events(stack)),
            model_calls=len(provider.calls),
            most_at_once=provider.most,
            turned_away=provider.turned_away,
            took=round(took, 2),
            ideal=events * latency / limit,
        )


def _events(stack: Stack) -> set[str]:
    return {copy["event_id"] for copies in list(stack.delivered.values()) for copy in copies}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--latency", type=float, default=timedelta(seconds=2).total_seconds())
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--concurrency", type=int, default=40)
    options = parser.parse_args()
    burst = run(options.events, options.latency, options.limit, concurrency=options.concurrency)
    print(burst)
    print(f"took {burst.took / burst.ideal:.2f} x the ideal {burst.ideal:.0f} s")


if __name__ == "__main__":
    main()
