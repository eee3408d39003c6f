"""`hookmill top`: the six signals, live: queues, models, outcomes, dead letters, cost, and when the queue is empty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import models, opening, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.ledger import Ledger, Stats
    from otel.instruments import Measure

Every = Annotated[float, typer.Option("--every", min=0.2, max=60, metavar="SECONDS", help="How often it looks.")]
Once = Annotated[bool, typer.Option("--once", help="Look twice, print, and end.")]
ENDS = ("done", "discarded", "delivered", "dead")


def top(*, every: Every = 1.0, once: Once = False) -> None:
    """Watch the ledger live: what is in line and for how long, what ends how, the models, the cost. Ctrl-C ends it."""
    opening.ask(lambda ledger: _watch(ledger, every=every, once=once))


async def _watch(ledger: Ledger, *, every: float, once: bool) -> None:
    import asyncio  # noqa: PLC0415 - keeps `hookmill --help` quick

    from rich.console import Group  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    console = render.console()
    before = await _look(ledger)
    with Live(console=console, auto_refresh=False, screen=not once and console.is_terminal) as live:
        while True:
            await asyncio.sleep(every)
            now = await _look(ledger)
            live.update(Group(*picture(before, now)), refresh=True)
            if once:
                return
            before = now


async def _look(ledger: Ledger) -> tuple[datetime, Stats, list[Measure]]:
    from gateway.ledger.gauges import measure  # noqa: PLC0415 - keeps `hookmill --help` quick

    return datetime.now(UTC), await ledger.stats(), await measure(ledger)


def picture(before: tuple[datetime, Stats, list[Measure]], now: tuple[datetime, Stats, list[Measure]]) -> Iterator[Any]:
    """Draw what changed between two looks; pure."""
    (then, old, _), (moment, stats, measures) = before, now
    seconds = max(0.001, (moment - then).total_seconds())
    gone = {name: stats.counts.get(name, 0) - old.counts.get(name, 0) for name in ENDS}
    yield f"hookmill top  {moment:%H:%M:%S} UTC   workers {len(stats.workers)}   dead letters {_dead(stats.dead)}"
    yield ""
    yield _lines(measures)
    yield ""
    yield "a second   " + " · ".join(f"{name} {count / seconds:.1f}" for name, count in gone.items())
    yield f"empty in   {_empty(measures, gone, seconds)}"
    yield "spent      " + " · ".join(f"this {period} ${dollars:.4f}" for period, dollars in _spent(measures))
    if stats.candidates:
        yield ""
        yield models.table(stats.candidates)


def _lines(measures: list[Measure]) -> Any:
    told: dict[str, dict[str, float]] = {}
    for one, labels, value in measures:
        if one.name in {"app.queue.messages", "app.queue.oldest.age"}:
            told.setdefault(labels["app.lane"], {})[labels.get("app.queue.state", "oldest")] = value
    rows = [
        (lane, str(int(row["ready"])), str(int(row["held"])), render.span(timedelta(seconds=row["oldest"])))
        for lane, row in told.items()
    ]
    return render.table(("lane", ">ready", ">held back", ">oldest"), rows)


def _waiting(measures: list[Measure]) -> float:
    return sum(
        value for one, labels, value in measures
        if one.name == "app.queue.messages" and labels["app.lane"] != "deliveries"
    )  # fmt: skip


def _empty(measures: list[Measure], gone: dict[str, int], seconds: float) -> str:
    waiting, ended = _waiting(measures), gone["done"] + gone["discarded"] + gone["dead"]
    if not waiting:
        return "it is empty"
    return render.span(timedelta(seconds=waiting * seconds / ended)) if ended else "[yellow]nothing moves[/]"


def _spent(measures: list[Measure]) -> list[tuple[str, float]]:
    return [
        (labels["app.period"], value)
        for one, labels, value in measures
        if one.name == "app.llm.spent.usd" and labels["app.what"] == "all"
    ]


def _dead(letters: int) -> str:
    return f"[red]{letters}[/]" if letters else "0"
