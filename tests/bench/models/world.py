"""What the parts of this bench share: workers that are started together, events at a steady rate, percentiles."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from stack import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stack import Stack

APPS = Path(__file__).parent / "apps"
PATIENCE = 240  # seconds for workers to start, and for what is left to be worked


def start_workers(stack: Stack, count: int) -> None:
    """Start so many more worker processes, all at once, and wait until they are ready."""
    before = len(stack.workers)
    for _ in range(count):
        stack.start_worker(wait=False)
    until(lambda: all("worker.ready" in stack.log(f"worker{before + one}") for one in range(count)), within=PATIENCE)


async def keep_sending(stack: Stack, bodies: Sequence[bytes], *, per_second: float) -> dict[int, float]:
    """Post each at its time, whether or not those before it are answered; gives when, by the number of its ticket."""
    posted: dict[int, float] = {}
    began = time.monotonic()

    async def one(client: httpx.AsyncClient, place: int, body: bytes) -> None:
        await asyncio.sleep(began + place / per_second - time.monotonic())
        posted[json.loads(body)["number"]] = time.time()
        answer = await client.post(f"{stack.url}/hooks/blog", content=body, headers=stack.signed(body))
        assert answer.status_code == 202, answer.text

    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        await asyncio.gather(*(one(client, place, body) for place, body in enumerate(bodies)))
    return posted


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Give that percentile of values in order; 0 where there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0
