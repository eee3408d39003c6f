"""The small written forms: durations "5m", sizes "256KiB", rates "600/minute", counts and names.

Every parser takes what TOML or YAML gave and raises ValueError with "expected ..., got ...".
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import PlainValidator

from gateway.config.errors import expected, nearest, shown, sort
from gateway.verify.rules import POINTER, TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
PERIODS = {"second": UNITS["s"], "minute": UNITS["m"], "hour": UNITS["h"], "day": UNITS["d"]}
BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
SHORTEST, LONGEST = timedelta(milliseconds=1), timedelta(days=3650)
LARGEST = 256 * 2**20  # a body is held in memory, and a Redis value ends at 512 MiB
MOST = 10**9
MOST_DOLLARS = 10**6  # in billionths it still is a whole number to Redis and Lua

DURATION = re.compile(r"([0-9]{1,8}(?:\.[0-9]{1,6})?) ?(ms|s|m|h|d)")
SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-z]+)")
RATE = re.compile(r"([0-9]{1,9}) ?/ ?(.+)")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f]")


def duration(value: object) -> timedelta:
    """Parse a number with ms, s, m, h or d, such as "5m" or "1.5s"; from 1 ms to 10 years."""
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    span = UNITS[match[2]] * float(match[1]) if match else timedelta()
    if not SHORTEST <= span <= LONGEST:
        raise expected('a duration such as "5m" or "250ms" (ms, s, m, h, d)', value)
    return span


def size(value: object) -> int:
    """Parse bytes: a whole number, or a text such as "256KiB" or "1.5MB"; from 1 byte to 256 MiB."""
    match = SIZE.fullmatch(value) if isinstance(value, str) else None
    if match and match[2] not in BYTES:
        raise ValueError(f"expected a size in {', '.join(BYTES)}, got {shown(value)}{nearest(match[2], BYTES)}")
    count = float(match[1]) * BYTES[match[2]] if match else value
    if isinstance(count, bool) or not isinstance(count, int | float) or not 1 <= count <= LARGEST or count % 1:
        raise expected('a size such as "256KiB", from 1 byte to 256 MiB', value)
    return int(count)


def rate(value: object) -> tuple[int, timedelta]:
    """Parse "600/minute" (second, minute, hour, day) or "100/10s" to a count and its period."""
    match = RATE.fullmatch(value) if isinstance(value, str) else None
    period = _period(match[2]) if match else None
    if match is None or period is None or int(match[1]) < 1:
        hint = nearest(match[2], PERIODS) if match and not period else ""
        raise ValueError(f'expected a rate such as "600/minute" or "100/10s", got {shown(value)}{hint}')
    return int(match[1]), period


def _period(text: str) -> timedelta | None:
    try:
        return PERIODS.get(text) or duration(text)
    except ValueError:
        return None


def seconds(value: object) -> timedelta:
    """Parse a number of seconds, as LiteLLM writes timeouts, or a duration text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return duration(value)
    if not math.isfinite(value) or not SHORTEST <= (span := timedelta(seconds=min(max(value, 0), MOST))) <= LONGEST:
        raise expected("a number of seconds above 0", value)
    return span


def whole(low: int, high: int = MOST) -> Callable[[object], int]:
    """Make a parser of whole numbers from `low` to `high`, both included."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise expected(f"a whole number from {low} to {high}", value)
        return value

    return parse


def moment(value: object) -> datetime:
    """Parse an instant with its zone: "2026-12-01T00:00:00Z" (RFC 3339), or the same without quotes, as TOML has it."""
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        instant = None
    if not isinstance(instant, datetime) or instant.tzinfo is None:
        raise expected('an instant such as "2026-12-01T00:00:00Z", with its zone', value)
    return instant


def past(value: object, *, now: datetime) -> datetime:
    """Parse an instant with its zone, or a duration such as "2h": that long ago."""
    if isinstance(value, str) and DURATION.fullmatch(value):
        return now - duration(value)
    try:
        return moment(value)
    except ValueError:
        raise expected('"2h" (ago), or an instant such as "2026-12-01T00:00:00Z", with its zone', value) from None


def ratio(value: object) -> float:
    """Read a part of a whole: a number above 0 and up to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise expected("a number above 0, at most 1", value)
    return float(value)


