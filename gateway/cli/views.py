"""Events and deliveries as tables: brief in lists, whole in `show`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway.cli.render import age, plain, plural, size, span, state, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from rich.table import Table

    from gateway.ledger import StepView, WorkView


def brief(views: Sequence[WorkView], now: datetime) -> Table:
    """Make the table of a list: one line per event."""
    rows = [
        (view.id, plain(view.source), state(view.state), plain(_where(view)), age(view.received_at, now), _last(view))
        for view in views
    ]
    return table(("!id", "source", "!state", "at", "!received", "reason"), rows)


def buried(views: Sequence[WorkView], now: datetime) -> Table:
    """Make the table of dead letters: what failed, how, how often."""
    rows = [
        (view.id, plain(view.sink or view.source), plain(_where(view)), view.error_class, str(view.attempts),
         age(view.updated_at, now), plain(view.reason))
        for view in views
    ]  # fmt: skip
    return table(("!id", "from/to", "at", "class", ">tries", "!buried", "reason"), rows)


def _where(view: WorkView) -> str:
    return f"to {view.sink}" if view.kind == "delivery" else view.step


def _last(view: WorkView) -> str:
    parts = [view.error_class, view.reason]
    return plain(": ".join(part for part in parts if part))


def whole(view: WorkView, now: datetime) -> Iterator[Any]:
    """Give everything about one event or delivery, part by part."""
    yield f"[bold]{view.id}[/]  {state(view.state)}{_progress(view)}"
    yield _facts(view, now)
    if view.reason:
        yield f"reason    {_last(view)}"
    if view.due_at and not view.over:
        yield f"due       in {span(view.due_at - now)}"
    if view.steps:
        yield ""
        yield _steps(view.steps)
    if view.deliveries:
        yield ""
        yield _deliveries(view.deliveries, now)
    if view.result is not None:
        yield "\nresult" if view.kind == "run" else "\nreceipt"
        yield plain_block(view.result)


def _progress(view: WorkView) -> str:
    if view.over or view.kind == "delivery":
        return ""
    of = f" of {view.steps_total}" if view.steps_total > len(view.steps) else ""  # 0: the pipeline declares none
    at = f" ({plain(view.step)})" if view.step else ""
    return f"  step {len(view.steps) + 1}{of}{at}"


def _kept(view: WorkView, now: datetime) -> str:
    if view.kept_until is None:
        return "kept      until everything about it is over"
    return f"kept      until {view.kept_until:%Y-%m-%d %H:%M} UTC, for {span(view.kept_until - now)}"


def _facts(view: WorkView, now: datetime) -> str:
    lines = [
        f"source    {plain(view.source)}" + (f" → sink {plain(view.sink)}" if view.sink else ""),
        f"pipeline  {plain(view.pipeline)}",
        f"received  {view.received_at:%Y-%m-%d %H:%M:%S} UTC, {age(view.received_at, now)}",
        f"changed   {view.updated_at:%Y-%m-%d %H:%M:%S} UTC, {age(view.updated_at, now)}",
        f"tries     {plural(view.attempts, 'failed attempt')}, {plural(view.generation, 'replay')} from scratch",
    ]
    if view.kind == "run":
        lines.append(f"body      {size(view.size)}")
        if view.repeated_at:
            lines.append(
                f"repeated  {plural(view.repeats, 'time')}, last {age(view.repeated_at, now)}; not worked again"
            )
        if view.cost_usd:
            lines.append(f"models    ${view.cost_usd:,.6f}, with what failed")
    else:
        lines.append(f"event     {view.event_id}")
    if view.over:
        lines.append(_kept(view, now))
    if view.trace_id:
        lines.append(f"trace     {view.trace_id}")
    return "\n".join(lines)


def _steps(steps: Sequence[StepView]) -> Table:
    rows = [
        (str(number), plain(step.name + (f" [{step.key}]" if step.key else "")), span(step.took), answered(step),
         str(step.calls or ""), f"{step.cost_usd:.5f}" if step.cost_usd else "")
        for number, step in enumerate(steps, 1)
    ]  # fmt: skip
    return table((">#", "step", ">took", "model", ">calls", ">USD"), rows)


def answered(step: StepView) -> str:
    """Say which model answered, and whether it was only a fallback."""
    name = plain(step.candidate or step.model)
    return f"{name} [yellow](degraded)[/]" if step.degraded else name


def _deliveries(deliveries: Sequence[WorkView], now: datetime) -> Table:
    rows = [
        (one.id, plain(one.sink), state(one.state), str(one.attempts), age(one.updated_at, now), _last(one))
        for one in deliveries
    ]
    return table(("!delivery", "sink", "!state", ">failed", "!changed", "reason"), rows)


def plain_block(value: Any) -> str:
    """Give a JSON value as indented text that Rich prints as it is."""
    return "\n".join(plain(line) for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines())
