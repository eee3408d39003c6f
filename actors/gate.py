"""The gate to a candidate: leave for one call of the whole fleet's, or a rest until the time that the ledger names.

Every waiter has its own time, so nobody wakes in a herd. A slot given back wakes the first waiter of this process at
once, and (the ledger sees to that) the first run that was suspended for one, so no slot idles.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from actors.insist import insist
from gateway.ledger.errors import LedgerError
from gateway.ledger.slots import Ended, Grant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.llm.records import Wait
    from gateway.ledger.slots import Slots, Way

SOONEST = timedelta(milliseconds=20)
"""No waiter looks again before that, whatever it is told."""

MARGIN = timedelta(seconds=5)
"""How long a slot's lease outlives the call: a slow release must not let one call too many in."""

STALE = timedelta(seconds=1)
"""Leave that is older when its call could be sent is asked for anew: the provider's minute is not the ledger's."""

UNUSED = Ended(outcome="neutral", sent=False)
LOST = Grant(state="granted", after=timedelta())


class Place:
    """A place in the line; a nudge ends its rest, or spares it the next one."""

    __slots__ = ("nudged", "rest")

    def __init__(self) -> None:
        """Stand in the line, awake."""
        self.rest: asyncio.Timeout | None = None
        self.nudged = False

    def nudge(self) -> None:
        """Wake whoever waits here."""
        if self.rest is not None and not self.nudged:
            self.rest.reschedule(asyncio.get_running_loop().time())
        self.nudged = True

    async def wait(self, wait: Wait, after: timedelta, reason: str) -> None:
        """Wait that long in the caller's own way, or until nudged."""
        if self.nudged:
            return
        try:
            async with asyncio.timeout(None) as self.rest:
                await wait(max(after, SOONEST), reason)
        except TimeoutError:
            if not self.nudged:
                raise
        finally:
            self.rest = None


class Gate:
    """Lets calls to one candidate through; for the event loop of one worker process."""

    def __init__(self, way: Way, slots: Slots) -> None:
        """Take the candidate's name and limits, and the fleet's slots."""
        self._way = way
        self._slots = slots
        self._line: deque[Place] = deque()

    async def enter(
        self,
        token: str,
        *,
        timeout: timedelta,  # noqa: ASYNC109 - of the call to come
        wait: Wait,
        reason: str,
        tokens: int = 0,
    ) -> Grant:
        """Get leave for a call of at most `timeout` and `tokens`; or learn why nobody is to call: open, rest, out.

        Raises LedgerError where the ledger cannot say.
        """
        with self._place() as place:
            while True:
                place.nudged = False
                grant = await self._acquire(token, timeout, tokens)
                if grant.state != "wait":
                    return grant
                await place.wait(wait, grant.after, reason)

    async def leave(self, token: str, grant: Grant, ended: Ended) -> None:
        """Give the slot back, even if this very task is being cancelled, or Redis is away for a while."""
        giving = asyncio.ensure_future(self._give(token, grant.entry, ended))
        giving.add_done_callback(self._given)
        with suppress(LedgerError):  # an answer that is paid for outweighs a slot that comes back late
            await asyncio.shield(giving)

    async def _acquire(self, token: str, timeout: timedelta, tokens: int) -> Grant:  # noqa: ASYNC109 - as above
        """Ask for leave; what comes too late to be used is given back, and asked for again soon."""
        clock = asyncio.get_running_loop().time
        asked = clock()
        try:
            grant = await self._slots.acquire(self._way, token=token, lease=timeout + MARGIN, tokens=tokens)
        except asyncio.CancelledError:  # the ledger may have granted it all the same
            await self.leave(token, LOST, UNUSED)
            raise
        if not grant.entry or clock() - asked < STALE.total_seconds():
            return grant
        await self.leave(token, grant, UNUSED)
        return Grant(state="wait", after=SOONEST)

    async def _give(self, token: str, entry: str, ended: Ended) -> bool | None:
        until = asyncio.get_running_loop().time() + MARGIN.total_seconds()  # about then its lease ends it anyway
        return await insist(lambda: self._slots.release(self._way, token=token, entry=entry, ended=ended), until=until)

    def _given(self, giving: asyncio.Future[bool | None]) -> None:
        giving.cancelled() or giving.exception()  # seen, also where nobody awaits it any more
        self._nudge()

    @contextmanager
    def _place(self) -> Iterator[Place]:
        place = Place()
        self._line.append(place)
        try:
            yield place
        finally:
            self._line.remove(place)
            self._nudge()

    def _nudge(self) -> None:
        if self._line:
            self._line[0].nudge()
