"""A flood of one source, and what it does to a quiet one: the pickup of the quiet source while 10,000 events wait.

The flood is put into the ledger at once, as a gateway would; the quiet source posts, one event after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx
from bench.burst import make_redis
from bench.pickup import percentile
from stack import CONFIG, Stack

from gateway.config import load_config
from gateway.ledger import Admission, Event, new_event_id

APP = """
import asyncio, time
from hookmill import Run, pipeline

async def nap() -> None:
    await asyncio.sleep(0.05)

@pipeline("stamp")
async def stamp(run: Run) -> dict:
    began = time.time()
    await run.step("nap", nap)
    return {"began": began}
"""
QUIET = """
[sources.quiet]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "{pipeline}"
"""


def run(events=10_000, *, quiet=300, longest_gap=0.1) -> dict[str, float]:
    """Flood, post, and measure from the 202 to the first line of the pipeline; milliseconds."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        (folder / "redis").mkdir()
        (folder / "app.py").write_text(APP)
        redis = make_redis(folder / "redis")
        redis.start()
        opened.callback(redis.stop)
        flooded = CONFIG.replace('sinks = ["receiver"]\n', "") + QUIET
        stack = opened.enter_context(Stack(folder, redis.url, pipeline="app.py:stamp", config=flooded, concurrency=20))
        stack.start_gateway()
        stack.start_worker()
        source = load_config(folder / "hookmill.toml", stack.env).sources["blog"]
        stack.call(lambda ledger: _flood(ledger, source, events))
        answered = asyncio.run(_post(stack, quiet, longest_gap))
        waiting = next(group.backlog for group in stack.stats().groups if group.name == "source:blog")
        views = [stack.show(event_id) for event_id in answered]
        pickups = [(view.result["began"] - answered[view.id]) * 1000 for view in views if view.result]
        return {
            "flood": events,
            "flood_waiting_at_the_end": waiting,
            "quiet": len(pickups),
            "median_ms": round(median(pickups), 2),
            "p99_ms": round(percentile(pickups, 0.99), 2),
            "max_ms": round(max(pickups), 2),
        }


async def _flood(ledger, source, events: int) -> None:
    for numbers in _batches(range(events), 64):
        await ledger.admit([_admission(source, number) for number in numbers])


def _batches(numbers: range, size: int):
    return [numbers[at : at + size] for at in range(0, len(numbers), size)]


def _admission(source, number: int) -> Admission:
    now = datetime.now(UTC)
    event = Event(
        id=new_event_id(now), source=source.name, pipeline=source.pipeline, received_at=now, body=b"%d" % number
    )
    return Admission(event=event, rules=source.rules, nonce=f"flood {number}", dedupe_id=f"flood {number}")


async def _post(stack: Stack, events: int, longest_gap: float) -> dict[str, float]:
    answered = {}
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        for number in range(events):
            body = json.dumps({"quiet": number}).encode()
            response = await client.post(f"{stack.url}/hooks/quiet", content=body, headers=stack.signed(body))
            answered[response.json()["event_id"]] = time.time()
            await asyncio.sleep(random.uniform(0, longest_gap))
    await asyncio.sleep(2)
    return answered


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    print(json.dumps(run(parser.parse_args().events)))


if __name__ == "__main__":
    main()
