"""`hookmill dead`: runs and deliveries that were given up, and what to do with them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import events, opening, render, views
from gateway.cli.faults import Fault
from gateway.cli.options import BySource, EventId, Ids, Json, Scratch, Yes, example
from gateway.ledger.view import Filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ledger import Ledger, WorkView

app = typer.Typer(no_args_is_help=True, help="Dead letters: list, show, replay, discard.")
EVERY = 10_000  # more dead letters than the ledger reads in one go
AtMost = Annotated[int, typer.Option("--limit", min=1, max=EVERY, help="At most so many, the last buried first.")]
SomeIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Dead letters, or --all.")]


@app.command("list", epilog=example("hookmill dead list --source blog"))
def list_dead(*, source: BySource = None, limit: AtMost = 50, as_json: Json = False) -> None:
    """List dead letters, the last buried first."""
    found = opening.ask(lambda ledger: ledger.dead(wanted=Filter(source=source), limit=limit))
    if as_json:
        render.show_json([view.json() for view in found])
    elif found:
        render.show(views.buried(found, opening.now()))
    else:
        print("There are no dead letters.")


@app.command("show", epilog=example("hookmill dead show evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B"))
def show_dead(work_id: EventId, *, as_json: Json = False) -> None:
    """Show one dead letter with everything about it."""
    view = events.find(work_id)
    if view.state != "dead":
        raise Fault(f"{work_id} is {view.state}, not a dead letter; see: hookmill events show {work_id}", code=1)
    if as_json:
        render.show_json(view.json())
    else:
        render.show(*views.whole(view, opening.now()))


@app.command("replay", epilog=example(
    "hookmill dead replay evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B",
    "hookmill dead replay --all --source blog --dry-run",
))  # fmt: skip
def replay_dead(
    ids: SomeIds = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every dead letter, or every one of --source.")] = False,
    source: BySource = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be replayed.")] = False,
    scratch: Scratch = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Replay dead letters: each goes on where it failed, and finished steps are not paid again."""
    chosen = _chosen(ids, every=every, source=source)
    if dry_run:
        _preview(chosen, as_json=as_json)
    elif not chosen:
        events.report([], as_json=as_json) if as_json else print("There are no dead letters to replay.")
    else:
        if every and not yes:
            typer.confirm(f"Replay {render.plural(len(chosen), 'dead letter')}?", abort=True, err=True)
        events.report(opening.ask(lambda ledger: _replay(ledger, chosen, scratch=scratch)), as_json=as_json)


def _chosen(ids: list[str] | None, *, every: bool, source: str | None) -> list[str]:
    if bool(ids) == every:
        raise Fault("give either ids, or --all (with --source X for one source only)")
    if ids and source:
        raise Fault("--source goes with --all, not with ids")
    return ids or [
        view.id for view in opening.ask(lambda ledger: ledger.dead(wanted=Filter(source=source), limit=EVERY))
    ]


def _preview(ids: Sequence[str], *, as_json: bool) -> None:
    async def look(ledger: Ledger) -> list[WorkView]:
        return [view for one in ids if (view := await ledger.show(one))]

    found = opening.ask(look)
    if as_json:
        render.show_json([view.json() for view in found])
    else:
        if found:
            render.show(views.buried(found, opening.now()))
        print(f"{render.plural(len(found), 'dead letter')} would be replayed.")


async def _replay(ledger: Ledger, ids: Sequence[str], *, scratch: bool) -> list[dict[str, Any]]:
    if len(ids) < 20 or not sys.stderr.isatty():
        return await events.replay_all(ledger, ids, scratch=scratch)
    from rich.console import Console  # noqa: PLC0415 - only a long replay shows its progress
    from rich.progress import track  # noqa: PLC0415

    tracked = track(ids, "Replaying", console=Console(stderr=True))
    return [answer for one in tracked for answer in await events.replay_all(ledger, [one], scratch=scratch)]


@app.command("discard", epilog=example("hookmill dead discard evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B --yes"))
def discard_dead(ids: Ids, *, yes: Yes = False, as_json: Json = False) -> None:
    """Take dead letters off the list for good: they are not worked again."""
    if not yes:
        typer.confirm(f"Discard {render.plural(len(ids), 'dead letter')} for good?", abort=True, err=True)

    async def discard(ledger: Ledger) -> list[dict[str, Any]]:
        return [{"id": one, "discarded": await ledger.discard(one)} for one in ids]

    answers = opening.ask(discard)
    if as_json:
        render.show_json(answers)
    else:
        for answer in answers:
            print(f"{answer['id']} {'is discarded' if answer['discarded'] else 'is not a dead letter'}")
    if not all(answer["discarded"] for answer in answers):
        raise typer.Exit(1)
