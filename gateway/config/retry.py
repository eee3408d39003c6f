"""Retries of runs: what a source or a pipeline says of them, and the policy that follows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, get_args

from gateway.config.reading import Reading, Table
from gateway.config.values import Attempts, Duration, Growth  # noqa: TC001 - pydantic reads them

if TYPE_CHECKING:
    from gateway.config.errors import Key

Tried = Literal["transient", "rate_limited", "bad_output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What is said of the retries of a run; None is "not said".

    `transient`, `rate_limited` and `bad_output` stand for `attempts` where the last failure was of that class.
    """

    attempts: int | None = None
    transient: int | None = None
    rate_limited: int | None = None
    bad_output: int | None = None
    first: timedelta | None = None
    factor: float | None = None
    cap: timedelta | None = None
    max_age: timedelta | None = None

    def __post_init__(self) -> None:
        """Refuse counts below 1, a factor below 1 and times that are not positive. Raises ValueError."""
        counts = (self.attempts, self.transient, self.rate_limited, self.bad_output, self.factor)
        spans = (self.first, self.cap, self.max_age)
        if any(one is not None and one < 1 for one in counts):
            raise ValueError("attempts and factor are at least 1")
        if any(one is not None and one <= timedelta(0) for one in spans):
            raise ValueError("first, cap and max_age are more than nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a failed run is tried, and the waits between: uniform(0, min(cap, first * factor**n)).

    No attempt begins later than `max_age` after the event was received, or replayed.
    """

    attempts: int = 5
    transient: int | None = None
    rate_limited: int | None = None
    bad_output: int | None = None
    first: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    cap: timedelta = timedelta(minutes=5)
    max_age: timedelta | None = None

    @classmethod
    def of(cls, *said: Retry) -> RetryPolicy:
        """Put together what was said, the later over the earlier, and the defaults below."""
        pairs = [(one.name, getattr(each, one.name)) for each in said for one in fields(each)]
        return cls(**{name: value for name, value in pairs if value is not None})

    def most(self, error_class: str) -> int:
        """Give how many attempts there are where the last one failed with that class."""
        own: int | None = getattr(self, error_class) if error_class in get_args(Tried) else None
        return own or self.attempts


class RetryTable(Table):
    """The table of `retry`."""

    attempts: Attempts | None = None
    transient: Attempts | None = None
    rate_limited: Attempts | None = None
    bad_output: Attempts | None = None
    first: Duration | None = None
    factor: Growth | None = None
    cap: Duration | None = None
    max_age: Duration | None = None


def read_retry(reading: Reading, table: RetryTable, *, at: Key) -> Retry:
    """Give what the table says; notes a cap below the first wait."""
    said = Retry(**table.written())
    policy = RetryPolicy.of(said)
    if policy.cap < policy.first:
        reading.wrong((*at, "cap"), f"expected at least first ({policy.first}), got {policy.cap}")
    return said
