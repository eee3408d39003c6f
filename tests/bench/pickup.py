"""Pickup on an idle system: from the gateway's 202, as its sender reads it, to the first line of the pipeline."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import httpx
from bench.burst import make_redis
from stack import Stack, until

APP = """
import time
from hookmill import Run, pipeline

@pipeline("stamp")
async def stamp(run: Run) -> dict:
    return {"began": time.time(), "received": run.event.received_at.timestamp()}
"""


def percentile(values: list[float], share: float) -> float:
    """Give the value below which that share of them lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def run(events=2000, *, longest_gap=0.04) -> dict[str, float]:
    """Post at random gaps, one after the other; milliseconds."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        (folder / "redis").mkdir()
        (folder / "app.py").write_text(APP)
        redis = make_redis(folder / "redis")
        redis.start()
        opened.callback(redis.stop)
        stack = opened.enter_context(Stack(folder, redis.url, pipeline="app.py:stamp"))
        stack.start_gateway()
        stack.start_worker()
        answered = asyncio.run(_post(stack, events, longest_gap))
        until(lambda: len(stack.delivered) >= events, within=60)
        results = [copies[0] for copies in stack.delivered.values()]
        pickups = [(one["result"]["began"] - answered[one["event_id"]]) * 1000 for one in results]
        receipts = [(one["result"]["began"] - one["result"]["received"]) * 1000 for one in results]
        return {
            "events": len(results),
            "median_ms": round(median(pickups), 2),
            "p99_ms": round(percentile(pickups, 0.99), 2),
            "max_ms": round(max(pickups), 2),
            "from_receipt_median_ms": round(median(receipts), 2),
            "from_receipt_p99_ms": round(percentile(receipts, 0.99), 2),
        }


async def _post(stack: Stack, events: int, longest_gap: float) -> dict[str, float]:
    answered = {}
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        for number in range(events):
            body = json.dumps({"number": number}).encode()
            response = await client.post(f"{stack.url}/hooks/blog", content=body, headers=stack.signed(body))
            answered[response.json()["event_id"]] = time.time()
            await asyncio.sleep(random.uniform(0, longest_gap))
    return answered


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2000)
    print(json.dumps(run(parser.parse_args().events)))


if __name__ == "__main__":
    main()
