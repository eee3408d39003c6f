"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print plain JSON and nothing else.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Scratch = Annotated[bool, typer.Option("--scratch", help="Start over: pay every step again, with new delivery ids.")]
BySource = Annotated[str | None, typer.Option("--source", help="Only of this source.")]
EventId = Annotated[str, typer.Argument(metavar="ID", help="An event (evt_…) or a delivery (dlv_…).")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help="Events (evt_…) or deliveries (dlv_…).")]


def example(*lines: str) -> str:
    """Give the epilog of a command: one line per example, kept as they are."""
    return "\n".join(["\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])
