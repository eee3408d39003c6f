"""Times as providers write them, and how far they may be from the gateway's clock, on both sides."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.errors import TimestampMalformed, TimestampOutOfTolerance

if TYPE_CHECKING:
    from datetime import timedelta

    from gateway.verify.scheme import Unit

NUMBERS = {"s": (re.compile(rb"[0-9]{10}"), 1), "ms": (re.compile(rb"[0-9]{13}"), 1000)}
# RFC 3339. Its four digits at the start and its zone at the end keep it apart from whatever is signed beside it.
ISO = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:(\.[0-9]{1,6})[0-9]{0,3})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def check_time(raw: bytes, unit: Unit, *, now: datetime, tolerance: timedelta) -> None:
    """Raise TimestampMalformed for what is no time in that unit, TimestampOutOfTolerance for one too far from `now`."""
    if abs(now.timestamp() - _seconds(raw, unit)) > tolerance.total_seconds():
        raise TimestampOutOfTolerance


def check_expiry(raw: bytes, *, now: datetime) -> None:
    """Raise TimestampOutOfTolerance where this time, in seconds, is over."""
    if now.timestamp() > _seconds(raw, "s"):
        raise TimestampOutOfTolerance


def write_time(moment: datetime, unit: Unit) -> str:
    """Write a time in the unit that a scheme wants."""
    if unit == "iso":
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    seconds = moment.timestamp()
    return f"{int(seconds * 1000):013d}" if unit == "ms" else f"{int(seconds):010d}"


def _seconds(raw: bytes, unit: Unit) -> float:
    if unit == "iso":
        return _from_iso(raw)
    form, per_second = NUMBERS[unit]
    if not form.fullmatch(raw):
        raise TimestampMalformed
    return int(raw) / per_second


def _from_iso(raw: bytes) -> float:
    match = ISO.fullmatch(raw)
    if match is None:
        raise TimestampMalformed
    try:
        return datetime.fromisoformat(b"".join(part or b"" for part in match.groups()).decode("ascii")).timestamp()
    except (ValueError, OverflowError):
        raise TimestampMalformed from None
