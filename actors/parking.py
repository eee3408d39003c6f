"""Waiting inside a run: a step that must wait parks; when nothing else of the run works, the run is suspended."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = timedelta(seconds=1)  # a shorter wait keeps its thread: suspending costs more
SETTLE = 0.05  # seconds of plain Python between two steps before a run with only parked steps counts as idle


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """Until when (the loop's clock, seconds) and for what the run waits."""

    until: float
    reason: str


class Parking:
    """The steps of one run that work, and those that wait. Made and used inside the running event loop."""

    def __init__(self) -> None:
        """Start with nothing at work."""
        self._loop = asyncio.get_running_loop()
        self._working = 0
        self._parked: dict[object, Suspension] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.suspended: asyncio.Future[Suspension] = self._loop.create_future()

    @property
    def reason(self) -> str:
        """What the run waits for now, if every step of it waits."""
        return "" if self._working or not self._parked else self._next().reason

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count a step as at work."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    async def wait(self, delay: timedelta, reason: str) -> None:
        """Wait; a long wait lets the run be suspended, and then never returns: the caller is cancelled."""
        if delay < SHORT:
            await asyncio.sleep(delay.total_seconds())
            return
        place = object()
        self._parked[place] = Suspension(until=self._loop.time() + delay.total_seconds(), reason=reason)
        self._count(-1)
        try:
            await asyncio.sleep(delay.total_seconds())
        finally:
            del self._parked[place]
            self._count(1)

    def _count(self, change: int) -> None:
        self._working += change
        if self._working and self.suspended.done():  # it works again before it was cancelled
            self.suspended = self._loop.create_future()
        if self._timer is not None:
            self._timer.cancel()
        idle = not self._working and self._parked
        self._timer = self._loop.call_later(SETTLE, self._suspend) if idle else None

    def _suspend(self) -> None:
        if not self.suspended.done():
            self.suspended.set_result(self._next())

    def _next(self) -> Suspension:
        return min(self._parked.values(), key=lambda one: one.until)
