"""What a sink is handed, what it gives back, and the one face that all sinks show."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, Protocol

from actors.errors import Failure
from gateway.ledger.alert import ALERTS

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from actors.errors import ErrorClass
    from gateway.ledger.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One result on its way to one sink; `delivery_id` stays the same over all attempts, `attempt` counts from 1."""

    delivery_id: str
    event: Event
    result: Any = field(repr=False)
    traceparent: str = ""
    attempt: int = 1
    generation: int = 0
    degraded: bool = False

    def body(self) -> bytes:
        """Give what is delivered, compact JSON in UTF-8: the same bytes at every attempt.

        Raises Failure (permanent) where the result is not JSON. A lone surrogate, which UTF-8 lacks, becomes `?`.
        """
        try:
            text = json.dumps(self._envelope(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError):
            raise Failure(f"{self.delivery_id}: the result is not JSON", klass="permanent") from None
        return text.encode("utf-8", "replace")

    def _envelope(self) -> dict[str, Any]:
        received = self.event.received_at.astimezone(UTC).isoformat(timespec="milliseconds")
        return {
            "type": "hookmill.alert" if self.event.source == ALERTS else "hookmill.result",
            "id": self.delivery_id,
            "event_id": self.event.id,
            "source": self.event.source,
            "pipeline": self.event.pipeline,
            "timestamp": received.replace("+00:00", "Z"),
            "result": self.result,
            "degraded": self.degraded,
            "generation": self.generation,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a sink answered: an HTTP status where there is one, and a line for ops without content.

    `answer` is how its answer begins, as far as it may be kept: for the ledger alone, never for a log.
    """

    status: int | None = None
    detail: str = ""
    answer: str = field(default="", repr=False)

    def record(self) -> bytes:
        """Give it as JSON, as the ledger keeps it with the delivery."""
        return json.dumps({"status": self.status, "detail": self.detail, "answer": self.answer}).encode()


class Refusal(Failure):
    """A delivery that was answered, but not taken; `gone` says that the sink is to be left alone for good."""

    def __init__(
        self, text: str, *, klass: ErrorClass, retry_after: timedelta | None, receipt: Receipt, gone: bool = False
    ) -> None:
        """Take what a Failure takes, and what was answered."""
        super().__init__(text, klass=klass, retry_after=retry_after)
        self.receipt, self.gone = receipt, gone


class OpenSink(Protocol):
    """Takes results, at least once each and under the same id: whoever receives them drops repeated ids."""

    @property
    def name(self) -> str:
        """The name that the configuration gives it."""

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Receipt:
        """Deliver once; raises Failure, whose class says whether another attempt may help."""

    async def aclose(self) -> None:
        """Let go of what is open; nothing may be sent afterwards."""
