"""Schedules: events of our own at due times, as [schedules.NAME] writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, PlainValidator

from gateway.config.errors import Key, expected, nearest, shown
from gateway.config.reading import Reading, Table
from gateway.config.values import Duration, Text  # noqa: TC001 - pydantic reads them

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config.sources import Source

SHORTEST = timedelta(seconds=1)
EPOCH = datetime.fromtimestamp(0, UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When an event of `source` is due: `every` counts from 1970 in UTC; `cron` goes by the clock of `timezone`.

    `body` None stands for JSON with the schedule's name and the due time.
    """

    name: str
    source: str
    every: timedelta | None = None
    cron: str = ""
    timezone: tzinfo = UTC
    body: bytes | None = field(default=None, repr=False)
    content_type: str = "application/json"

    def after(self, moment: datetime) -> datetime:
        """Give the first due time after that moment, in UTC; the year 9999 where there is none for 50 years."""
        if self.every:
            return EPOCH + ((moment - EPOCH) // self.every + 1) * self.every
        return self._cron(moment.astimezone(self.timezone))

    def last(self, now: datetime, *, since: datetime) -> datetime | None:
        """Give the last due time from after `since` until now, in UTC; None where there was none."""
        first = self.after(since)
        if first > now:
            return None
        if self.every:
            return EPOCH + (now - EPOCH) // self.every * self.every
        until = now.replace(microsecond=0) + timedelta(seconds=1)
        return max(first, self._cron(until.astimezone(self.timezone), reverse=True))

    def _cron(self, start: datetime, *, reverse: bool = False) -> datetime:
        found = next(CronSim(self.cron, start, reverse=reverse), None)
        return found.astimezone(UTC) if found else NEVER

    def event_body(self, due: datetime) -> bytes:
        """Give the body of the event of that due time."""
        if self.body is not None:
            return self.body
        return json.dumps({"schedule": self.name, "due": stamp(due)}).encode()


def stamp(due: datetime) -> str:
    """Write a due time as ISO 8601 in UTC: 2026-11-21T03:00:00Z; thousandths where it has some."""
    precision = "milliseconds" if due.microsecond else "seconds"
    return due.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _cron(value: object) -> str:
    try:
        next(CronSim(value, EPOCH), None)  # type: ignore[arg-type]
    except (CronSimError, AttributeError):
        raise expected('five fields such as "0 3 * * MON-FRI" (minute, hour, day, month, weekday)', value) from None
    return str(value)


def _zone(value: object) -> tzinfo:
    try:
        return ZoneInfo(value)  # type: ignore[arg-type]
    except (ZoneInfoNotFoundError, TypeError, ValueError, OSError):
        raise expected('a time zone such as "Europe/Berlin"', value) from None


def _body(value: object) -> tuple[bytes, str]:
    """Parse a text, kept as it is, or what JSON can say."""
    if isinstance(value, str):
        return value.encode(), "text/plain; charset=utf-8"
    try:
        return json.dumps(value, allow_nan=False).encode(), "application/json"
    except (TypeError, ValueError):
        raise ValueError("expected a text, or a table or list of what JSON has (a date is written as a text)") from None


class ScheduleTable(Table):
    """The keys of a schedule."""

    source: Text = Field(description="the name of a source")
    every: Duration | None = None
    cron: Annotated[str, PlainValidator(_cron)] | None = None
    timezone: Annotated[tzinfo, PlainValidator(_zone)] | None = None
    body: Annotated[tuple[bytes, str], PlainValidator(_body)] | None = None


def read_schedule(reading: Reading, name: str, raw: object, *, sources: Mapping[str, Source | None]) -> Schedule | None:
    """Read one [schedules.NAME]; notes its mistakes and then gives None or a schedule that must not be used."""
    at: Key = ("schedules", name)
    table = reading.table(ScheduleTable, raw, at=at)
    if table is None:
        return None
    _check(reading, table, at=at)
    schedule = Schedule(name=name, **_body_of(table), **table.written(without=frozenset({"body"})))
    if table.source not in sources:
        reading.wrong((*at, "source"), f"no [sources.*] is named {shown(table.source)}{nearest(table.source, sources)}")
    elif (source := sources[table.source]) and len(schedule.event_body(NEVER)) > source.max_body:
        reading.wrong((*at, "body"), f"expected at most {source.max_body} bytes, the source's max_body")
    return schedule


def _check(reading: Reading, table: ScheduleTable, *, at: Key) -> None:
    if (table.every is None) == (table.cron is None):
        reading.wrong(at, 'expected either every, such as "5m", or cron, such as "0 3 * * *"')
    if table.every and table.every < SHORTEST:
        reading.wrong((*at, "every"), f"expected at least 1s, got {table.every}")
    if table.timezone and table.every:
        reading.wrong((*at, "timezone"), "expected none beside every, which counts from 1970 in UTC")


def _body_of(table: ScheduleTable) -> dict[str, Any]:
    return {} if table.body is None else {"body": table.body[0], "content_type": table.body[1]}
