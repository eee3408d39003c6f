"""What tracing costs, and what an ill collector does, as Markdown for otel/README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.gateway.collector import RATE
from bench.gateway.tables import figure, made_with, markdown, tables
from bench.gateway.tracing import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.gateway.collector import Ill
    from bench.gateway.report import Report
    from bench.gateway.tracing import Way

ROWS = {
    "accepted per second": lambda one: f"{one.medians.per_second:,.0f}",
    "lowest and highest round": lambda one: f"{one.medians.least:,.0f}, {one.medians.most:,.0f}",
    "accepted, to no traces": lambda one: f"{one.to_none:.2f}",
    "CPU per event, µs": lambda one: f"{one.medians.cpu_us:,.0f}",
    "CPU of the collector per event, µs": lambda one: figure(one.sink_cpu_us),
    "latency p50, p99, ms": lambda one: f"{one.medians.p50_ms:.1f}, {one.medians.p99_ms:.1f}",
    "events whose spans arrived": lambda one: f"{one.arrived:.1%}" if one.arrived else "",
}


def tracing_table(ways: Sequence[Way]) -> str:
    """Give the ways side by side."""
    rows = [[f"The gateway, {WIDTH} connections", *(one.name for one in ways)]]
    rows += [[name, *(show(one) for one in ways)] for name, show in ROWS.items()]
    return markdown(rows)


def collector_table(ills: Sequence[Ill]) -> str:
    """Give a row per state of the collector."""
    head = [f"Collector, at {RATE} events/s", "p50, p99, ms", "p50, to a healthy one", "p50, to no telemetry", "errors"]
    rows = [
        [one.state, f"{one.p50_ms:.2f}, {one.p99_ms:.1f}", _interval(one.to_healthy), _interval(one.to_off)]
        for one in ills
    ]
    return markdown([head, *([*row, str(one.errors)] for row, one in zip(rows, ills, strict=True))])


def documents(report: Report) -> Iterator[tuple[str, str, str]]:
    """Give each document that a part belongs to, its place there, and the text."""
    if report.samples or report.flat or report.open_loop or report.splits:
        yield "README.md", "bench-gateway", tables(report)
    if report.ways:
        yield "otel/README.md", "bench-tracing", f"{tracing_table(report.ways)}\n\n{made_with()}"
    if report.ills:
        yield "otel/README.md", "bench-collector", f"{collector_table(report.ills)}\n\n{made_with()}"


def _interval(told: tuple[float, float, float]) -> str:
    middle, low, high = told
    return f"{middle:.2f} ({low:.2f} to {high:.2f})" if low != high else ""
