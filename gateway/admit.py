"""Admits events: gathers what arrives together into one call of the ledger, within a deadline."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from gateway.errors import LedgerUnavailable, Overloaded
from gateway.ledger import LedgerDown, LedgerError, LedgerFull, ReplicasLate

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from gateway.ledger import Admission, Ledger, Verdict
    from gateway.ledger.event import Lane

    Waiting = tuple[Admission, asyncio.Future[Verdict]]

log = logging.getLogger("hookmill.gateway")
MOST_EVENTS = 64  # a call; beyond it one script would hold Redis too long
MOST_BYTES = 1024 * 1024
MOST_FLIGHTS = 4
MOST_WAITING = 4096
MOST_WAITING_BYTES = 64 * 1024 * 1024
DEADLINE = timedelta(seconds=1)
SHARES = {"low": 0.8, "normal": 0.9, "high": 1.0}
"""Of the requests that may wait for a verdict, how many before a request of that lane is turned away."""


class Admitter:
    """Coalesces concurrent admissions: while calls are in flight, the next ones gather. No timer adds latency.

    Where as many have gathered as a call can carry, it goes out beside those in flight, at once: the ledger works on it
    while the rest of the burst is still being verified.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        deadline: timedelta = DEADLINE,
        most_waiting: int = MOST_WAITING,
        most_waiting_bytes: int = MOST_WAITING_BYTES,
    ) -> None:
        """Take the ledger, how long a caller may wait, and how many events and bytes may wait together."""
        self._ledger = ledger
        self._deadline = deadline.total_seconds()
        self._most_waiting = most_waiting
        self._most_waiting_bytes = most_waiting_bytes
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._ends: deque[tuple[float, asyncio.Future[Verdict]]] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._pending = 0

    def check_load(self, lane: Lane, *, most: int) -> None:
        """Raise Overloaded where so many callers wait for a verdict that one of this lane is not to join them."""
        if self._pending >= most * SHARES[lane]:
            raise Overloaded(retry_after=1)

    async def admit(self, admission: Admission) -> Verdict:
        """Give the ledger's verdict.

        Raises Overloaded where too much waits already, or Redis is short of memory; LedgerUnavailable where there is no
        verdict in time: then the event may or may not be stored, and sending it again is safe.
        """
        size = len(admission.event.body)
        crowded = self._waiting and self._waiting_bytes + size > self._most_waiting_bytes
        if crowded or len(self._waiting) >= self._most_waiting:
            raise Overloaded(retry_after=1)
        loop = asyncio.get_running_loop()
        verdict: asyncio.Future[Verdict] = loop.create_future()
        self._waiting.append((admission, verdict))
        self._waiting_bytes += size
        if len(self._waiting) >= MOST_EVENTS:
            self._depart()
        elif len(self._waiting) == 1 and not self._flights:
            loop.call_soon(self._depart)  # with all that this turn of the loop still brings
        self._await(verdict, until=loop.time() + self._deadline)
        self._pending += 1
        try:
            return await verdict
        finally:
            self._pending -= 1

    async def close(self) -> None:
        """Wait for what is in flight."""
        while self._flights:
            await asyncio.wait(self._flights)

    def _await(self, verdict: asyncio.Future[Verdict], *, until: float) -> None:
        """See to it that the caller hears something in time: one timer, that of whoever waits for longest."""
        self._ends.append((until, verdict))
        if len(self._ends) == 1:
            asyncio.get_running_loop().call_at(until, self._give_up)

    def _give_up(self) -> None:
        loop = asyncio.get_running_loop()
        while self._ends and (self._ends[0][1].done() or self._ends[0][0] <= loop.time()):
            _, verdict = self._ends.popleft()
            if not verdict.done():
                verdict.set_exception(LedgerUnavailable(retry_after=1))
        if self._ends:
            loop.call_at(self._ends[0][0], self._give_up)

    def _depart(self) -> None:
        """Send off what waits, unless enough is in flight: then it goes when one lands."""
        if len(self._flights) < MOST_FLIGHTS and (batch := self._next()):
            answer = self._ledger.admit([admission for admission, _ in batch])
            self._flights.add(asyncio.create_task(self._land(batch, answer)))

    async def _land(self, batch: list[Waiting], answer: Awaitable[list[Verdict]]) -> None:
        try:
            verdicts = await answer
        except Exception as error:  # noqa: BLE001 - every caller of the batch is to hear of it
            if isinstance(error, ReplicasLate):
                log.warning("%d events answered 503: %s", len(batch), error)
            elif not isinstance(error, (LedgerDown, LedgerFull)):  # those two the listeners hear of
                log.error("%d events not admitted: %s", len(batch), type(error).__name__)  # noqa: TRY400 - texts stay out
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_exception(_told(error))
        else:
            for (_, waiting), verdict in zip(batch, verdicts, strict=True):
                if not waiting.done():
                    waiting.set_result(verdict)
        self._flights.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        self._depart()

    def _next(self) -> list[Waiting]:
        batch: list[Waiting] = []
        size = 0
        while self._waiting and len(batch) < MOST_EVENTS:
            admission, verdict = self._waiting[0]
            if batch and size + len(admission.event.body) > MOST_BYTES:
                break
            self._waiting.popleft()
            self._waiting_bytes -= len(admission.event.body)
            if not verdict.done():  # whoever gave up meanwhile was told to send it again
                batch.append((admission, verdict))
                size += len(admission.event.body)
        return batch


def _told(error: Exception) -> Exception:
    if isinstance(error, LedgerFull):
        return Overloaded(retry_after=5)
    return LedgerUnavailable(retry_after=1) if isinstance(error, LedgerError) else error
