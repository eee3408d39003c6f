"""What tracing costs: the same workers without traces, with a tenth of them, and with all."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import httpx
from bench.gateway.subjects import cpu_seconds, otlp_sink
from bench.gateway.tracing import ALL, NONE, TENTH, tracing_env
from bench.runs.rounds import FIRST, rate, ratio, take
from bench.runs.subjects import SHAPES, hookmill
from stack import until

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bench.runs.rounds import Sample
    from bench.runs.subjects import Subject
    from bench.telling import Say

    Sinks = dict[str, tuple[str, int]]

LAST = 20  # seconds in which the last spans arrive


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Workers that trace some share of their runs of one shape, beside those that trace none.

    `arrived` is the share of all spans of all runs that a collector has got, `sink_cpu_us` the collector's CPU for each
    run; both are of all shapes together.
    """

    name: str
    shape: str
    per_second: float
    least: float
    most: float
    cpu_us: float
    to_none: float
    arrived: float
    sink_cpu_us: float


def run_tracing(folder: Path, *, rounds: int, seconds: float, say: Say) -> list[Way]:
    """Take interleaved rounds of the three, for each shape."""
    with ExitStack() as opened:
        sinks = {name: opened.enter_context(otlp_sink(folder / f"sink {name}")) for name in (TENTH, ALL)}
        subjects = []
        for name in (NONE, TENTH, ALL):
            say(f"start: {name}")
            subjects.append(opened.enter_context(_traced(folder / name, name, sinks)))
            subjects[-1].halt()
        cpu = {name: cpu_seconds(pid) for name, (_, pid) in sinks.items()}
        samples, spans, runs = _rounds(subjects, rounds=rounds, seconds=seconds, say=say)
        for one in subjects:
            one.go()
        with suppress(AssertionError):  # what is missing is told
            until(lambda: _count(sinks[ALL]) == spans[ALL], within=LAST, every=2)
        cpu = {name: cpu_seconds(pid) - cpu[name] for name, (_, pid) in sinks.items()}
        arrived = {name: _count(sink) / spans[name] for name, sink in sinks.items()}
    each = {name: cpu[name] / runs[name] * 1e6 for name in sinks}
    return [_way(samples, name, shape, arrived, each) for shape in SHAPES for name in (NONE, TENTH, ALL)]


def _rounds(
    subjects: list[Subject], *, rounds: int, seconds: float, say: Say
) -> tuple[list[Sample], Counter[str], Counter[str]]:
    """Take the rounds; gives also how many spans and runs each subject had, if it traced all."""
    samples: list[Sample] = []
    sizes: dict[str, int] = {}
    spans, runs = Counter[str](), Counter[str]()
    for number in range(rounds + 1):
        for shape in SHAPES:
            for subject in subjects:
                size = sizes.get(shape, FIRST)  # the same for all, so that all have the same rounds
                say(f"round {number} of {rounds}, {shape}: {subject.name}, {size:,} runs")
                told = take(subject, shape, size)
                spans[subject.name] += size * (1 + SHAPES[shape])
                runs[subject.name] += size
                samples += [told] if number else []  # the first warms up
            sizes.setdefault(shape, round(told.per_second * seconds))
    return samples, spans, runs


def _way(samples: list[Sample], name: str, shape: str, arrived: dict[str, float], cpu: dict[str, float]) -> Way:
    rates = rate(samples, name, shape)
    return Way(
        name=name,
        shape=shape,
        per_second=median(rates),
        least=min(rates),
        most=max(rates),
        cpu_us=median(one.cpu_us for one in samples if (one.subject, one.shape) == (name, shape)),
        to_none=ratio(samples, name, NONE, shape),
        arrived=arrived.get(name, 0),
        sink_cpu_us=cpu.get(name, 0),
    )


def _traced(folder: Path, name: str, sinks: Sinks) -> AbstractContextManager[Subject]:
    return hookmill(folder, env=tracing_env(name, sinks), name=name)


def _count(sink: tuple[str, int]) -> int:
    return int(httpx.get(f"{sink[0]}/count", timeout=120).text)
