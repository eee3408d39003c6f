"""What the listeners of a worker are told of a run's steps and calls of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel.records import ModelCalled, StepFinished, tell

if TYPE_CHECKING:
    from datetime import timedelta

    from gateway.ledger import Event
    from otel.records import Listener, ModelCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Tells the listeners what happens in one attempt of a run; `lease` is its fence."""

    listeners: tuple[Listener, ...]
    event: Event
    pipeline: str
    lease: str

    def step(self, step: str, took: timedelta, *, cached: bool = False, error_class: str | None = None) -> None:
        """Tell of a step that ended."""
        record = StepFinished(
            event_id=self.event.id,
            source=self.event.source,
            pipeline=self.pipeline,
            step=step,
            cached=cached,
            took=took,
            error_class=error_class,
            lease=self.lease,
        )
        tell(self.listeners, record)

    def call(self, step: str, alias: str, call: ModelCall) -> None:
        """Tell of a call of a model."""
        about = {"event_id": self.event.id, "source": self.event.source, "lease": self.lease}
        record = ModelCalled(step=step, alias=alias, call=call, **about)
        tell(self.listeners, record)
