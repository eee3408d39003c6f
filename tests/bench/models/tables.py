"""What was measured, as Markdown, and held against what is promised."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from bench.gateway.report import Aim, least, most
from bench.gateway.tables import markdown, setting
from bench.models.fallback import AT_ONCE, OURS, RATE, ROUTER, WORKERS
from bench.models.limits import BUDGET
from bench.models.limits import WORKERS as LIMITED_WORKERS
from bench.models.mix import SHARES
from bench.models.trouble import COMPRESSED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.models.fallback import Fallback
    from bench.models.limits import Budgeted, Limits
    from bench.models.trouble import Hang, Storm

MARK = "bench-models"
NAMES = {OURS: "run.ask", ROUTER: "Router, 2 retries", AT_ONCE: "Router, no retries"}
CENT = 0.01
SLACK = 0.5  # seconds that an answer may come later than the share of who hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was measured; what was not asked for is empty."""

    fallback: Sequence[Fallback] = ()
    hang: Hang | None = None
    storm: Storm | None = None
    limits: Limits | None = None
    budgets: Sequence[Budgeted] = ()


def aims(report: Report) -> Iterator[Aim]:
    """Hold what was measured against what is promised."""
    for one in report.fallback:
        if one.variant == OURS:
            yield least("events done, %", 100 * one.success, 99.9)
            yield most("results delivered that nobody validated", one.unvalidated, 0)
            yield most("cents between the providers' book and ours, of answers that arrived", 100 * off(one), 1)
    if report.hang:
        yield most("seconds until the fallback's answer, p99", report.hang.p99, report.hang.share + SLACK)
    if report.storm:
        yield most("events lost in the storm", report.storm.events - report.storm.done, 0)
        yield most("attempts burnt in the storm", report.storm.burnt, 0)
    if report.limits:
        yield most("calls in any 60 s", report.limits.most_in_a_minute, report.limits.rpm)
        yield most("calls at once", report.limits.most_at_once, report.limits.concurrent)
        yield least("of the limit used, %", 100 * report.limits.used, 90)
    for one in report.budgets:
        yield most(f"US dollars of a budget, {one.workers} worker processes", one.billed_usd, BUDGET)


def off(one: Fallback) -> float:
    """Give the US dollars between what the providers bill for answers that arrived, and what we booked."""
    return abs(one.booked_usd - one.told_usd - one.untold_usd)


def tables(report: Report) -> str:
    """Give all tables, and what they were made with."""
    parts = [fallback(report.fallback), books(report.fallback)] if report.fallback else []
    parts += [hang(report.hang)] if report.hang else []
    parts += [storm(report.storm)] if report.storm else []
    parts += [limits(report.limits)] if report.limits else []
    parts += [budgets(report.budgets)] if report.budgets else []
    return "\n\n".join([*parts, setting(f"LiteLLM {version('litellm')}")])


def fallback(found: Sequence[Fallback]) -> str:
    """Give the comparison."""
    shares = ", ".join(f"{share:.0%}" for share in SHARES.values())
    events = found[0].events
    head = f"{events:,} events, {RATE}/s, {WORKERS} worker processes, models failing {shares}"
    rows = [[head, *(NAMES[one.variant] for one in found)]]
    lines: Sequence[tuple[str, Callable[[Fallback], str]]] = (
        ("done", lambda one: f"{one.success:.1%}"),
        ("of these at the first attempt", lambda one: f"{one.at_first / max(1, one.done):.1%}"),
        ("delivered without being validated", lambda one: f"{one.unvalidated}"),
        *((f"calls of the {name}", lambda one, name=name: f"{one.calls.get(name, 0):,}") for name in SHARES),
        (f"calls for {found[0].refused} events that all models refuse", lambda one: f"{one.refused_calls}"),
        ("from the event to its delivery, p50, p99", lambda one: f"{one.p50:.2f} s, {one.p99:.2f} s"),
        ("CPU of the workers per event, ms", lambda one: f"{one.cpu_ms:.1f}"),
        ("billed by the providers", lambda one: f"${one.billed_usd:.4f}"),
    )
    return markdown([*rows, *([name, *map(line, found)] for name, line in lines)])


def books(found: Sequence[Fallback]) -> str:
    """Give what the providers' book says of our own asks, and what ours does."""
    [one] = [one for one in found if one.variant == OURS]
    return markdown(
        [
            ["US dollars, for run.ask", "providers' book", "ours"],
            ["answers that told their tokens", f"{one.told_usd:.4f}", ""],
            ["answers that did not", f"{one.untold_usd:.4f}", "estimated"],
            ["both", f"{one.told_usd + one.untold_usd:.4f}", f"{one.booked_usd:.4f}"],
            ["the same, as the events tell it", "", f"{one.on_events_usd:.4f}"],
            ["answers that never arrived", f"{one.unheard_usd:.4f}", f"{one.held_usd:.4f} stay reserved"],
        ]
    )


def hang(one: Hang) -> str:
    """Give what a hang costs."""
    return markdown(
        [
            ["The first of three models hangs", "answered by the second", "its share", "p50", "p99"],
            [f"{one.asks} asks", f"{one.answered}", f"{one.share:.1f} s", f"{one.p50:.2f} s", f"{one.p99:.2f} s"],
        ]
    )


def storm(one: Storm) -> str:
    """Give the storm."""
    head = ["A storm of 429", "events", "calls in it", "lost", "attempts burnt", "first answer after it", "all over"]
    lost = one.events - one.done
    after = [f"{one.first_after:.1f} s", f"{one.after:.1f} s"]
    whole = f"{one.seconds:.0f} s, for {COMPRESSED * one.seconds / 60:.0f} minutes"
    return markdown([head, [whole, f"{one.events:,}", f"{one.calls}", f"{lost}", f"{one.burnt}", *after]])


def limits(one: Limits) -> str:
    """Give what the upstream saw."""
    head = [f"{one.events} events at once, {LIMITED_WORKERS} worker processes", "the limit", "the most that was seen"]
    return markdown(
        [
            head,
            ["calls in any 60 s", f"{one.rpm}", f"{one.most_in_a_minute}"],
            ["calls at once", f"{one.concurrent}", f"{one.most_at_once}"],
            ["of the limit used while there was work", "", f"{one.used:.1%} of {one.seconds:.0f} s"],
        ]
    )


def budgets(found: Sequence[Budgeted]) -> str:
    """Give what was spent."""
    head = [f"A budget of ${BUDGET:.2f}", "events done", "paid calls", "billed", "in our book", "reserved"]
    rows = [
        [
            f"{one.workers} worker process{'es' if one.workers > 1 else ''}",
            f"{one.done} of {one.events}",
            f"{one.calls}",
            *(f"${each:.4f}" for each in (one.billed_usd, one.booked_usd, one.held_usd)),
        ]
        for one in found
    ]
    return markdown([head, *rows])
