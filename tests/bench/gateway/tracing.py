"""What tracing costs: the same gateway without it, with every trace, and with a tenth of them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.gateway.rounds import medians, run_rounds
from bench.gateway.subjects import hookmill, otlp_sink

if TYPE_CHECKING:
    from pathlib import Path

    from bench.telling import Say

AIMS = {"100 %": 0.6, "10 %": 0.85}
WIDTH = 64
SAMPLED = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}


def run_tracing(folder: Path, *, rounds: int, seconds: int, say: Say) -> list[str]:
    """Take interleaved rounds; gives a line per way, with its ratio to no tracing and the aim."""
    with ExitStack() as opened:
        sink = opened.enter_context(otlp_sink(folder / "sink"))
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink, "OTEL_METRICS_EXPORTER": "none"}
        ways = {"none": {}, "100 %": traced, "10 %": traced | SAMPLED}
        subjects = [
            opened.enter_context(hookmill(folder / f"traced{number}", env=env, name=f"traces: {name}"))
            for number, (name, env) in enumerate(ways.items())
        ]
        samples = run_rounds(subjects, connections=(WIDTH,), rounds=rounds, seconds=seconds, say=say)
    told = {name: medians(samples, f"traces: {name}", WIDTH) for name in ways}
    lines = []
    for name, one in told.items():
        ratio, aim = one.per_second / told["none"].per_second, AIMS.get(name, 0.0)
        latency = one.p50_ms / told["none"].p50_ms
        lines.append(
            f"{'✓' if ratio >= aim else '✗'} traces {name}: {one.per_second:.0f} events/s, {ratio:.2f} x (aim {aim}), "
            f"{one.cpu_us:.0f} µs of CPU, p50 {one.p50_ms:.1f} ms ({latency:.2f} x)"
        )
    return lines
