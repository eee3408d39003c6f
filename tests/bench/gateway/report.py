"""What a run found, held against what is promised, and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.gateway.collector import HEALTHY, MODES
from bench.gateway.flat import CONNECTIONS as FLAT_WIDTH
from bench.gateway.flat import EMPTY, REMEMBERED, STORED_ALL
from bench.gateway.rounds import Sample, failures, ratio
from bench.gateway.tracing import ALL, TENTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.gateway.collector import Ill
    from bench.gateway.cpu import Split
    from bench.gateway.flat import Flat
    from bench.gateway.open_loop import OpenLoop
    from bench.gateway.tracing import Way

BARE, GATEWAY, USUAL = "bare route", "gateway", "usual design"
LEAST = {TENTH: 0.85, ALL: 0.6}  # of what is accepted without traces


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One promise, what was measured, and whether it holds."""

    what: str
    measured: float
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was measured; what was not asked for is empty."""

    samples: Sequence[Sample] = ()
    flat: Flat | None = None
    open_loop: OpenLoop | None = None
    splits: Sequence[Split] = ()
    ways: Sequence[Way] = ()
    untraced: Sequence[str] = ()
    ills: Sequence[Ill] = ()

    @property
    def subjects(self) -> list[str]:
        """Who took part in the comparison, in order."""
        return list(dict.fromkeys(one.subject for one in self.samples))

    @property
    def widths(self) -> list[int]:
        """The numbers of connections of the comparison."""
        return sorted({one.connections for one in self.samples})

    @property
    def failures(self) -> list[str]:
        """Every answer that was no 202, every broken connection, and what was answered but not stored."""
        found = failures(self.samples) + failures(self.flat.samples if self.flat else ()) + list(self.untraced)
        found += [f"collector {one.state}: {one.errors} errors" for one in self.ills if one.errors]
        return found + ([f"open loop: {self.open_loop.errors}"] if self.open_loop and self.open_loop.errors else [])


def aims(report: Report) -> Iterator[Aim]:
    """Hold what was measured against what is promised; ratios are medians over the rounds."""
    for width in report.widths if GATEWAY in report.subjects else ():
        if BARE in report.subjects:
            rate, cpu = (ratio(report.samples, GATEWAY, BARE, width, of=of) for of in ("per_second", "cpu_us"))
            yield least(f"accepted per second, to the bare route, {width} connections", rate, 0.5)
            yield most(f"CPU per event, to the bare route, {width} connections", cpu, 2)
        if USUAL in report.subjects:
            rate = ratio(report.samples, GATEWAY, USUAL, width)
            yield least(f"accepted per second, to the usual design, {width} connections", rate, 6)
    for store in (REMEMBERED, STORED_ALL) if report.flat else ():
        rate = ratio(report.flat.samples, store, EMPTY, FLAT_WIDTH)
        yield least(f"accepted per second with {report.flat.events:,} events {store}, to an empty store", rate, 0.9)
    if report.open_loop:
        yield most("p99 of the open loop, ms", report.open_loop.p99_ms, 25)
        yield most("errors of the open loop", sum(report.open_loop.errors.values()), 0)
    for way in report.ways:
        if way.name in LEAST:
            yield least(f"accepted per second with {way.name} of the traces, to none", way.to_none, LEAST[way.name])
    for ill in report.ills:
        if ill.state in MODES and ill.state != HEALTHY:
            yield most(f"p50, collector {ill.state}, to healthy: lower end of the interval", ill.to_healthy[1], 1)
            yield least(f"p50, collector {ill.state}, to healthy: upper end of the interval", ill.to_healthy[2], 1)


def least(what: str, measured: float, bound: float) -> Aim:
    """Promise at least that much."""
    return Aim(what=f"{what}: at least {bound:g}", measured=measured, reached=measured >= bound)


def most(what: str, measured: float, bound: float) -> Aim:
    """Promise at most that much."""
    return Aim(what=f"{what}: at most {bound:g}", measured=measured, reached=measured <= bound)


def as_json(report: Report) -> dict[str, Any]:
    """Give everything, for a file."""
    return {
        "samples": [asdict(one) for one in report.samples],
        "flat": asdict(report.flat) if report.flat else None,
        "open_loop": asdict(report.open_loop) if report.open_loop else None,
        "splits": [asdict(one) for one in report.splits],
        "ways": [asdict(one) for one in report.ways],
        "ills": [asdict(one) for one in report.ills],
        "aims": [asdict(one) for one in aims(report)],
        "failures": report.failures,
    }
