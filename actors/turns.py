"""Leave to send to a sink: the whole fleet keeps its rate, and nobody but a probe tries while its circuit is open.

How many deliveries are under way at once is the ledger's own matter: a sink's group has a cap.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from actors.errors import Failure
from actors.gate import Gate
from actors.sinks.schedule import LONGEST_ASKED
from gateway.ledger import Ended, Way
from gateway.ledger.slots import OF_SINKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.config import Sink
    from gateway.ledger import Grant, Slots

STAY = timedelta(seconds=1)
"""Waits up to this, together, are waited out in place; a longer one gives up the place for a later one."""

LATEST = timedelta(seconds=10)
"""By so much, at most, those who find the circuit open come back one after the other."""

TOLD_FOR = timedelta(hours=1)
"""The ledger forgets what a call takes after a day without any."""

MOST_COUNTED = 1000
"""So many turns are remembered at most: a rate of more is kept over a part of its time."""


class NotYet(Exception):  # noqa: N818 - a decision, not a fault
    """Nothing is to be sent before `after` is over; that is no attempt."""

    def __init__(self, after: timedelta, reason: str) -> None:
        """Take the time, and what ops will read."""
        super().__init__(reason)
        self.after = after


class Turns:
    """Hands out the turns of one sink; for the event loop of one worker process."""

    def __init__(self, sink: Sink, slots: Slots) -> None:
        """Take the sink's rules, and the fleet's slots."""
        self._sink, self._slots = sink, slots
        name = OF_SINKS + sink.name
        self._gate = Gate(Way(name=name, pool=name, circuit=sink.circuit), slots)
        self._period, self._paced = _paced(sink, name)
        self._tell_at = 0.0

    @asynccontextmanager
    async def turn(self, token: str) -> AsyncIterator[None]:
        """Let the block send, and tell the circuit how that went; `token` begins with the delivery's id.

        Raises NotYet, and LedgerError where the ledger cannot say.
        """
        patience = _Patience(f"sink {self._sink.name}: ", stay=min(STAY, self._sink.timeout / 2))
        if self._paced is not None:
            await self._keep_pace(self._paced, token, patience)
        grant = await self._gate.enter(token, timeout=self._sink.timeout, wait=patience.wait, reason="it comes back")
        if grant.state != "granted":
            why = "its circuit is open" if grant.state == "open" else "it has had enough"
            raise NotYet(self._later(grant), f"sink {self._sink.name}: {why}")
        began, ended = time.monotonic(), Ended(outcome="neutral")
        try:
            yield
            ended = Ended(outcome="ok")
        except Exception as error:
            ended = _ended(error)
            raise
        finally:
            took = timedelta(seconds=time.monotonic() - began)
            await self._gate.leave(token, grant, replace(ended, took=took))

    def _later(self, grant: Grant) -> timedelta:
        """Give when to come back, not all at once; a probe that is under way may end long before its lease does."""
        after = min(grant.after, self._sink.circuit.open_for) if grant.state == "open" else grant.after
        return after + random.random() * min(after, LATEST)  # noqa: S311 - nobody gains by guessing it

    async def _keep_pace(self, way: Way, token: str, patience: _Patience) -> None:
        """Wait for a place in the rate: a slot that nobody gives back, until the period is over.

        So any period holds as many as the rate says at most. The ledger reckons who is next by what a call takes, which
        here is the period.
        """
        now = asyncio.get_running_loop().time()
        if now > self._tell_at:
            await self._slots.release(way, token="", ended=Ended(outcome="ok", took=self._period))
            self._tell_at = now + TOLD_FOR.total_seconds()
        while (grant := await self._slots.acquire(way, token=token, lease=self._period)).state != "granted":
            await patience.wait(grant.after, "its rate")


class _Patience:
    """What one delivery may wait in its place."""

    def __init__(self, where: str, *, stay: timedelta) -> None:
        self._where = where
        self._until = asyncio.get_running_loop().time() + stay.total_seconds()

    async def wait(self, after: timedelta, reason: str) -> None:
        """Wait that long; raises NotYet where it is too long to stay."""
        if asyncio.get_running_loop().time() + after.total_seconds() > self._until:
            raise NotYet(after, self._where + reason)
        await asyncio.sleep(after.total_seconds())


def _paced(sink: Sink, name: str) -> tuple[timedelta, Way | None]:
    """Give the period of the sink's rate and the way whose slots it takes; none without a rate."""
    if sink.rate is None:
        return timedelta(), None
    count, period = sink.rate
    counted = min(count, MOST_COUNTED)
    return period * counted / count, Way(name=f"{name} rate", pool=f"{name} rate", concurrent=counted)


def _ended(error: Exception) -> Ended:
    """Tell the circuit: refused for what it is, a delivery says nothing of the sink."""
    klass = error.klass if isinstance(error, Failure) else "transient"
    if klass == "rate_limited":
        asked = error.retry_after if isinstance(error, Failure) else None
        return Ended(outcome="limited", rest=min(asked or timedelta(), LONGEST_ASKED))
    return Ended(outcome="failed" if klass == "transient" else "neutral")
