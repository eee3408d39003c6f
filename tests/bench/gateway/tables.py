"""A report as Markdown, and its place in a document."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bench.gateway.flat import CONNECTIONS as FLAT_WIDTH
from bench.gateway.flat import EMPTY, Flat
from bench.gateway.report import BARE, Report
from bench.gateway.rounds import Medians, medians, ratio
from bench.gateway.wrk import BODY

from gateway.cli.embedded import find_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.gateway.cpu import Split
    from bench.gateway.open_loop import OpenLoop

ROWS = {
    "accepted per second": lambda one: f"{one.per_second:,.0f}",
    "lowest and highest round": lambda one: f"{one.least:,.0f}, {one.most:,.0f}",
    "CPU per event, µs": lambda one: f"{one.cpu_us:,.0f}",
    "CPU of its Redis per event, µs": lambda one: figure(one.redis_cpu_us),
    "latency p50, p99, ms": lambda one: f"{one.p50_ms:.1f}, {one.p99_ms:.1f}",
}


def write_between(file: Path, text: str, *, mark: str) -> None:
    """Put the text between the two markers of a document, `<!-- mark -->` and `<!-- /mark -->`."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, _, rest = file.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{file} has no {begin} and {end}")
    file.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def tables(report: Report) -> str:
    """Give all tables, and what they were made with."""
    parts = [compared(report, width) for width in report.widths]
    parts += [flat(report.flat)] if report.flat else []
    parts += [open_loop(report.open_loop)] if report.open_loop else []
    parts += [splits(report.splits)] if report.splits else []
    return "\n\n".join([*parts, made_with()])


def made_with() -> str:
    """Say what a gateway was measured with."""
    return setting(f"uvicorn {version('uvicorn')}", f"Starlette {version('starlette')}")


def compared(report: Report, width: int) -> str:
    """Give the comparison at one number of connections."""
    found = {name: medians(report.samples, name, width) for name in report.subjects}
    rows = [[f"{width} connections", *found]]
    rows += [[name, *(show(one) for one in found.values())] for name, show in ROWS.items()]
    if BARE in found:
        for name, of in {"accepted": "per_second", "CPU": "cpu_us"}.items():
            ratios = (ratio(report.samples, subject, BARE, width, of=of) for subject in found)
            rows.append([f"{name}, to the bare route", *(f"{one:.2f}" for one in ratios)])
    body = BODY.stat().st_size
    rows.append([f"Redis bytes per stored event, its body {body:,}", *(size(one) for one in found.values())])
    return markdown(rows)


def size(one: Medians) -> str:
    """Show the bytes of Redis per event."""
    return figure(one.stored_bytes)


def flat(flat: Flat) -> str:
    """Give the stores."""
    rows = [["Store", "accepted per second", "to the empty one", "Redis bytes for each"]]
    for name in dict.fromkeys(one.subject for one in flat.samples):
        what = name if name == EMPTY else f"{flat.events:,} events {name}"
        rate = medians(flat.samples, name, FLAT_WIDTH).per_second
        to_empty = ratio(flat.samples, name, EMPTY, FLAT_WIDTH)
        rows.append([what, f"{rate:,.0f}", f"{to_empty:.2f}", figure(flat.bytes_each.get(name, 0))])
    return markdown(rows)


def open_loop(one: OpenLoop) -> str:
    """Give the open loop."""
    head = [f"{one.rate:,.0f}/s for {one.seconds:g} s", "p50", "p99", "p99.9", "slowest", "errors", "sender late, p99"]
    times = [f"{value:.1f} ms" for value in (one.p50_ms, one.p99_ms, one.p999_ms, one.max_ms)]
    what = f"{one.accepted:,} of {one.due:,} accepted"
    return markdown([head, [what, *times, str(sum(one.errors.values())), f"{one.late_p99_ms:.1f} ms"]])


def splits(splits: Sequence[Split]) -> str:
    """Give where the CPU of an event goes, what the last of them spends most on first."""
    names = dict.fromkeys(name for one in reversed(splits) for name in one.layers)
    rows = [["CPU per event, µs, by a sampler", *(one.subject for one in splits)]]
    rows += [[name, *(figure(one.layers.get(name, 0)) for one in splits)] for name in names]
    rows.append(["together", *(figure(one.cpu_us) for one in splits)])
    rows.append(["of it in the kernel", *(figure(one.cpu_us * one.kernel) for one in splits)])
    return markdown(rows)


def setting(*programs: str) -> str:
    """Say when and with what it was measured; `programs` are names with versions."""
    parts = [f"{datetime.now(UTC):%Y-%m-%d}", cpu_model(), f"{len(os.sched_getaffinity(0))} cores"]
    parts += [f"CPython {platform.python_version()}", *programs]
    parts += [f"Redis {'.'.join(map(str, find_server().version))}"]
    return f"Measured {', '.join(parts)}."


def cpu_model() -> str:
    """Give the name of the processor."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def figure(value: float) -> str:
    """Show a number without a fraction; nothing for none."""
    return f"{value:,.0f}" if value else ""


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Give a table; the first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
