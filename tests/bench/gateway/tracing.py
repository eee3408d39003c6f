"""What tracing costs: the same gateway without traces, with a tenth of them, and with all."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpx
from bench.gateway.rounds import failures, medians, ratio, run_rounds
from bench.gateway.subjects import cpu_seconds, hookmill, otlp_sink

if TYPE_CHECKING:
    from pathlib import Path

    from bench.gateway.rounds import Medians
    from bench.gateway.subjects import Subject
    from bench.telling import Say

    Sinks = dict[str, tuple[str, int]]

NONE, TENTH, ALL = "no traces", "10 %", "100 %"
WIDTH = 64
SPANS_EACH = 2  # the request, and the event that it left
SAMPLED = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A gateway that traces some share of its events: its rounds, beside those without traces.

    `arrived` is the share of all its events whose spans a collector has got, `sink_cpu_us` the collector's CPU for
    each event.
    """

    name: str
    medians: Medians
    to_none: float
    arrived: float
    sink_cpu_us: float


def run_tracing(folder: Path, *, rounds: int, seconds: int, say: Say) -> tuple[list[Way], list[str]]:
    """Take interleaved rounds of the three; gives also what failed."""
    stored = Counter[str]()
    with ExitStack() as collectors:
        sinks = {name: collectors.enter_context(otlp_sink(folder / f"sink {name}")) for name in (TENTH, ALL)}
        with ExitStack() as gateways:
            counted = [
                _counting(
                    gateways.enter_context(hookmill(folder / name, env=tracing_env(name, sinks), name=name)), stored
                )
                for name in (NONE, TENTH, ALL)
            ]
            cpu = {name: cpu_seconds(pid) for name, (_, pid) in sinks.items()}
            samples = run_rounds(counted, connections=(WIDTH,), rounds=rounds, seconds=seconds, say=say)
            for one in counted:
                one.clear()
        cpu = {name: cpu_seconds(pid) - cpu[name] for name, (_, pid) in sinks.items()}
        arrived = {name: int(httpx.get(f"{url}/count", timeout=120).text) for name, (url, _) in sinks.items()}
    ways = [
        Way(
            name=name,
            medians=medians(samples, name, WIDTH),
            to_none=ratio(samples, name, NONE, WIDTH),
            arrived=arrived.get(name, 0) / SPANS_EACH / stored[name],
            sink_cpu_us=cpu.get(name, 0) / stored[name] * 1e6,
        )
        for name in (NONE, TENTH, ALL)
    ]
    return ways, failures(samples)


def tracing_env(name: str, sinks: Sinks) -> dict[str, str]:
    """Give the variables by which a process traces that share to its collector."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": sinks[name][0], "OTEL_METRICS_EXPORTER": "none"} if name in sinks else {}
    return env | (SAMPLED if name == TENTH else {})


def _counting(subject: Subject, stored: Counter[str]) -> Subject:
    """Count what it has stored before it is forgotten."""

    def clear() -> None:
        stored[subject.name] += subject.stored()
        subject.clear()

    return replace(subject, clear=clear)
