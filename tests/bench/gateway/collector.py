"""What an ill collector does to those who send events: one gateway, whose collector changes from round to round.

Events come by a fixed schedule, far below what the gateway can take. Of each round the median latency is taken, and its
ratio to that of the round with a healthy collector in the same block; so what the machine does meanwhile drops out. The
interval is that of a percentile bootstrap over the blocks:
https://en.wikipedia.org/wiki/Bootstrapping_(statistics)#Percentile_bootstrap
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.gateway.open_loop import OpenLoop, ask
from bench.gateway.subjects import hookmill, otlp_sink

from gateway.cli.embedded import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.gateway.subjects import Subject
    from bench.telling import Say

OFF, HEALTHY, REFUSED = "no telemetry", "healthy", "refused"
MODES = {HEALTHY: "", REFUSED: "", "hung": "hung", "503": "503", "slow": "slow"}  # and what otlp_sink.py calls it
RATE = 300  # events a second
SETTLE = 1.0  # seconds in which the exporter finds out
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ill:
    """What was seen with a collector in some state; milliseconds, and ratios of medians with their 95 % intervals."""

    state: str
    p50_ms: float
    p99_ms: float
    errors: int
    to_healthy: tuple[float, float, float]
    to_off: tuple[float, float, float]


def run_collector(folder: Path, *, blocks: int, seconds: float, say: Say) -> list[Ill]:
    """Take blocks of a round for each state, in another order each time."""
    port, order = free_port(), random.Random(1)
    seen: dict[str, list[OpenLoop]] = {name: [] for name in (OFF, *MODES)}
    with ExitStack() as opened:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        watched = opened.enter_context(hookmill(folder / "watched", env=env))
        alone = opened.enter_context(hookmill(folder / "alone"))
        for subject in (watched, alone):
            ask(subject.url, rate=RATE, seconds=SETTLE)
        for number in range(1, blocks + 1):
            for state in order.sample(list(seen), len(seen)):
                say(f"block {number} of {blocks}: {state}")
                told = _round(watched if state in MODES else alone, folder / "sink", state, port, seconds=seconds)
                seen[state].append(told)
    return [_ill(state, seen) for state in seen]


def _round(subject: Subject, folder: Path, state: str, port: int, *, seconds: float) -> OpenLoop:
    subject.clear()
    with ExitStack() as opened:
        if state in MODES and state != REFUSED:
            opened.enter_context(otlp_sink(folder, mode=MODES[state], port=port))
        return ask(subject.url, rate=RATE, seconds=SETTLE + seconds, settle=SETTLE)


def _ill(state: str, seen: dict[str, list[OpenLoop]]) -> Ill:
    p50 = {name: [one.p50_ms for one in told] for name, told in seen.items()}
    return Ill(
        state=state,
        p50_ms=median(p50[state]),
        p99_ms=median(one.p99_ms for one in seen[state]),
        errors=sum(sum(one.errors.values()) for one in seen[state]),
        to_healthy=interval(p50[state], p50[HEALTHY]),
        to_off=interval(p50[state], p50[OFF]),
    )


def interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Give the median of the ratios of the blocks, and the 95 % interval of that median, by bootstrap."""
    ratios, chance = [one / other for one, other in zip(ours, theirs, strict=True)], random.Random(1)
    medians = sorted(median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return median(ratios), medians[round(0.025 * RESAMPLES)], medians[round(0.975 * RESAMPLES)]
