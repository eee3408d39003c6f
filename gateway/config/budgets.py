"""Budgets in US dollars: of all sources together ([budget]), and of one (its key `budget`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import PlainValidator

from gateway.config.reading import Reading, Table
from gateway.config.values import Dollars, Ratio, choice

if TYPE_CHECKING:
    from gateway.config.errors import Key

WhenSpent = Literal["cheaper", "wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What models may cost in a day and in a month of UTC, in US dollars (None: no limit).

    When that is spent, the "cheaper" candidates of an alias that it still has room for are asked, or else runs "wait"
    for the next day or month. A notice goes out at the part `warn` of it.
    """

    day: float | None = None
    month: float | None = None
    when_spent: WhenSpent = "cheaper"
    warn: float = 0.8


class BudgetTable(Table):
    """The table of `budget`."""

    day: Dollars | None = None
    month: Dollars | None = None
    when_spent: Annotated[WhenSpent, PlainValidator(choice("cheaper", "wait"))] | None = None
    warn: Ratio | None = None


def make_budget(reading: Reading, table: BudgetTable | None, *, at: Key) -> Budget | None:
    """Give what the table says; notes one that limits nothing."""
    if table is None:
        return None
    if table.day is None and table.month is None:
        reading.wrong(at, "expected day = 5.0, month = 100.0, or both")
    return Budget(**table.written())


def read_budget(reading: Reading, raw: object) -> Budget | None:
    """Read [budget]; None where it is not written."""
    at = ("budget",)
    return None if raw is None else make_budget(reading, reading.table(BudgetTable, raw, at=at), at=at)
