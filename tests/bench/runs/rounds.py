"""Rounds over the subjects in turn: runs are queued while all stand still, then one of them works them off."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.runs.commands import watching
from stack import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.runs.subjects import Subject
    from bench.telling import Say

FIRST = 1000  # runs of the warm-up, which tells how many make a round
COUNTED = 500  # runs whose commands are counted
LOOK = 0.05  # seconds between two looks at what is left


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One round; CPU in microseconds per run."""

    subject: str
    shape: str
    runs: int
    per_second: float
    cpu_us: float
    redis_cpu_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """What a run costs Redis; commands per run by name."""

    subject: str
    shape: str
    sent: dict[str, float]
    inside: dict[str, float]


def run_rounds(
    subjects: Sequence[Subject], *, shapes: Sequence[str], rounds: int, seconds: float, say: Say
) -> tuple[list[Sample], list[Commands]]:
    """Warm up and count commands, then take the rounds: for each shape, each subject in turn."""
    for subject in subjects:
        subject.halt()
    sizes, commands, samples = {}, [], []
    for shape in shapes:
        for subject in subjects:
            say(f"warm-up, {shape}: {subject.name}")
            sizes[subject.name, shape] = round(take(subject, shape, FIRST).per_second * seconds)
            commands.append(count(subject, shape))
    for number in range(rounds):
        for shape in shapes:
            for subject in subjects:
                size = sizes[subject.name, shape]
                say(f"round {number + 1} of {rounds}, {shape}: {subject.name}, {size:,} runs")
                samples.append(take(subject, shape, size))
    return samples, commands


def take(subject: Subject, shape: str, runs: int) -> Sample:
    """Take one round of so many runs, from a queue that is full to one that is empty."""
    subject.queue(shape, runs)
    cpu, redis_cpu = subject.cpu, subject.redis_cpu
    took = work_off(subject)
    return Sample(
        subject=subject.name,
        shape=shape,
        runs=runs,
        per_second=runs / took,
        cpu_us=(subject.cpu - cpu) / runs * 1e6,
        redis_cpu_us=(subject.redis_cpu - redis_cpu) / runs * 1e6,
    )


def work_off(subject: Subject) -> float:
    """Let it work until nothing is left; gives the seconds."""
    started = time.monotonic()
    subject.go()
    try:
        until(subject.over, within=600, every=LOOK)
        return time.monotonic() - started
    finally:
        subject.halt()


def count(subject: Subject, shape: str) -> Commands:
    """Count the commands of some runs."""
    subject.queue(shape, COUNTED)
    with watching(subject.url, but=f"127.0.0.1:{_port(subject)}") as seen:
        work_off(subject)
    each = [{name: times / COUNTED for name, times in kind.most_common()} for kind in (seen.sent, seen.inside)]
    return Commands(subject=subject.name, shape=shape, sent=each[0], inside=each[1])


def _port(subject: Subject) -> int:
    """Give the local port of our own client, which must keep it."""
    pool = subject.client.connection_pool
    connection = pool.get_connection()
    try:
        return connection._sock.getsockname()[1]
    finally:
        pool.release(connection)


def rate(samples: Sequence[Sample], subject: str, shape: str) -> list[float]:
    """Give the runs per second of its rounds."""
    return [one.per_second for one in samples if (one.subject, one.shape) == (subject, shape)]


def ratio(samples: Sequence[Sample], subject: str, base: str, shape: str) -> float:
    """Give the median of the ratios of rounds that were taken one after the other."""
    pairs = zip(rate(samples, subject, shape), rate(samples, base, shape), strict=True)
    return median(ours / theirs for ours, theirs in pairs)
