"""`hookmill stats`: the ledger in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.cli import models, opening, render
from gateway.cli.options import Json  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.ledger import GroupView, Stats


def stats(*, as_json: Json = False) -> None:
    """Show lanes, sources and sinks, dead letters, outcomes so far, and memory."""
    figures = opening.ask(lambda ledger: ledger.stats())
    if as_json:
        render.show_json(figures.json())
    else:
        render.show(*_parts(figures))


def _parts(figures: Stats) -> Iterator[Any]:
    lanes = " · ".join(f"{name} {length}" for name, length in figures.lanes.items())
    yield f"lanes      {lanes}"
    seen = ", ".join(f"{render.plain(name)} {ago:.0f} s ago" for name, ago in figures.workers.items())
    yield f"workers    {seen or '[red]none seen for a minute; start: hookmill worker[/]'}"
    yield f"scheduled  {figures.scheduled}"
    yield f"dead       {f'[red]{figures.dead}[/]  see: hookmill dead list' if figures.dead else 0}"
    yield f"memory     {_memory(figures)}"
    if figures.counts:
        yield "so far     " + " · ".join(f"{name} {count}" for name, count in figures.counts.items())
    if figures.paused:
        held = ", ".join(render.plain(one.replace(":", " ", 1)) + _by(figures.paused_by[one]) for one in figures.paused)
        yield f"paused     [yellow]{held}[/]"
    if figures.groups:
        yield ""
        yield _groups(figures.groups)
    if figures.candidates:
        yield ""
        yield models.table(figures.candidates)


def _groups(groups: Sequence[GroupView]) -> Any:
    rows = [
        (*map(render.plain, group.name.split(":", 1)), f"{group.active} of {group.cap}", str(group.backlog),
         _held(group))
        for group in groups
    ]  # fmt: skip
    return render.table(("what", "name", ">active", ">held back", ""), rows)


def _by(who: str) -> str:
    return f" (by {render.plain(who)})" if who else ""


def _held(group: GroupView) -> str:
    if group.paused:
        return "[yellow]paused[/]"
    return f"[red]{render.plain(group.left_alone)}[/]" if group.left_alone else ""


def _memory(figures: Stats) -> str:
    used = render.size(figures.memory)
    if not figures.memory_limit:
        return f"{used}, no limit set"
    return f"{used} of {render.size(figures.memory_limit)} ({figures.memory / figures.memory_limit:.0%})"
