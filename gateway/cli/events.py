"""`hookmill events`: what was accepted, where it stands, and working it again."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import opening, render, views
from gateway.cli.faults import Fault
from gateway.cli.options import BySource, EventId, Ids, Json, Scratch, example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ledger import Ledger, WorkView

app = typer.Typer(no_args_is_help=True, help="Accepted events: list, show, follow, work again.")
POLL_SECONDS = 1.0
WINDOW = 200  # how many of the newest events `tail` watches for changes


class State(StrEnum):
    """The states of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    DISCARDED = "discarded"
    DEAD = "dead"


ByState = Annotated[State | None, typer.Option("--state", help="Only in this state.")]
Repeated = Annotated[bool, typer.Option("--repeated", help="Only those that their sender sent more than once.")]
AtMost = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, the newest first.")]
ANSWERS = {
    "queued": "is queued again",
    "busy": "is queued or running already: left alone",
    "gone": "is not known to the ledger, or its body is gone",
    "cancelled": "is cancelled",
    "over": "is over already: left alone",
    "nothing": "is done and has no delivery to repeat; to work it anew: --scratch",
}


@app.command(
    "list",
    epilog=example(
        "hookmill events list --source blog --state waiting",
        "hookmill events list --repeated",
        "hookmill events list --json",
    ),
)
def list_events(
    *,
    source: BySource = None,
    state: ByState = None,
    repeated: Repeated = False,
    limit: AtMost = 50,
    as_json: Json = False,
) -> None:
    """List events, newest first."""
    from gateway.ledger.view import Filter  # noqa: PLC0415 - keeps `hookmill --help` quick

    wanted = Filter(source=source, state=state.value if state else None, repeated=repeated)
    found = opening.ask(lambda ledger: ledger.events(limit=limit, wanted=wanted))
    if as_json:
        render.show_json([view.json() for view in found])
    elif found:
        render.show(views.brief(found, opening.now()))
    else:
        print(
            "There are no such events." if wanted != Filter() else "There are no events. Send one: hookmill send --help"
        )


@app.command("show", epilog=example("hookmill events show evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B"))
def show_event(work_id: EventId, *, as_json: Json = False) -> None:
    """Show one event or delivery: state, steps, models, deliveries, result, trace id."""
    view = find(work_id)
    if as_json:
        render.show_json(view.json())
    else:
        render.show(*views.whole(view, opening.now()))


def find(work_id: str) -> WorkView:
    """Read an event or delivery with everything about it; raises Fault if the ledger does not know it."""
    view = opening.ask(lambda ledger: ledger.show(work_id))
    if view is None:
        raise Fault(f"{work_id}: the ledger does not know it (never accepted, or over and forgotten)", code=1)
    return view


@app.command(epilog=example("hookmill events tail --source blog", "hookmill events tail --json | jq -r .state"))
def tail(*, source: BySource = None, as_json: Json = False) -> None:
    """Follow events as they come and change, until Ctrl-C; --json gives one document per line."""
    opening.ask(lambda ledger: _follow(ledger, source=source, as_json=as_json))


Mark = tuple[str, str, int, int]


def changed(seen: dict[str, Mark], newest: Sequence[WorkView]) -> list[WorkView]:
    """Give what is new or differs from `seen`, oldest first, and remember exactly what `newest` holds."""
    marks: dict[str, Mark] = {view.id: (view.state, view.step, view.attempts, view.generation) for view in newest}
    fresh = [view for view in reversed(newest) if seen.get(view.id) != marks[view.id]]
    seen.clear()
    seen.update(marks)
    return fresh


async def _follow(ledger: Ledger, *, source: str | None, as_json: bool) -> None:
    import asyncio  # noqa: PLC0415 - keeps `hookmill --help` quick

    from gateway.ledger.view import Filter  # noqa: PLC0415

    seen: dict[str, Mark] = {}
    changed(seen, await ledger.events(wanted=Filter(source=source), limit=WINDOW))
    while True:
        for view in changed(seen, await ledger.events(wanted=Filter(source=source), limit=WINDOW)):
            _print_line(view, as_json=as_json)
        await asyncio.sleep(POLL_SECONDS)


def _print_line(view: WorkView, *, as_json: bool) -> None:
    if as_json:
        render.show_json_line(view.json())
        return
    at = f" at {view.step}" if view.step else ""
    why = f": {view.reason}" if view.reason else ""
    line = render.plain(f"{view.source} {at}{why}".replace("  ", " "))
    render.show(f"{view.updated_at:%H:%M:%S} {view.id} {render.state(view.state):<9} {line}")


@app.command("replay", epilog=example("hookmill events replay evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B --scratch"))
def replay_events(ids: Ids, *, scratch: Scratch = False, as_json: Json = False) -> None:
    """Work events again: from where they failed, or what is done delivered once more under the same id."""
    report(opening.ask(lambda ledger: replay_all(ledger, ids, scratch=scratch)), as_json=as_json)


@app.command("cancel", epilog=example("hookmill events cancel evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B"))
def cancel_events(ids: Ids, *, as_json: Json = False) -> None:
    """Discard events or deliveries that are not over; one at work stops at its next saved step, or within seconds."""

    async def cancel(ledger: Ledger) -> list[dict[str, Any]]:
        return [{"id": one, "answer": await ledger.cancel(one)} for one in ids]

    report(opening.ask(cancel), as_json=as_json, wanted="cancelled")


async def replay_all(ledger: Ledger, ids: Sequence[str], *, scratch: bool) -> list[dict[str, Any]]:
    """Replay each, and give what became of it, in order."""
    by = opening.by()
    return [{"id": one, "answer": await ledger.replay(one, scratch=scratch, by=by)} for one in ids]


def report(answers: Sequence[dict[str, Any]], *, as_json: bool, wanted: str = "queued") -> None:
    """Print what became of each; exit code 1 if one of them did not end as wanted."""
    if as_json:
        render.show_json(list(answers))
    else:
        for answer in answers:
            print(f"{answer['id']} {ANSWERS.get(answer['answer'], answer['answer'])}")
    if any(answer["answer"] != wanted for answer in answers):
        raise typer.Exit(1)
