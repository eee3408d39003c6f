"""What calls may cost: the worst that each can is reserved from its budgets, and then what it did cost is booked."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from actors.insist import insist
from gateway.ledger import Account, Hold, LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.alerts import Notify
    from actors.llm.records import Question
    from gateway.config import Budget, Candidate, Config
    from gateway.ledger import Spending

    Price = Callable[[Candidate, int, int], float | None]

ALL = "all"
PATIENCE = timedelta(seconds=5)
"""How long a cost is tried to be booked, while Redis does not answer."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """The budget of all sources together, and those of some."""

    all: Budget | None = None
    sources: Mapping[str, Budget] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> Budgets:
        """Give those that hookmill.toml names."""
        own = {source.name: source.budget for source in config.sources.values() if source.budget}
        return cls(all=config.budget, sources=own)

    def accounts(self, source: str) -> tuple[Account, ...]:
        """Give the accounts of a call for that source; one without limits is only a book."""
        named = ((ALL, self.all), (f"source {source}", self.sources.get(source)))
        return tuple(
            Account(name=name, day=one.day, month=one.month, warn=one.warn) if one else Account(name=name)
            for name, one in named
        )

    def waits(self, account: str) -> bool:
        """Whether a run waits when that account is spent, rather than ask who costs less."""
        budget = self.all if account == ALL else self.sources.get(account.partition(" ")[2])
        return budget is not None and budget.when_spent == "wait"


class Purse:
    """Reserves and books the costs of the asks of one worker process."""

    def __init__(self, spending: Spending, budgets: Budgets, *, price: Price, notify: Notify) -> None:
        """Take the fleet's books, the budgets, what gives a price, and who is told that one is nearly spent."""
        self._spending, self.budgets, self._price, self._notify = spending, budgets, price, notify

    async def reserve(self, question: Question, candidate: Candidate, *, read: int, written: int) -> Hold:
        """Reserve the worst that a call can cost, by the tokens it may read and write; a model without a price is free.

        Raises BudgetSpent, or LedgerError where the ledger cannot say.
        """
        accounts = self.budgets.accounts(question.source)
        limited = any(one.day is not None or one.month is not None for one in accounts)
        worst = self._price(candidate, read, written) if limited else None
        hold = Hold(
            id=secrets.token_hex(16),
            day=datetime.now(UTC).strftime("%Y-%m-%d"),
            worst=worst or 0.0,
            accounts=accounts,
            counted=(f"pipeline {question.pipeline}", f"model {candidate.name}"),
        )
        if hold.worst:
            for near in await self._spending.reserve(hold):
                [account] = [one for one in accounts if one.name == near.name]
                limit, part = account.limit(near.period), account.warn
                told = {"period": near.period, "limit_usd": limit, "spent_or_reserved": f"{part:.0%} or more"}
                await self._notify("budget", f"{near.name} {near.period}", told)
        return hold

    async def settle(self, hold: Hold, cost: float | None) -> None:
        """Book what the call did cost; None is not known, so that what was reserved for it stays so."""
        if cost is None or (not cost and not hold.worst):
            return
        try:
            until = asyncio.get_running_loop().time() + PATIENCE.total_seconds()
            await insist(lambda: self._spending.settle(hold, cost), until=until)
        except LedgerError as error:  # an answer that is paid for outweighs its entry in the books
            logger.warning("a cost of %.6f USD is not booked: %s", cost, error)
