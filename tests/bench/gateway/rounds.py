"""Rounds of wrk, interleaved over the subjects, so that what the machine does meanwhile hits all of them alike."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.gateway.wrk import press

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.gateway.subjects import Subject
    from bench.telling import Say

WARM_UP = 2  # seconds, thrown away
SETTLE = 0.3  # seconds in which what was in flight when wrk left is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One round at one subject; CPU in microseconds per accepted event, of the server and of its Redis."""

    subject: str
    connections: int
    accepted: int
    per_second: float
    cpu_us: float
    redis_cpu_us: float
    p50_ms: float
    p99_ms: float
    stored_bytes: float
    failures: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Medians:
    """The medians of a subject's rounds."""

    per_second: float
    cpu_us: float
    redis_cpu_us: float
    p50_ms: float
    p99_ms: float
    stored_bytes: float
    least: float
    most: float


def run_rounds(
    subjects: Sequence[Subject], *, connections: Sequence[int], rounds: int, seconds: int, say: Say
) -> list[Sample]:
    """Warm each subject up, then take the rounds: for each number of connections, each subject in turn."""
    for subject in subjects:
        say(f"warm-up: {subject.name}")
        press(subject.url, connections=max(connections), seconds=WARM_UP)
    samples = []
    for number in range(rounds):
        for width in connections:
            for subject in subjects:
                say(f"round {number + 1} of {rounds}, {width} connections: {subject.name}")
                samples.append(take(subject, connections=width, seconds=seconds))
    return samples


def take(subject: Subject, *, connections: int, seconds: int) -> Sample:
    """Take one round, over an empty store unless the subject keeps it."""
    subject.clear()
    before = subject.stored() if subject.stored else 0
    memory, cpu, redis_cpu = subject.memory, subject.cpu, subject.redis_cpu
    seen = press(subject.url, connections=connections, seconds=seconds)
    cpu, redis_cpu = subject.cpu - cpu, subject.redis_cpu - redis_cpu
    time.sleep(SETTLE)
    failures, each = dict(seen.failures), max(1, seen.accepted)
    stored = subject.stored() - before if subject.stored else seen.accepted
    if not seen.accepted <= stored <= seen.accepted + connections:  # those in flight at the end wrk does not count
        failures["stored"] = stored - seen.accepted
    return Sample(
        subject=subject.name,
        connections=connections,
        accepted=seen.accepted,
        per_second=seen.accepted / seen.seconds,
        cpu_us=cpu / each * 1e6,
        redis_cpu_us=redis_cpu / each * 1e6,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        stored_bytes=(subject.memory - memory) / max(1, stored),
        failures=failures,
    )


def medians(samples: Sequence[Sample], subject: str, connections: int) -> Medians:
    """Give the medians of one subject at one number of connections."""
    found = [one for one in samples if (one.subject, one.connections) == (subject, connections)]
    rates = [one.per_second for one in found]
    return Medians(
        per_second=median(rates),
        cpu_us=median(one.cpu_us for one in found),
        redis_cpu_us=median(one.redis_cpu_us for one in found),
        p50_ms=median(one.p50_ms for one in found),
        p99_ms=median(one.p99_ms for one in found),
        stored_bytes=median(one.stored_bytes for one in found),
        least=min(rates),
        most=max(rates),
    )


def ratio(samples: Sequence[Sample], subject: str, base: str, connections: int, *, of: str = "per_second") -> float:
    """Give the median of the ratios of rounds that were taken one after the other: what both had to bear drops out."""
    taken = {name: [getattr(one, of) for one in samples if (one.subject, one.connections) == (name, connections)]
             for name in (subject, base)}  # fmt: skip
    return median(ours / theirs for ours, theirs in zip(taken[subject], taken[base], strict=True))


def failures(samples: Sequence[Sample]) -> list[str]:
    """Tell what went wrong, a line per round."""
    return [f"{one.subject}, {one.connections} connections: {one.failures}" for one in samples if one.failures]
