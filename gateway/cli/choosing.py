"""Options that choose dead letters, and the filter that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import opening
from gateway.cli.faults import Fault

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.ledger.view import Filter

ByPipeline = Annotated[str | None, typer.Option("--pipeline", help="Only of this pipeline.")]
BySink = Annotated[str | None, typer.Option("--sink", help="Only deliveries to this sink.")]
ByClass = Annotated[str | None, typer.Option("--class", help="Only of this error class, such as permanent or crash.")]
ByStep = Annotated[str | None, typer.Option("--step", help="Only those that failed at this step.")]
Since = Annotated[str | None, typer.Option("--since", help="Not before: 2h (ago), or 2026-12-01T00:00:00Z.")]
Until = Annotated[str | None, typer.Option("--until", help="Before: 2h (ago), or 2026-12-01T00:00:00Z.")]


def choose(since: str | None, until: str | None, **equal: str | None) -> Filter:
    """Make the filter; raises Fault for a time that is none."""
    from gateway.ledger.view import Filter  # noqa: PLC0415 - keeps `hookmill --help` quick

    now = opening.now()
    span = {"since": moment("since", since, now), "until": moment("until", until, now)}
    asked: dict[str, Any] = {**equal, **span}
    return Filter(**asked)


def moment(option: str, text: str | None, now: datetime) -> datetime | None:
    """Read `2h` (ago) or an instant; raises Fault."""
    from gateway.config.values import past  # noqa: PLC0415 - keeps `hookmill --help` quick

    try:
        return None if text is None else past(text, now=now)
    except ValueError as error:
        raise Fault(f"--{option}: {error}") from None
