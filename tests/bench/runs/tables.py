"""What was measured, as Markdown, and held against what is promised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING

from bench.gateway.report import Aim, least, most
from bench.gateway.tables import figure, markdown, setting
from bench.gateway.tracing import ALL, NONE
from bench.peers import LOCK
from bench.runs.failure import SHARE, STEPS
from bench.runs.memory import MB
from bench.runs.rounds import rate, ratio
from bench.runs.subjects import CELERY, HOOKMILL, PREFORK, PROCESSES, SHAPES, THREADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.runs.failure import Cost
    from bench.runs.memory import Memory
    from bench.runs.rounds import Commands, Sample
    from bench.runs.tracing import Way

TRACED = 0.85  # of the runs per second without traces, with all
FLAT = 10.0  # bytes per run that count as none: a leak of one small object is more
PUBLISHED_SUCCESS, PUBLISHED_SAVING = 99.4, -31.0  # of such a chain, in percent; 64 % without checkpoints
NAMES = {
    "once": "no retry",
    "scratch": "retried from the beginning",
    "checkpoints": "retried from the last checkpoint",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was measured; what was not asked for is empty."""

    samples: Sequence[Sample] = ()
    commands: Sequence[Commands] = ()
    memory: Memory | None = None
    costs: Sequence[Cost] = ()
    ways: Sequence[Way] = ()

    @property
    def subjects(self) -> list[str]:
        """Who took part in the comparison, in order."""
        return list(dict.fromkeys(one.subject for one in self.samples))

    def base(self, shape: str) -> str:
        """Name the quicker Celery, "" where none took part."""
        celeries = [one for one in (CELERY, PREFORK) if one in self.subjects]
        return max(celeries, key=lambda one: median(rate(self.samples, one, shape)), default="")

    def cost(self, variant: str) -> Cost:
        """Give what came of a variant."""
        return next(one for one in self.costs if one.variant == variant)


def aims(report: Report) -> Iterator[Aim]:
    """Hold what was measured against what is promised."""
    for shape in SHAPES if HOOKMILL in report.subjects else ():
        if base := report.base(shape):
            yield least(f"runs per second to {base}, {shape} step(s)", ratio(report.samples, HOOKMILL, base, shape), 1)
    if report.memory:
        yield most("bytes that the workers grow by per run", report.memory.slope, FLAT)
    if report.costs:
        ours, scratch = report.cost("checkpoints"), report.cost("scratch")
        yield least("success with checkpoints, %", 100 * ours.success, PUBLISHED_SUCCESS)
        yield most("answers paid per success with checkpoints", ours.answered_each, STEPS)
        yield most("the same to a retry from the beginning, %", 100 * saved(ours, scratch), PUBLISHED_SAVING)
    for way in report.ways:
        if way.name == ALL:
            yield least(f"runs per second with all traces, to none, {way.shape} step(s)", way.to_none, TRACED)


def saved(ours: Cost, theirs: Cost) -> float:
    """Give by which share ours pays more per success; less is negative."""
    return ours.answered_each / theirs.answered_each - 1


def documents(report: Report) -> Iterator[tuple[str, str, str]]:
    """Give each document that a part belongs to, its place there, and the text."""
    if report.samples or report.memory or report.costs:
        yield "actors/README.md", "bench-runs", tables(report)
    if report.ways:
        yield "otel/README.md", "bench-tracing-runs", f"{tracing(report.ways)}\n\n{setting()}"


def tracing(ways: Sequence[Way]) -> str:
    """Give what tracing costs."""
    head = [
        f"Workers, {PROCESSES} x {THREADS}",
        "runs/s",
        "lowest, highest",
        "to no traces",
        "CPU per run, µs",
        "of the collector",
        "spans arrived",
    ]
    rows = []
    for one in ways:
        rates = [f"{one.per_second:,.0f}", f"{one.least:,.0f}, {one.most:,.0f}", f"{one.to_none:.2f}"]
        cpu = [f"{one.cpu_us:,.0f}", figure(one.sink_cpu_us), "" if one.name == NONE else f"{one.arrived:.1%}"]
        rows.append([f"{steps(one.shape)}, {one.name}", *rates, *cpu])
    return markdown([head, *rows])


