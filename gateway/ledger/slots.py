"""Leave to call a model, or a sink, fleet-wide: how many calls at once and in a minute, their tokens, and circuits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.ledger.scripts import Scripts


Outcome = Literal["ok", "failed", "neutral", "limited", "out"]
State = Literal["granted", "wait", "open", "rest", "out"]


OF_SINKS = "sink:"
"""What the name of a way to a sink begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRule:
    """Opens after `failures` in a row within `window`, or at a `ratio` of failures among at least `least` calls of one.

    After `open_for` one probe decides. When it went well, `ramp` is how long until as many calls as before go at once.
    """

    failures: int = 5
    window: timedelta = timedelta(seconds=60)
    open_for: timedelta = timedelta(seconds=30)
    ratio: float | None = None
    least: int = 20
    ramp: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A candidate as the fleet knows it: its name, its limits (None: none), the pool whose circuit it shares.

    `concurrent` calls at once; `calls` and `tokens` within any 60 s.
    """

    name: str
    pool: str
    concurrent: int | None = None
    calls: int | None = None
    tokens: int | None = None
    circuit: CircuitRule = field(default_factory=CircuitRule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Leave to call (`granted`), or how long until it makes sense to ask again.

    `entry` is the call's place in its minute, for `release`.
    """

    state: State
    after: timedelta
    probe: bool = False
    entry: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call that was granted ended: `limited` by its provider, `out` for its key's sake; neutral says nothing.

    `tokens` it took (None: not known, so those that were reserved); not `sent`, it is taken out of its minute. A
    candidate that is limited or out is left alone for `rest`; limited, without one, for longer each time.
    """

    outcome: Outcome
    took: timedelta = timedelta(0)
    tokens: int | None = None
    sent: bool = True
    rest: timedelta = timedelta(0)


class Slots:
    """Calls of the whole fleet: at once, as leases (a caller that dies gives its slot back), and within a minute."""

    def __init__(self, scripts: Scripts) -> None:
        """Take the loaded scripts."""
        self._scripts = scripts

    async def acquire(self, way: Way, *, token: str, lease: timedelta, tokens: int = 0) -> Grant:
        """Ask for leave under a token that is the same when the same step asks again; `tokens` is what it may take.

        Leave is for now: a call that is not sent within a second asks anew. Else `wait` names the time until this
        waiter's own turn, `open` until a probe is let through, `rest` until the provider may be asked again, `out`
        until its key is tried again.
        """
        limits = (way.concurrent or 0, way.calls or 0, way.tokens or 0)
        verdict, after, *entry = await self._scripts("acquire", way.name, way.pool, token, ms(lease), *limits, tokens)
        probe = verdict == b"probe"
        state: State = "granted" if probe else verdict.decode()
        return Grant(state=state, after=timedelta(milliseconds=after), probe=probe, entry=b"".join(entry).decode())

    async def release(self, way: Way, *, token: str, entry: str = "", ended: Ended) -> bool:
        """Give the slot back; True if how it ended opened the circuit."""
        used = "unsent" if not ended.sent else "" if ended.tokens is None else ended.tokens
        call = (token, ended.outcome, ms(ended.took), entry, used, ms(ended.rest), way.calls or 0)
        rule = way.circuit
        opens = (rule.failures, ms(rule.window), ms(rule.open_for), 100 * (rule.ratio or 0), rule.least, ms(rule.ramp))
        return {1: True, 0: False}[await self._scripts("release", way.name, way.pool, *call, *opens)]


def ms(duration: timedelta) -> int:
    """Give whole milliseconds, the unit of every time in the ledger."""
    return round(duration / timedelta(milliseconds=1))
