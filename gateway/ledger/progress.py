"""How far a run is: what a stream of an event tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.ledger.view import TERMINAL

SO_FAR = "tokens so far"
"""What the reason of a run that works ends with, while a long answer grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run or a delivery is; `finished` counts its finished steps, `total` is 0 while it is not known.

    `reason` is what it waits for, or how much of a long answer is there.
    """

    id: str
    mark: str = field(repr=False)
    state: str
    step: str = ""
    reason: str = ""
    error_class: str = ""
    attempts: int = 0
    due_at: datetime | None = None
    total: int = 0
    finished: int = 0

    @property
    def over(self) -> bool:
        """Whether only a replay could change it."""
        return self.state in TERMINAL

    @property
    def percent(self) -> int | None:
        """The share of its steps that is finished; None while their number is not known, and where it was given up."""
        if self.state in {"done", "delivered"}:
            return 100
        return min(100 * self.finished // self.total, 100) if self.total else None

    def json(self) -> dict[str, Any]:
        """Plain JSON values; step k of n is `step_number` of `steps_total`, each null while it is not known."""
        number = self.finished if self.over else self.finished + 1
        return {
            "id": self.id,
            "state": self.state,
            "step": self.step,
            "step_number": min(number, self.total) if self.total else None,
            "steps_total": self.total or None,
            "percent": self.percent,
            "reason": self.reason,
            "error_class": self.error_class,
            "attempts": self.attempts,
            "due_at": self.due_at.isoformat() if self.due_at else None,
        }


def make_progress(work_id: str, answer: list[Any]) -> Progress:
    """Make it of what progress.lua says of a work."""
    mark, state, step, reason, error_class, attempts, due, total = (part.decode() for part in answer[:8])
    return Progress(
        id=work_id,
        mark=mark,
        state=state,
        step=step,
        reason=reason,
        error_class=error_class,
        attempts=int(attempts or 0),
        due_at=datetime.fromtimestamp(float(due) / 1000, UTC) if due else None,
        total=int(total or 0),
        finished=answer[8],
    )
