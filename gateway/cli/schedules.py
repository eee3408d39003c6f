"""`hookmill schedules`: which events of our own come when."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from gateway.cli import opening, render
from gateway.cli.options import Json  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.config import Schedule


def schedules(*, as_json: Json = False) -> None:
    """List the schedules of hookmill.toml, the next due first."""
    from gateway.config.schedules import stamp  # noqa: PLC0415 - keeps `hookmill --help` quick

    now = opening.now()
    found = sorted(opening.config().schedules.values(), key=lambda one: one.after(now))
    if as_json:
        render.show_json([{"name": one.name, "source": one.source, "when": when(one), "next": stamp(one.after(now))}
                          for one in found])  # fmt: skip
    elif not found:
        print("There are no schedules: [schedules.NAME] in hookmill.toml declares one.")
    for one in () if as_json else found:
        print(line(one, now))


def when(schedule: Schedule) -> str:
    """Say how often, as the file does."""
    if schedule.every:
        return f"every {render.span(schedule.every)}"
    return schedule.cron if schedule.timezone is UTC else f"{schedule.cron} {schedule.timezone}"


def line(schedule: Schedule, now: datetime) -> str:
    """Say when it is due next: `nightly: 0 3 * * * Europe/Berlin, for reports; next 2026-11-22T02:00:00Z, in 3 h`."""
    from gateway.config.schedules import stamp  # noqa: PLC0415 - keeps `hookmill --help` quick

    due = schedule.after(now)
    return f"{schedule.name}: {when(schedule)}, for {schedule.source}; next {stamp(due)}, in {render.span(due - now)}"
