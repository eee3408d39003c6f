"""Memory over 100,000 runs: resident bytes of the workers per run, and what Redis keeps when all is past its time."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import redis
from bench.memory import rss
from bench.runs.admit import admit
from bench.runs.subjects import APPS, hookmill
from stack import until

from gateway.ledger import open_ledger
from gateway.ledger.keys import key

if TYPE_CHECKING:
    from pathlib import Path

    from bench.runs.subjects import Subject
    from bench.telling import Say

KEEP = timedelta(seconds=10)
RETENTION = '[retention]\nkeep = "10s"\nkeep_dead = "10s"\n'
WARM_UP = 0.2  # of the runs; their samples are left out of the slope
AT_ONCE = 2000  # runs that are admitted together
SHAPE = "three"
MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes: resident in all worker processes together, and used by Redis."""

    runs: int
    slope: float
    after_warm_up: float
    at_end: float
    redis_before: int
    redis_most: int
    redis_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the workers, after so many runs."""

    runs: int
    resident: float


def run_memory(folder: Path, *, runs: int, say: Say) -> Memory:
    """Work so many runs of three steps; ids are remembered as long as the events, so that all of it can go."""
    with hookmill(folder, more=RETENTION) as subject:
        work(subject, AT_ONCE)
        tidy(subject)
        before, most, looks = subject.memory, 0, []
        for done in range(0, runs, AT_ONCE):
            work(subject, min(AT_ONCE, runs - done))
            looks.append(Look(runs=done + AT_ONCE, resident=sum(map(rss, subject.pids)) * MB))
            most = max(most, subject.memory)
            say(f"memory: {looks[-1].runs:,} of {runs:,} runs, {looks[-1].resident / MB:.1f} MB")
        tidy(subject)
        after = subject.memory
    steady = [one for one in looks if one.runs >= WARM_UP * runs]
    return Memory(
        runs=runs,
        slope=slope(steady),
        after_warm_up=steady[0].resident,
        at_end=steady[-1].resident,
        redis_before=before,
        redis_most=most,
        redis_after=after,
    )


def work(subject: Subject, runs: int) -> None:
    """Admit so many runs and wait until all are over."""
    admit(subject.url, SHAPE, f"{APPS.name}/noop.py:{SHAPE}", runs, ttl=KEEP)
    until(subject.over, within=600)


def slope(looks: list[Look]) -> float:
    """Give the bytes per run, by least squares."""
    if len(looks) < 2:
        return 0.0
    return statistics.linear_regression([one.runs for one in looks], [one.resident for one in looks]).slope


def tidy(subject: Subject) -> None:
    """Wait until everything is past its time, and until expiry and the sweeps of the workers have dropped it."""
    time.sleep(KEEP.total_seconds())
    with redis.Redis.from_url(subject.url, socket_timeout=60) as client:
        until(lambda: not list(client.scan_iter(f"{key('work')}*", count=10_000)), within=120)
        asyncio.run(_sweep(subject.url))


async def _sweep(url: str) -> None:
    """Do what the workers' sweeps do in time, which each drop a bounded number of entries of the lists."""
    ledger = await open_ledger(url, deadline=timedelta(seconds=60))
    while await ledger.redis.zcard(key("index")):
        await ledger.sweep("bench")
    await ledger.retire("bench")
    await ledger.close()