def dollars(value: object) -> float:
    """Read an amount of US dollars, 0 to a million."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_DOLLARS:
        raise expected("an amount of US dollars from 0 to 1,000,000", value)
    return float(value)


def growth(value: object) -> float:
    """Parse a factor from 1 to 100 by which waits grow."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 100:
        raise expected("a number from 1 to 100", value)
    return float(value)


def flag(value: object) -> bool:
    """Parse true or false, and nothing that only looks like them."""
    if not isinstance(value, bool):
        raise expected("true or false", value)
    return value


def text(value: object) -> str:
    """Parse a text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise expected("a text", value)
    return value


def named(value: object) -> dict[str, object]:
    """Parse a mapping whose keys are all texts."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"expected a table with names as keys, got {sort(value)}")
    return value


def string(value: object) -> str:
    """Parse a text that may be blank, such as a separator."""
    if not isinstance(value, str):
        raise expected("a text", value)
    return value


def choice(*options: str) -> Callable[[object], str]:
    """Make a parser that takes only these options."""

    def parse(value: object) -> str:
        if value not in options:
            raise expected(f"one of {', '.join(options)}", value, known=options)
        return str(value)

    return parse


def field_name(value: object) -> str:
    """Parse the name of an HTTP header."""
    if not isinstance(value, str) or not TOKEN.fullmatch(value):
        raise expected("the name of an HTTP header", value)
    return value


def identity(value: object) -> str:
    """Parse where a dedupe id stands: "header:X-Event-Id", or "json:/id" (a JSON Pointer, RFC 6901)."""
    kind, _, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    shape = {"header": TOKEN, "json": POINTER}.get(kind)
    if shape is None or not shape.fullmatch(rest):
        raise expected('"header:NAME" or "json:/pointer"', value)
    return f"{kind}:{rest}"


def http_url(value: object) -> str:
    """Parse an http or https URL without userinfo; errors do not repeat it, since its query may hold a token."""
    if not isinstance(value, str) or UNPRINTABLE.search(value) or (parts := _split(value)) is None:
        raise ValueError("expected a URL such as https://example.com/hook")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"expected a URL that starts with http:// or https:// and a host, got scheme {parts.scheme!r}")
    if "@" in parts.netloc:
        raise ValueError("expected a URL without user or password; header = {name, value} can authenticate")
    if parts.fragment:
        raise ValueError("expected a URL without a fragment (#...), which is never sent")
    return value


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.port != 0  # reading the port checks it
    except ValueError:
        return None
    return parts if usable else None


Duration = Annotated[timedelta, PlainValidator(duration)]
Seconds = Annotated[timedelta, PlainValidator(seconds)]
Size = Annotated[int, PlainValidator(size)]
Rate = Annotated[tuple[int, timedelta], PlainValidator(rate)]
Count = Annotated[int, PlainValidator(whole(1))]
Attempts = Annotated[int, PlainValidator(whole(1, 1000))]
Concurrency = Annotated[int, PlainValidator(whole(1, 10_000))]
Growth = Annotated[float, PlainValidator(growth)]
Ratio = Annotated[float, PlainValidator(ratio)]
Dollars = Annotated[float, PlainValidator(dollars)]
Flag = Annotated[bool, PlainValidator(flag)]
Named = Annotated[dict[str, object], PlainValidator(named)]
String = Annotated[str, PlainValidator(string)]
Text = Annotated[str, PlainValidator(text)]
FieldName = Annotated[str, PlainValidator(field_name)]
Identity = Annotated[str, PlainValidator(identity)]
Url = Annotated[str, PlainValidator(http_url)]
