"""`hookmill pause` and `hookmill resume`: hold work back without losing any."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import opening
from gateway.cli.faults import unknown

if TYPE_CHECKING:
    from gateway.config import Config


class What(StrEnum):
    """What can be paused."""

    SOURCE = "source"
    PIPELINE = "pipeline"
    SINK = "sink"


Kind = Annotated[What, typer.Argument(metavar="source|pipeline|sink", help="What to hold back.", show_default=False)]
Name = Annotated[str, typer.Argument(help="Its name in hookmill.toml.", show_default=False)]


def names(config: Config, what: What) -> set[str]:
    """Give the names of that kind which the configuration knows."""
    if what is What.SOURCE:
        return set(config.sources)
    if what is What.SINK:
        return set(config.sinks)
    return {source.pipeline for source in config.sources.values()}


def pause(what: Kind, name: Name) -> None:
    """Hold back a source, a pipeline or a sink: what runs goes on, nothing new begins, nothing is lost."""
    _known(what, name)
    changed = opening.ask(lambda ledger: ledger.pause(what.value, name, by=opening.by()))
    print(
        f"{what.value.capitalize()} {name} is paused."
        if changed
        else f"{what.value.capitalize()} {name} was paused already."
    )
    print(f"Go on with: hookmill resume {what.value} {name}")


def resume(what: Kind, name: Name) -> None:
    """Let a paused source, pipeline or sink go on."""
    changed = opening.ask(lambda ledger: ledger.resume(what.value, name, by=opening.by()))
    if not changed:
        _known(what, name)  # not before: what was paused and then taken out of the configuration must resume too
    print(
        f"{what.value.capitalize()} {name} goes on." if changed else f"{what.value.capitalize()} {name} was not paused."
    )


def _known(what: What, name: str) -> None:
    known = names(opening.config(), what)
    if name not in known:
        raise unknown(what.value, name, known)