def tables(report: Report) -> str:
    """Give all tables of the workers beside others, and what they were made with."""
    parts = [compared(report, shape) for shape in SHAPES if report.samples]
    parts += [asked(report)] if report.commands else []
    parts += [memory(report.memory)] if report.memory else []
    parts += [failure(report)] if report.costs else []
    return "\n\n".join([*parts, setting(*programs())])


def programs() -> list[str]:
    """Name what took part, with versions."""
    locked = {name: re.search(rf"^{name}==(\S+)", LOCK.read_text(), re.MULTILINE)[1] for name in ("celery", "dramatiq")}
    return [f"Dramatiq {version('dramatiq')} (the peer: {locked['dramatiq']})", f"Celery {locked['celery']}"]


def compared(report: Report, shape: str) -> str:
    """Give the comparison of runs of that shape."""
    base = report.base(shape)
    rows = [
        [
            f"Runs of {steps(shape)}, {PROCESSES} x {THREADS}",
            "runs/s",
            "lowest, highest",
            "CPU per run, µs",
            "of its Redis",
        ]
    ]
    rows[0] += ["to Celery"] if base else []
    for name in report.subjects:
        found = [one for one in report.samples if (one.subject, one.shape) == (name, shape)]
        rates = rate(report.samples, name, shape)
        cpu = [f"{median(getattr(one, of) for one in found):,.0f}" for of in ("cpu_us", "redis_cpu_us")]
        row = [name, f"{median(rates):,.0f}", f"{min(rates):,.0f}, {max(rates):,.0f}", *cpu]
        rows.append(row + ([f"{ratio(report.samples, name, base, shape):.2f}"] if base else []))
    return markdown(rows)


def steps(shape: str) -> str:
    """Name a shape."""
    return "one step" if SHAPES[shape] == 1 else f"{shape} steps"


def asked(report: Report) -> str:
    """Give the commands per run."""
    rows = [["Redis commands per run", *(f"{shape}: {kind}" for shape in SHAPES for kind in ("sent", "in scripts"))]]
    for name in dict.fromkeys(one.subject for one in report.commands):
        found = {one.shape: one for one in report.commands if one.subject == name}
        kinds = [kind for shape in SHAPES if shape in found for kind in (found[shape].sent, found[shape].inside)]
        rows.append([name, *(f"{sum(kind.values()):.1f}" for kind in kinds)])
    return markdown(rows)


def memory(one: Memory) -> str:
    """Give the memory."""
    head = [f"Memory over {one.runs:,} runs of three steps", "bytes per run", "after the warm-up", "at the end"]
    workers = [
        "workers, resident",
        f"{one.slope:,.1f}",
        *(f"{each / MB:,.1f} MB" for each in (one.after_warm_up, one.at_end)),
    ]
    grown = (one.redis_after - one.redis_before) / one.runs
    kept = ["Redis, when all is past its retention", f"{grown:,.1f}"]
    kept += [f"{each / MB:,.1f} MB" for each in (one.redis_before, one.redis_after)]
    return markdown([head, workers, kept])


def failure(report: Report) -> str:
    """Give the cost of failure."""
    events = report.costs[0].events
    what = f"{events:,} events, {STEPS} steps, each failing with {SHARE:.0%}"
    rows = [
        [what, "attempts", "success", "calls", "of them paid", "calls per success", "paid per success", "to the second"]
    ]
    scratch = report.cost("scratch")
    for one in report.costs:
        figures = [str(one.attempts), f"{one.success:.1%}", f"{one.calls:,}", f"{one.answered:,}"]
        each = [f"{one.calls_each:.2f}", f"{one.answered_each:.2f}", f"{saved(one, scratch):+.1%}"]
        rows.append([NAMES[one.variant], *figures, *each])
    return markdown(rows)
