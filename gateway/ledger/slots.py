"""Leave to call a model: how many calls at once, fleet-wide, and a circuit per candidate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.ledger.scripts import Scripts


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRule:
    """Opens after `failures` in a row within `window`; after `open_for` one probe decides."""

    failures: int = 5
    window: timedelta = timedelta(seconds=60)
    open_for: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Leave to call (`granted`), or how long until it makes sense to ask again."""

    state: Literal["granted", "wait", "open"]
    after: timedelta
    probe: bool = False


class Slots:
    """Calls in flight per candidate, as leases: a caller that dies gives its slot back when its lease ends."""

    def __init__(self, scripts: Scripts) -> None:
        """Take the loaded scripts."""
        self._scripts = scripts

    async def acquire(self, candidate: str, *, token: str, limit: int | None, lease: timedelta) -> Grant:
        """Ask for a slot under a token that is the same when the same step asks again.

        `wait` names the time until this waiter's own slot; `open` the time until a probe is let through.
        """
        verdict, after = await self._scripts("acquire", candidate, token, limit or 0, ms(lease))
        probe = verdict == b"probe"
        return Grant(state="granted" if probe else verdict.decode(), after=timedelta(milliseconds=after), probe=probe)

    async def release(
        self,
        candidate: str,
        *,
        token: str,
        outcome: Literal["ok", "failed", "neutral"],
        took: timedelta,
        circuit: CircuitRule,
    ) -> bool:
        """Give the slot back; True if the outcome opened the circuit."""
        rule = (circuit.failures, ms(circuit.window), ms(circuit.open_for))
        return {1: True, 0: False}[await self._scripts("release", candidate, token, outcome, ms(took), *rule)]


def ms(duration: timedelta) -> int:
    """Give whole milliseconds, the unit of every time in the ledger."""
    return round(duration / timedelta(milliseconds=1))
