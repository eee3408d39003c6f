"""How one attempt of a run or a delivery ends: a closed set, one function each way."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from actors.errors import Discard, Failure, RetryAfter
from gateway.ledger import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config import RetryPolicy
    from gateway.ledger import Ledger, NewDelivery, Work

OUTAGE_PAUSE = timedelta(seconds=1)
MOST_DOUBLINGS = 60  # beyond it every cap is reached, and a float would overflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """It ended well: `state` is done, discarded or delivered, `result` JSON."""

    state: str
    result: bytes = b"null"
    reason: str = ""
    deliveries: Sequence[NewDelivery] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """It goes on after `delay`; `counted` says whether this was a failed attempt."""

    delay: timedelta
    reason: str
    error_class: str = ""
    counted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Buried:
    """It was given up: a dead letter."""

    reason: str
    error_class: str
    counted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Another worker owns it now, or its lease could not be kept; there is nothing to record."""

    reason: str = "another worker owns it now"


Outcome = Done | Later | Buried | Lost


def name(outcome: Outcome) -> str:
    """Give the word for logs: done, discarded, delivered, waiting, dead or lost."""
    match outcome:
        case Done():
            return outcome.state
        case Later():
            return "waiting"
        case Buried():
            return "dead"
        case Lost():
            return "lost"


async def record(outcome: Outcome, work: Work, ledger: Ledger, *, step: str) -> bool:
    """Write the outcome into the ledger; False if the work is not ours any more. May be repeated."""
    match outcome:
        case Done():
            return await ledger.finish(
                work, outcome.state, result=outcome.result, reason=outcome.reason, deliveries=outcome.deliveries
            )
        case Later():
            return await ledger.postpone(
                work,
                outcome.delay,
                reason=outcome.reason,
                error_class=outcome.error_class,
                counted=outcome.counted,
                step=step,
            )
        case Buried():
            return await ledger.bury(
                work, reason=outcome.reason, error_class=outcome.error_class, step=step, counted=outcome.counted
            )
        case Lost():
            return False


def from_error(error: BaseException, work: Work, policy: RetryPolicy) -> Outcome:
    """Decide what an exception of a pipeline means: discard, retry with full jitter, or a dead letter."""
    if isinstance(error, Discard):
        return Done(state="discarded", reason=error.reason)
    if isinstance(error, RetryAfter):
        return _retry(RetryAfter.__name__, error.reason, work, policy, at_least=error.delay, exact=True)
    if isinstance(error, LedgerError):
        return Later(delay=OUTAGE_PAUSE, reason="the ledger did not answer")
    failure = classified(error)
    if failure.klass == "permanent":
        return Buried(reason=str(failure), error_class="permanent")
    return _retry(failure.klass, str(failure), work, policy, at_least=failure.retry_after)


def too_late(work: Work) -> Failure:
    """Give the failure of an attempt that did not end in time."""
    return Failure(f"took longer than {work.time_left}", klass="transient")


def classified(error: BaseException) -> Failure:
    """Give any exception as a Failure.

    An unknown one is transient, and only its type is named: its text may hold what the event held.
    """
    if isinstance(error, Failure):
        return error
    return Failure(f"{type(error).__name__} was raised", klass="transient")


def _retry(
    error_class: str,
    reason: str,
    work: Work,
    policy: RetryPolicy,
    *,
    at_least: timedelta | None,
    exact: bool = False,
) -> Outcome:
    if work.attempts + 1 >= policy.attempts:
        return Buried(reason=f"{reason} (gave up after {policy.attempts} attempts)", error_class=error_class)
    delay = at_least or timedelta(0)
    if not exact:
        grown = policy.first.total_seconds() * policy.factor ** min(work.attempts, MOST_DOUBLINGS)
        most = min(policy.cap.total_seconds(), grown)
        spread = timedelta(seconds=most * random.random())  # noqa: S311 - full jitter; nobody gains by guessing it
        delay = max(delay, spread)
    return Later(delay=delay, reason=reason, error_class=error_class, counted=True)
