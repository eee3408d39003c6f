"""What the gateway and the runner tell their listeners: one frozen record per unit of work, never a body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from otel.trails import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAccepted:
    """A request was verified and admitted, or recognised as a duplicate of `event_id`.

    `caller` is the trace context that the sender named, "" if none; `admitting` is what the ledger took. `status` is
    what the sender was answered, 0 where the event is one of our own.
    """

    source: str
    event_id: str
    duplicate: bool
    traceparent: str
    size: int
    took: timedelta
    admitting: timedelta = timedelta(0)
    caller: str = ""
    status: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRejected:
    """A request was refused; nothing was stored."""

    source: str
    code: str
    status: int
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A step of a run ended: computed, found in its checkpoint (`cached`), or failed (`error_class` says how).

    `step` names its round, too, as `name[key]`; `lease` tells attempts apart.
    """

    event_id: str
    source: str
    pipeline: str
    step: str
    cached: bool
    took: timedelta
    error_class: str | None = None
    lease: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call to one provider; `error_class` is None when its answer was taken.

    Else it is transient, rate_limited, bad_output, permanent or cancelled. `priced` is False where the price or the
    number of tokens is not known; tokens are then estimated. `asked` is the model as models.yaml names it
    (`provider/model`), `model` what the provider says that it was.
    """

    candidate: str
    model: str
    took: timedelta
    error_class: str | None = None
    degraded: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    priced: bool = True
    asked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCalled:
    """A step of a run called a provider, under an alias of models.yaml."""

    event_id: str
    source: str
    step: str
    alias: str
    call: ModelCall
    lease: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """One attempt of a run ended; `outcome` is done, discarded, waiting, dead or lost.

    One that was `waiting` counts if it failed, and not if it only waits for something.
    """

    kind: ClassVar[Literal["run"]] = "run"

    event_id: str
    source: str
    pipeline: str
    attempt: int
    lives: int
    outcome: str
    origin: Origin
    took: timedelta
    counts: bool = True
    reason: str = ""
    error_class: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempted:
    """One attempt of a delivery ended; `outcome` is delivered, waiting, dead or lost.

    `run_attempt` is the attempt of its run that made it, 0 where the delivery itself was replayed; `status` is what a
    sink that speaks HTTP answered, where it took it.
    """

    kind: ClassVar[Literal["delivery"]] = "delivery"

    event_id: str
    source: str
    delivery_id: str
    sink: str
    attempt: int
    outcome: str
    origin: Origin
    took: timedelta
    run_attempt: int = 0
    over_http: bool = True
    status: int | None = None
    counts: bool = True
    reason: str = ""
    error_class: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """The sweeper woke what was due and recovered what had lost its worker; only told when it did something."""

    woken: int
    recovered: int
    extended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopBlocked:
    """The event loop of a worker has not answered for `late`: `step` holds it, at that file and line."""

    event_id: str
    step: str
    at: str
    late: timedelta


Record = (
    EventAccepted | EventRejected | StepFinished | ModelCalled | RunFinished | DeliveryAttempted | Swept | LoopBlocked
)
Listener = Callable[[Record], None]


def tell(listeners: tuple[Listener, ...], record: Record) -> None:
    """Hand the record to every listener, in order; listeners must not raise and must not block."""
    for listener in listeners:
        listener(record)
