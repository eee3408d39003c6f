"""The [alerts] table: when a sink is told that dead letters pile up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PlainValidator

from gateway.config.errors import nearest, shown
from gateway.config.reading import Reading, Table
from gateway.config.values import Count, Duration, Rate, Text, duration

if TYPE_CHECKING:
    from collections.abc import Collection

LONGEST_WITHIN = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """A notice goes to `sink` at `dead` dead letters, or at `growth` (so many given up within that time); None: never.

    After one, no other comes before `repeat` is over.
    """

    sink: str
    dead: int | None = None
    growth: tuple[int, timedelta] | None = None
    repeat: timedelta = timedelta(hours=1)


def _repeat(value: object) -> timedelta:
    span = duration(value)
    if span < timedelta(minutes=1):
        raise ValueError("expected at least a minute: a notice is no heartbeat")
    return span


class AlertsTable(Table):
    """The keys of [alerts]."""

    sink: Text = Field(description="the name of a sink")
    dead: Count | None = None
    growth: Rate | None = Field(default=None, description='a number within a time, such as "20/10m"')
    repeat: Annotated[Duration, PlainValidator(_repeat)] | None = None


def read_alerts(reading: Reading, raw: object, *, sinks: Collection[str]) -> Alerts | None:
    """Read [alerts]; None where it is not written, or its mistakes were noted."""
    table = None if raw is None else reading.table(AlertsTable, raw, at=("alerts",))
    if table is None:
        return None
    if table.sink not in sinks:
        reading.wrong(("alerts", "sink"), f"no [sinks.*] is named {shown(table.sink)}{nearest(table.sink, sinks)}")
    if table.dead is None and table.growth is None:
        reading.wrong(("alerts",), 'expected dead = 100, growth = "20/10m", or both')
    if table.growth and table.growth[1] > LONGEST_WITHIN:
        reading.wrong(("alerts", "growth"), "expected a time of at most 7 days")
    return Alerts(**table.written())
