"""Owning work: begin it, keep its lease while it is worked, and record how it ended, whatever happens to Redis."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from actors import outcome
from actors.insist import insist
from actors.outcome import Later, Lost, Outcome
from gateway.ledger import LedgerError
from otel.trails import Origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.keeper import Holding, Keeper
    from gateway.ledger import Ledger, Work

T = TypeVar("T")
CANCEL_GRACE = 2.0  # seconds a cancelled pipeline has for its own clean-up

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A work that was owned, and how this attempt of it ended."""

    work: Work
    outcome: Outcome
    took: timedelta


class Owner:
    """Begins work and ends it; between the two, the keeper holds its lease."""

    def __init__(self, ledger: Ledger, keeper: Keeper, *, name: str) -> None:
        """Take the ledger, the keeper and the name of this worker; must be made inside the loop that works."""
        self.ledger = ledger
        self._keeper, self._name = keeper, name
        self._loop = asyncio.get_running_loop()
        self._drained: asyncio.Future[None] = self._loop.create_future()

    def drain_soon(self) -> None:
        """Give back, from any thread, what is still being worked; it waits in the ledger for another worker."""
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        if not self._drained.done():
            self._drained.set_result(None)

    async def own(
        self, work_id: str, do: Callable[[Work, Holding], Awaitable[Outcome]], *, late: Callable[[Work], Outcome]
    ) -> Ended | None:
        """Work it, if it is there to be worked; `late` decides what becomes of it when its deadline is over.

        None if it is not there, or if Redis does not answer: then the sweeper wakes it again.
        """
        work = await self._begin(work_id)
        if work is None:
            return None
        started = asyncio.get_running_loop().time()
        deadline = started + work.time_left.total_seconds()
        with self._keeper.holding(work) as holding:
            ending = await self._until_over(do(work, holding), holding) or late(work)
            kept = await insist(lambda: outcome.record(ending, work, self.ledger, step=holding.step), until=deadline)
        took = timedelta(seconds=asyncio.get_running_loop().time() - started)
        return Ended(work=work, outcome=ending if kept else Lost(), took=took)

    async def _begin(self, work_id: str) -> Work | None:
        try:
            begun = await self.ledger.begin(work_id, fence=f"{self._name}/{secrets.token_hex(8)}")
        except LedgerError as error:
            logger.warning("begin %s: %s", work_id, error)
            return None
        if begun.outcome == "dead":  # the ledger gave it up: it lost too many workers, or cannot be read
            logger.warning("dead.buried", extra={"fields": {"id": work_id}})
        return begun.work

    async def _until_over(self, doing: Awaitable[Outcome], holding: Holding) -> Outcome | None:
        """Wait for the work, or for what ends it first: a lost lease, a drain, its deadline (None)."""
        working = asyncio.ensure_future(doing)
        endings: set[asyncio.Future[Any]] = {working, holding.lost, self._drained}
        time_left = holding.work.time_left.total_seconds()
        try:
            await asyncio.wait(endings, timeout=time_left, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await cancel(working)
            raise
        if working.done():
            return working.result()
        await cancel(working)
        if holding.lost.done():
            return Lost()
        if self._drained.done():
            return Later(delay=timedelta(0), reason="the worker was stopped")
        return None


def origin_of(work: Work) -> Origin:
    """Tell listeners where this attempt of a work comes from."""
    return Origin(traceparent=work.event.traceparent, replayed=work.replayed, waited=work.waited, lease=work.fence)


async def cancel(working: asyncio.Future[T]) -> None:
    """Cancel it and give it a moment to clean up; what it does later is refused by its fence."""
    working.cancel()
    working.add_done_callback(_seen)
    _, pending = await asyncio.wait({working}, timeout=CANCEL_GRACE)
    if pending:
        logger.warning("a cancelled pipeline did not stop within %s s", CANCEL_GRACE)


def _seen(working: asyncio.Future[T]) -> None:
    """Look at how it ended, so that the loop does not complain that nobody did."""
    if not working.cancelled():
        working.exception()
