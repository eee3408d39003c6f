"""How work ends early: what a plugin raises, and what the runner makes of everything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

ErrorClass = Literal["transient", "rate_limited", "bad_output", "permanent", "unknown_pipeline"]


class Discard(Exception):  # noqa: N818 - a decision, not a fault
    """Ends the run as discarded, with the reason; it is never retried and nothing is delivered."""

    def __init__(self, reason: str) -> None:
        """Take the reason that ops will read; put no personal data in it."""
        super().__init__(reason)
        self.reason = reason


class RetryAfter(Exception):  # noqa: N818 - a decision, not a fault
    """Suspends the run and tries it again after that many seconds, or at that time; counts as an attempt."""

    def __init__(
        self, seconds: float = 0.0, reason: str = "asked to be retried", *, at: datetime | None = None
    ) -> None:
        """Take the delay in seconds, or a time with its zone, and a reason for ops. Failure for a time without one."""
        super().__init__(reason)
        if at is not None and at.tzinfo is None:
            raise Failure("RetryAfter(at=...) takes a time with its zone", klass="permanent")
        self.delay = timedelta(seconds=seconds) if at is None else at - datetime.now(UTC)
        self.reason = reason


class Failure(Exception):  # noqa: N818 - the word of DESIGN for a classified error
    """An error that says what kind it is, so that nobody has to guess whether to retry it.

    `klass` is transient, rate_limited, bad_output, permanent or unknown_pipeline; the last two are never retried.
    The text is shown to ops: it names what failed and how, never content.
    """

    def __init__(self, text: str, *, klass: ErrorClass, retry_after: timedelta | None = None) -> None:
        """Take the text, the class, and how long the other side asked us to wait."""
        super().__init__(text)
        self.klass = klass
        self.retry_after = retry_after
