"""Deliveries: one result for one sink, retried on the sink's schedule, always under the same id."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from actors import outcome
from actors.outcome import OUTAGE_PAUSE, Buried, Done, Later, Outcome, classified, too_late
from actors.owner import origin_of
from actors.sinks import Outgoing, Refusal
from actors.sinks.schedule import next_delay
from actors.turns import NotYet, Turns
from gateway.ledger import By, LedgerError
from otel.records import DeliveryAttempted, tell
from otel.trails import all_sampled, carry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.alerts import Notify
    from actors.errors import Failure
    from actors.keeper import Holding
    from actors.owner import Ended, Owner
    from actors.sinks import OpenSink
    from gateway.config import Config
    from gateway.ledger import Work
    from otel.records import Listener
    from otel.trails import Samples


class Deliverer:
    """Works deliveries: begin, send, outcome."""

    def __init__(
        self,
        owner: Owner,
        sinks: Mapping[str, OpenSink],
        config: Config,
        listeners: tuple[Listener, ...],
        *,
        notify: Notify,
        samples: Samples = all_sampled,
    ) -> None:
        """Take who owns, where results go, by which rules, who hears of a sink that is gone, which traces there are."""
        self._owner, self._sinks, self._config, self._listeners = owner, sinks, config, listeners
        self._notify, self._samples = notify, samples
        self._turns = {name: Turns(sink, owner.ledger.slots) for name, sink in config.sinks.items()}

    async def deliver(self, delivery_id: str) -> None:
        """Work that delivery, if it is there to be worked, and tell the listeners how it ended."""
        ended = await self._owner.own(delivery_id, self._attempt, late=self._late)
        if ended is not None:
            self._tell(ended)

    async def _attempt(self, work: Work, holding: Holding) -> Outcome:
        del holding
        sink = self._sinks.get(work.sink)
        if sink is None:
            return Buried(reason=f"sink {work.sink!r} is not configured any more", error_class="permanent")
        try:
            async with self._turns[work.sink].turn(f"{work.id} {work.attempts}"):
                receipt = await sink.send(outgoing(work, self._samples), now=datetime.now(UTC))
        except NotYet as turn:
            return Later(delay=turn.after, reason=str(turn))
        except LedgerError:
            return Later(delay=OUTAGE_PAUSE, reason="the ledger did not answer")
        except Exception as error:  # noqa: BLE001 - whatever a sink raises is an attempt that failed
            ending = self._failed(classified(error), work)
            await self._keep(error, work, dead=isinstance(ending, Buried))
            return ending
        return Done(state="delivered", result=receipt.record())

    async def _keep(self, error: Exception, work: Work, *, dead: bool) -> None:
        """Keep what the sink answered, and hold the sink back if that was that it is gone."""
        if not isinstance(error, Refusal):
            return
        with suppress(LedgerError):  # the outcome outweighs it, and a sink that is gone will say so again
            await self._owner.ledger.keep_receipt(work.id, error.receipt.record(), dead=dead)
            if error.gone:
                await self._pause(work.sink, error)

    async def _pause(self, sink: str, error: Refusal) -> None:
        """Hold the sink back, as by hand, and tell somebody; the first one who sees it does."""
        if await self._owner.ledger.pause("sink", sink, by=By(who=str(error))):
            await self._notify(
                "sink_gone", f"sink {sink}", {"reason": str(error), "resume": f"hookmill resume sink {sink}"}
            )

    def _late(self, work: Work) -> Outcome:
        return self._failed(too_late(work), work)

    def _failed(self, failure: Failure, work: Work) -> Outcome:
        schedule = self._config.sinks[work.sink].retry
        delay = next_delay(schedule, work.attempts, failure.retry_after, random=random.random)
        if failure.klass == "permanent":
            return Buried(reason=str(failure), error_class=failure.klass)
        if delay is None:
            return Buried(reason=f"{failure} (gave up after {work.attempts + 1} attempts)", error_class=failure.klass)
        return Later(delay=delay, reason=str(failure), error_class=failure.klass, counted=True)

    def _tell(self, ended: Ended) -> None:
        work, ending = ended.work, ended.outcome
        record = DeliveryAttempted(
            event_id=work.event.id,
            source=work.event.source,
            delivery_id=work.id,
            sink=work.sink,
            attempt=work.attempts + 1,
            outcome=outcome.name(ending),
            origin=origin_of(work),
            took=ended.took,
            run_attempt=work.run_attempt,
            over_http=work.sink in self._config.sinks and self._config.sinks[work.sink].kind == "webhook",
            status=json.loads(ending.result)["status"] if isinstance(ending, Done) else None,
            counts=outcome.counts(ending),
            reason=ending.reason,
            error_class=getattr(ending, "error_class", None),
        )
        tell(self._listeners, record)


def outgoing(work: Work, samples: Samples) -> Outgoing:
    """Make what a sink sends: the result of the run, and what its steps took."""
    steps = [json.loads(row) for row in work.checkpoints.values()]
    return Outgoing(
        delivery_id=work.id,
        event=work.event,
        result=json.loads(work.result or b"null"),
        traceparent=carry(origin_of(work), samples),
        attempt=work.attempts + 1,
        generation=work.generation,
        degraded=any(step.get("degraded") for step in steps),
    )
