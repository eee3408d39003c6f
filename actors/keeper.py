"""The keeper: an OS thread with its own loop and connection that renews this worker's leases and sweeps.

It is a thread because a blocked event loop must not lose the runs that it works.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.ledger import Beat, LedgerError, Work
from otel.records import Listener, Swept, tell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from gateway.ledger import Ledger

    Beating = Callable[[Ledger], Awaitable[timedelta]]

RENEW = timedelta(seconds=3)
SWEEP = timedelta(seconds=1)
SOON = timedelta(milliseconds=5)  # the shortest pause between two sweeps

logger = logging.getLogger(__name__)


class Holding:
    """A work that this worker owns. `step` and `reason` are what the next renewal tells the ledger."""

    def __init__(self, work: Work) -> None:
        """Take the work; must be made inside the loop that works it."""
        self.work = work
        self.step = ""
        self.reason: Callable[[], str] = str
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def age(self) -> timedelta:
        """Give how long ago the event was received, or replayed."""
        return self.work.age + timedelta(seconds=self._loop.time() - self._began)

    def lose(self) -> None:
        """Say, from any thread, that the lease is lost."""
        self._loop.call_soon_threadsafe(self._lose)

    def _lose(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def beat(self) -> Beat:
        """Make what the renewal says."""
        return Beat(id=self.work.id, fence=self.work.fence, step=self.step, reason=self.reason())


class Keeper(threading.Thread):
    """Renews every 3 s what is held, and sweeps every second or when something is due."""

    def __init__(
        self,
        open_ledger: Callable[[], Awaitable[Ledger]],
        *,
        worker: str,
        listeners: tuple[Listener, ...],
        died: Callable[[], None],
        beats: Sequence[Beating] = (),
    ) -> None:
        """Take how to open a ledger of its own, the worker's name, who hears of sweeps, and what to do if it dies.

        `beats` is what else it does: each gives how long to wait until it is called again.
        """
        super().__init__(name="keeper", daemon=True)
        self._open, self._worker, self._died = open_ledger, worker, died
        self._listeners, self._beats = listeners, beats
        self._held: dict[str, Holding] = {}
        self._ending = threading.Event()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop

    @contextmanager
    def holding(self, work: Work) -> Iterator[Holding]:
        """Keep the lease of that work for as long as the block runs."""
        holding = Holding(work)
        self._held[work.fence] = holding
        try:
            yield holding
        finally:
            del self._held[work.fence]

    def held(self) -> int:
        """Count what this worker owns now."""
        return len(self._held)

    def stop(self) -> None:
        """End the thread soon."""
        self._ending.set()
        with suppress(AttributeError, RuntimeError):  # its loop is not open yet, or closed already
            self._loop.call_soon_threadsafe(self._wake.set)

    def run(self) -> None:
        """Run until stopped; an outage of Redis is waited out."""
        try:
            asyncio.run(self._run())
        except Exception:
            logger.exception("the keeper died")
            self._died()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        ledger = await self._open()
        try:
            beats = (self._renew, self._sweep, *self._beats)
            await asyncio.gather(*(self._every(beat, ledger) for beat in beats))
            with suppress(LedgerError):
                await ledger.retire(self._worker)
        finally:
            await ledger.close()

    async def _every(self, beat: Beating, ledger: Ledger) -> None:
        while not self._ending.is_set():
            try:
                pause = await beat(ledger)
            except LedgerError as error:
                logger.warning("%s: %s", beat.__name__.strip("_"), error)
                pause = SWEEP / 2
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause.total_seconds())

    async def _renew(self, ledger: Ledger) -> timedelta:
        held = list(self._held.values())
        if held:
            for holding, ours in zip(held, await ledger.renew([one.beat() for one in held]), strict=True):
                if not ours:
                    holding.lose()
        return RENEW

    async def _sweep(self, ledger: Ledger) -> timedelta:
        sweep = await ledger.sweep(self._worker)
        if sweep.woken or sweep.recovered or sweep.extended:
            record = Swept(woken=sweep.woken, recovered=sweep.recovered, extended=sweep.extended)
            tell(self._listeners, record)
        return SWEEP if sweep.next_due is None else min(SWEEP, max(SOON, sweep.next_due))
