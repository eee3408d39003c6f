"""How one attempt of a run or a delivery ends: a closed set, one function each way."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from actors.errors import Discard, Failure, RetryAfter
from actors.sinks.schedule import LONGEST_ASKED
from gateway.ledger import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config import RetryPolicy
    from gateway.ledger import Ledger, NewDelivery, Work

OUTAGE_PAUSE = timedelta(seconds=1)
NEVER_RETRIED = frozenset({"permanent", "unknown_pipeline"})
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

    reason: str = "it was cancelled, or another worker owns it now"


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


def counts(outcome: Outcome) -> bool:
    """Tell whether the attempt counts: one that only waits for something goes on under its number."""
    return not isinstance(outcome, Lost) and getattr(outcome, "counted", True)


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


def from_error(error: BaseException, work: Work, policy: RetryPolicy, *, age: timedelta) -> Outcome:
    """Decide what an exception of a pipeline means: discard, retry with full jitter, or a dead letter.

    `age` is how long ago the event was received, or replayed.
    """
    if isinstance(error, Discard):
        return Done(state="discarded", reason=error.reason)
    if isinstance(error, RetryAfter):
        return _retry(RetryAfter.__name__, error.reason, error.delay, work, policy, age=age)
    if isinstance(error, LedgerError):
        return Later(delay=OUTAGE_PAUSE, reason="the ledger did not answer")
    failure = classified(error)
    if failure.klass in NEVER_RETRIED:
        return Buried(reason=str(failure), error_class=failure.klass)
    asked = min(failure.retry_after or timedelta(0), LONGEST_ASKED)
    return _retry(failure.klass, str(failure), max(asked, _wait(work, policy)), work, policy, age=age)


def in_time(waits: Later, policy: RetryPolicy, *, age: timedelta) -> Outcome:
    """Let a run wait until it is as old as `max_age`, and give up one that is and still has to wait.

    Not at once: what a run waits for may come sooner than it was told.
    """
    if policy.max_age is None:
        return waits
    left = policy.max_age - age
    if left > timedelta(0):
        return replace(waits, delay=min(waits.delay, left))
    told = f"{waits.reason} (gave up waiting: it is older than max_age, {policy.max_age})"
    return Buried(reason=told, error_class="rate_limited", counted=False)


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


def _wait(work: Work, policy: RetryPolicy) -> timedelta:
    grown = policy.first.total_seconds() * policy.factor ** min(work.attempts, MOST_DOUBLINGS)
    most = min(policy.cap.total_seconds(), grown)
    return timedelta(seconds=most * random.random())  # noqa: S311 - full jitter; nobody gains by guessing it


def _retry(
    error_class: str, reason: str, delay: timedelta, work: Work, policy: RetryPolicy, *, age: timedelta
) -> Outcome:
    tried, most = work.attempts + 1, policy.most(error_class)
    if tried >= most:
        return Buried(reason=f"{reason} (gave up after {_plural(tried)})", error_class=error_class)
    if policy.max_age is not None and age + delay > policy.max_age:
        over = f"gave up after {_plural(tried)}: the next one would begin later than max_age, {policy.max_age}"
        return Buried(reason=f"{reason} ({over})", error_class=error_class)
    return Later(delay=delay, reason=reason, error_class=error_class, counted=True)


def _plural(attempts: int) -> str:
    """Say how many attempts."""
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"
