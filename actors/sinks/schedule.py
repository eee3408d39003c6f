"""When a failed delivery is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SPREAD = 0.2
LONGEST_ASKED = timedelta(hours=1)  # a receiver must not be able to park a delivery for a year


def next_delay(
    schedule: tuple[timedelta, ...],
    attempt: int,
    retry_after: timedelta | None,
    *,
    random: Callable[[], float],
) -> timedelta | None:
    """Give the wait after a failed attempt, or None to give up; `attempt` counts those that failed before it, from 0.

    So n waits allow n + 1 attempts. The schedule's wait is spread by +-20 % with `random`, uniform in [0, 1); what the
    receiver asked for wins where it is longer, up to one hour.
    """
    if attempt >= len(schedule):
        return None
    spread = schedule[attempt] * (1 - SPREAD + 2 * SPREAD * random())
    return max(spread, min(retry_after or timedelta(), LONGEST_ASKED))
