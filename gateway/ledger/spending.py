"""What calls of models cost: budgets from which a call's worst case is reserved, and books by day and by month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ledger.scripts import Scripts

NANO = 10**9
HELD, WARNED = "held ", "warned "
"""What stands before the name of an account in a book."""

Period = Literal["day", "month"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Something that has a budget, in US dollars a day and a month of UTC (None: no limit); `warn` is a part of it."""

    name: str
    day: float | None = None
    month: float | None = None
    warn: float = 0.8

    def limit(self, period: Period) -> float | None:
        """Give the limit of that period."""
        return self.day if period == "day" else self.month


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What is reserved for one call: `worst` US dollars, on a day; names in `counted` only count what it did cost."""

    id: str
    day: str
    worst: float
    accounts: tuple[Account, ...]
    counted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A budget of which so much is spent or reserved that a person is to know."""

    name: str
    period: Period


class BudgetSpent(Exception):  # noqa: N818 - a state, not a fault
    """A budget has no room for the call; it has when its `period` is over, at `until`."""

    def __init__(self, name: str, period: Period, until: datetime) -> None:
        """Take whose budget it is, and its period."""
        super().__init__(f"the budget of the {period} of {name} is spent")
        self.name, self.period, self.until = name, period, until


class Spending:
    """The books of the fleet. Days and months are those of UTC, by the clock of whoever asks."""

    def __init__(self, scripts: Scripts) -> None:
        """Take the loaded scripts."""
        self._scripts = scripts

    async def reserve(self, hold: Hold) -> list[Near]:
        """Reserve the worst that a call may cost from all its accounts, or from none: raises BudgetSpent.

        Gives the budgets that are nearly spent, each once in its period.
        """
        answered: list[bytes] = await self._scripts(
            "spend", "reserve", hold.id, hold.day, nano(hold.worst), 0, *_arguments(hold)
        )
        verdict, *told = [one.decode() for one in answered]
        pairs: list[Any] = list(zip(told[::2], told[1::2], strict=True))
        if {"spent": True, "ok": False}[verdict]:
            [(name, period)] = pairs
            raise BudgetSpent(name, period, end_of(hold.day, period))
        return [Near(name=name, period=period) for name, period in pairs]

    async def settle(self, hold: Hold, cost: float) -> None:
        """Put what the call did cost in place of what was reserved for it; what is never settled stays reserved.

        May be repeated: it counts once.
        """
        await self._scripts("spend", "settle", hold.id, hold.day, nano(hold.worst), nano(cost), *_arguments(hold))


def nano(dollars: float) -> int:
    """Give whole billionths of a US dollar, the unit of all money in the ledger."""
    return round(dollars * NANO)


def end_of(day: str, period: Period) -> datetime:
    """Give the moment at which that day, or its month, is over."""
    midnight = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    if period == "day":
        return midnight + timedelta(days=1)
    return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)


def _arguments(hold: Hold) -> Sequence[Any]:
    accounts = [
        part for one in hold.accounts for part in (one.name, _limit(one.day), _limit(one.month), round(100 * one.warn))
    ]
    return (len(hold.accounts), *accounts, *hold.counted)


def _limit(dollars: float | None) -> int | str:
    return "" if dollars is None else nano(dollars)
