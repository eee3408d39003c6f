"""Many dead letters at once: counted, asked about, worked through with progress; Ctrl-C stops in good order."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from gateway.cli import opening, render, views

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence

    from gateway.ledger import Filter, Ledger, Tally, WorkView
    from gateway.ledger.bulk import Action

STOPPED = 130  # the exit code after Ctrl-C, as shells have it
SHOWN = 10
PAUSE = 0.5  # seconds, while as many as may be wait for their turn
PAST = {"replay": "replayed", "discard": "discarded"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do with which letters, at most with how many, and how to talk about it."""

    action: Action
    wanted: Filter
    most: int | None = None
    scratch: bool = False
    yes: bool = False
    as_json: bool = False


def count(plan: Plan, ids: Sequence[str]) -> None:
    """Say how many it would be, of these ids or by the filter, and show the first of them."""

    async def look(ledger: Ledger) -> tuple[int, list[WorkView]]:
        if not ids:
            return await _count(ledger, plan)
        letters = [view for view in await ledger.briefs(ids) if view and view.state == "dead"]
        return len(letters), letters[:SHOWN]

    number, first = opening.ask(look)
    if plan.as_json:
        render.show_json({"count": number, "first": [view.json() for view in first]})
        return
    if first:
        render.show(views.buried(first, opening.now()))
    more = f" ({number - len(first)} more than shown)" if number > len(first) else ""
    print(f"{render.plural(number, 'dead letter')} would be {PAST[plan.action]}{more}.")


def run(plan: Plan) -> None:
    """Count, ask, and do it; exit code 1 if some were skipped, 130 if it was stopped."""
    number, _ = opening.ask(lambda ledger: _count(ledger, plan))
    if number and not plan.yes:
        what = f"{plan.action.capitalize()} {render.plural(number, 'dead letter')}"
        typer.confirm(f"{what}{' for good' if plan.action == 'discard' else ''}?", abort=True, err=True)
    tally, stopped = opening.ask(lambda ledger: _carry_out(ledger, plan, number), retention=opening.retention())
    _tell(plan, tally, number, stopped=stopped)
    if stopped:
        raise typer.Exit(STOPPED)
    if tally.skipped:
        raise typer.Exit(1)


async def _count(ledger: Ledger, plan: Plan) -> tuple[int, list[WorkView]]:
    number = 0
    first: list[WorkView] = []
    async for page in ledger.dead_pages(wanted=plan.wanted):
        number += len(page)
        first += page[: SHOWN - len(first)]
        if plan.most is not None and number >= plan.most:
            return plan.most, first[: plan.most]
    return number, first


async def _carry_out(ledger: Ledger, plan: Plan, number: int) -> tuple[Tally, bool]:
    """Do it; gives how far it got, and whether it was stopped before its end."""
    import asyncio  # noqa: PLC0415 - keeps `hookmill --help` quick
    import secrets  # noqa: PLC0415
    from contextlib import aclosing, suppress  # noqa: PLC0415

    from gateway.ledger import Bulk, Tally, carry_out  # noqa: PLC0415

    by = opening.by(str(plan.wanted), bulk=secrets.token_hex(8))
    bulk = Bulk(action=plan.action, wanted=plan.wanted, by=by, scratch=plan.scratch)
    tally, stop = Tally(answers={}), asyncio.Event()
    with _interrupted(stop), _progress(plan, number) as show:
        async with aclosing(carry_out(ledger, bulk, most=plan.most)) as tallies:
            async for tally in tallies:
                show(tally)
                if tally.full:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), PAUSE)
                if stop.is_set():
                    break
    return tally, stop.is_set() and tally.cursor is not None


@contextmanager
def _interrupted(stop: asyncio.Event) -> Iterator[None]:
    """Set the event at the first Ctrl-C; a second one ends the command at once."""
    import asyncio  # noqa: PLC0415 - keeps `hookmill --help` quick
    import signal  # noqa: PLC0415

    loop = asyncio.get_running_loop()

    def heard() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, heard)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@contextmanager
def _progress(plan: Plan, number: int) -> Iterator[Callable[[Tally], None]]:
    """Show a bar on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - only a bulk on a terminal shows its progress
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(plan.action, total=number)

        def show(tally: Tally) -> None:
            full = ", waiting for workers" if tally.full else ""
            said = f"{tally.done} {PAST[plan.action]}, {sum(tally.skipped.values())} skipped{full}"
            progress.update(bar, completed=sum(tally.answers.values()), description=said)

        yield show


def _tell(plan: Plan, tally: Tally, number: int, *, stopped: bool) -> None:
    if plan.as_json:
        told = {"action": plan.action, "filter": str(plan.wanted), "count": tally.done, "skipped": tally.skipped}
        render.show_json({**told, "stopped": stopped})
        return
    if not number:
        print(f"There are no dead letters to {plan.action}.")
        return
    skipped = ", ".join(f"{count} {reason}" for reason, count in tally.skipped.items())
    verb = "is" if tally.done == 1 else "are"
    letters = f"{render.plural(tally.done, 'dead letter')} {verb} {PAST[plan.action]}"
    print(f"{letters}{f'; skipped: {skipped}' if skipped else ''}.")
    if stopped:
        print(f"Stopped: {number - sum(tally.answers.values())} of {number} were left alone.", file=sys.stderr)
