"""`hookmill dead`: runs and deliveries that were given up, and what to do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import bulk, events, opening, render, views
from gateway.cli.choosing import ByClass, ByPipeline, BySink, ByStep, Since, Until, choose
from gateway.cli.faults import Fault
from gateway.cli.options import BySource, EventId, Json, Scratch, Yes, example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ledger import Ledger

app = typer.Typer(no_args_is_help=True, help="Dead letters: list, show, replay, discard.")
AtMost = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, the last buried first.")]
SoMany = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many, the last buried first.")]
SomeIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Dead letters; or --all, or a filter.")]
Every = Annotated[bool, typer.Option("--all", help="Every dead letter that the filters let pass.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many it would be, and which come first.")]


@app.command(
    "list",
    epilog=example("hookmill dead list --source blog", "hookmill dead list --class permanent --since 2h"),
)
def list_dead(
    *,
    source: BySource = None,
    pipeline: ByPipeline = None,
    sink: BySink = None,
    error_class: ByClass = None,
    step: ByStep = None,
    since: Since = None,
    until: Until = None,
    limit: AtMost = 50,
    as_json: Json = False,
) -> None:
    """List dead letters, the last buried first."""
    wanted = choose(since, until, source=source, pipeline=pipeline, sink=sink, error_class=error_class, step=step)
    found = opening.ask(lambda ledger: ledger.dead(wanted=wanted, limit=limit))
    if as_json:
        render.show_json([view.json() for view in found])
    elif found:
        render.show(views.buried(found, opening.now()))
    else:
        print("There are no dead letters." if str(wanted) == "all" else "There are no such dead letters.")


@app.command("show", epilog=example("hookmill dead show evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B"))
def show_dead(work_id: EventId, *, as_json: Json = False) -> None:
    """Show one dead letter with everything about it, and how long it is kept."""
    view = events.find(work_id)
    if view.state != "dead":
        raise Fault(f"{work_id} is {view.state}, not a dead letter; see: hookmill events show {work_id}", code=1)
    if as_json:
        render.show_json(view.json())
    else:
        render.show(*views.whole(view, opening.now()))


@app.command("replay", epilog=example(
    "hookmill dead replay evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B",
    "hookmill dead replay --source blog --class transient --since 2h --dry-run",
    "hookmill dead replay --all --limit 10",
))  # fmt: skip
def replay_dead(
    ids: SomeIds = None,
    *,
    every: Every = False,
    source: BySource = None,
    pipeline: ByPipeline = None,
    sink: BySink = None,
    error_class: ByClass = None,
    step: ByStep = None,
    since: Since = None,
    until: Until = None,
    limit: SoMany = None,
    dry_run: DryRun = False,
    scratch: Scratch = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Replay dead letters: each goes on where it failed, and finished steps are not paid again.

    Ctrl-C stops in good order, and says how many were replayed.
    """
    wanted = choose(since, until, source=source, pipeline=pipeline, sink=sink, error_class=error_class, step=step)
    plan = bulk.Plan(action="replay", wanted=wanted, most=limit, scratch=scratch, yes=yes, as_json=as_json)
    chosen = _chosen(ids, plan, every=every)
    if dry_run:
        bulk.count(plan, chosen)
    elif chosen:
        answers = opening.ask(lambda ledger: events.replay_all(ledger, chosen, scratch=scratch))
        events.report(answers, as_json=as_json)
    else:
        bulk.run(plan)


@app.command("discard", epilog=example(
    "hookmill dead discard evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B --yes",
    "hookmill dead discard --source blog --until 7d --dry-run",
))  # fmt: skip
def discard_dead(
    ids: SomeIds = None,
    *,
    every: Every = False,
    source: BySource = None,
    pipeline: ByPipeline = None,
    sink: BySink = None,
    error_class: ByClass = None,
    step: ByStep = None,
    since: Since = None,
    until: Until = None,
    limit: SoMany = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take dead letters off the list for good: they are not worked again.

    Ctrl-C stops in good order, and says how many were discarded.
    """
    wanted = choose(since, until, source=source, pipeline=pipeline, sink=sink, error_class=error_class, step=step)
    plan = bulk.Plan(action="discard", wanted=wanted, most=limit, yes=yes, as_json=as_json)
    chosen = _chosen(ids, plan, every=every)
    if dry_run:
        bulk.count(plan, chosen)
    elif chosen:
        _discard(chosen, plan)
    else:
        bulk.run(plan)


def _chosen(ids: list[str] | None, plan: bulk.Plan, *, every: bool) -> list[str]:
    """Give the ids; none where a filter chooses. Raises Fault where both or neither are given."""
    filtered = str(plan.wanted) != "all"
    if ids and (every or filtered or plan.most is not None):
        raise Fault("give either ids, or --all and filters, not both")
    if not ids and not every and not filtered:
        raise Fault("give ids, or --all, or a filter such as --source blog")
    return ids or []


def _discard(ids: Sequence[str], plan: bulk.Plan) -> None:
    if not plan.yes:
        typer.confirm(f"Discard {render.plural(len(ids), 'dead letter')} for good?", abort=True, err=True)

    async def discard(ledger: Ledger) -> list[dict[str, Any]]:
        by = opening.by()
        return [{"id": one, "discarded": await ledger.discard(one, by=by)} for one in ids]

    answers = opening.ask(discard, retention=opening.retention())
    if plan.as_json:
        render.show_json(answers)
    else:
        for answer in answers:
            print(f"{answer['id']} {'is discarded' if answer['discarded'] else 'is not a dead letter'}")
    if not all(answer["discarded"] for answer in answers):
        raise typer.Exit(1)
