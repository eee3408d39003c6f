"""How work ends early: what a plugin raises, and what the runner makes of everything else."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

ErrorClass = Literal["transient", "rate_limited", "bad_output", "permanent"]


class Discard(Exception):  # noqa: N818 - a decision, not a fault
    """Ends the run as discarded, with the reason; it is never retried and nothing is delivered."""

    def __init__(self, reason: str) -> None:
        """Take the reason that ops will read; put no personal data in it."""
        super().__init__(reason)
        self.reason = reason


class RetryAfter(Exception):  # noqa: N818 - a decision, not a fault
    """Suspends the run and tries it again after that many seconds; counts as an attempt."""

    def __init__(self, seconds: float, reason: str = "asked to be retried") -> None:
        """Take the delay in seconds and a reason for ops."""
        super().__init__(reason)
        self.delay = timedelta(seconds=seconds)
        self.reason = reason


class Failure(Exception):  # noqa: N818 - the word of DESIGN for a classified error
    """An error that says what kind it is, so that nobody has to guess whether to retry it.

    `klass` is transient, rate_limited, bad_output or permanent; permanent is never retried.
    The text is shown to ops: it names what failed and how, never content.
    """

    def __init__(self, text: str, *, klass: ErrorClass, retry_after: timedelta | None = None) -> None:
        """Take the text, the class, and how long the other side asked us to wait."""
        super().__init__(text)
        self.klass = klass
        self.retry_after = retry_after
