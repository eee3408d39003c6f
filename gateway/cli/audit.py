"""`hookmill audit`: who replayed, discarded, paused or resumed what."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import opening, render
from gateway.cli.choosing import Since, Until, moment
from gateway.cli.options import Json  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.table import Table

    from gateway.ledger import AuditEntry


class Deed(StrEnum):
    """What is written down."""

    REPLAY = "replay"
    SCRATCH = "scratch"
    DISCARD = "discard"
    PAUSE = "pause"
    RESUME = "resume"


ByWhom = Annotated[str | None, typer.Option("--who", help="Only by this one: cli:USER@HOST or token:NAME.")]
What = Annotated[Deed | None, typer.Option("--what", help="Only this.")]
AtMost = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, the newest first.")]


def audit(
    *,
    who: ByWhom = None,
    what: What = None,
    since: Since = None,
    until: Until = None,
    limit: AtMost = 50,
    as_json: Json = False,
) -> None:
    """List what was done, the newest first: replays, discards, pauses. The last 10,000 entries are kept."""
    from gateway.ledger.letters import AuditFilter  # noqa: PLC0415 - keeps `hookmill --help` quick

    now = opening.now()
    span = {"since": moment("since", since, now), "until": moment("until", until, now)}
    wanted = AuditFilter(who=who, what=what.value if what else None, **span)
    entries = opening.ask(lambda ledger: ledger.audit(limit=limit, wanted=wanted))
    if as_json:
        render.show_json([entry.json() for entry in entries])
    elif entries:
        render.show(_table(entries, now))
    else:
        print("Nothing of that kind was done.")


def _table(entries: Sequence[AuditEntry], now: datetime) -> Table:
    rows = [
        (render.age(one.last, now), render.plain(one.who), one.what, str(one.count), render.plain(one.on))
        for one in entries
    ]
    return render.table(("!when", "who", "!what", ">times", "on"), rows)
