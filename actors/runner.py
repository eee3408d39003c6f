"""The runner: works one run, from its wake-up to its outcome in the ledger."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, to_json

from actors import outcome
from actors.errors import Failure
from actors.outcome import Buried, Done, Later, Lost, Outcome, from_error, in_time, too_late
from actors.owner import Ended, Owner, cancel, origin_of
from actors.registry import PipelineError
from actors.run import Place, Run, StaleRun
from gateway.config import RetryPolicy
from gateway.ledger import NewDelivery, new_delivery_id
from otel.records import RunFinished, tell

if TYPE_CHECKING:
    from actors.keeper import Holding
    from actors.registry import Pipeline, Registry
    from gateway.config import Config, Source
    from gateway.ledger import Work

MOST_RESULT = 1024 * 1024


class Runner:
    """Works runs: begin, pipeline, outcome. Everything that can be lost on the way is in the ledger."""

    def __init__(self, owner: Owner, registry: Registry, config: Config, place: Place) -> None:
        """Take who owns, what there is to run, and by which rules."""
        self._owner, self._registry, self._config, self._place = owner, registry, config, place

    async def run(self, run_id: str) -> None:
        """Work that run, if it is there to be worked, and tell the listeners how it ended."""
        ended = await self._owner.own(run_id, self._attempt, late=self._late)
        if ended is not None:
            self._tell(ended)

    async def _attempt(self, work: Work, holding: Holding) -> Outcome:
        source = self._config.sources.get(work.event.source)
        if source is None:
            return Buried(reason=f"source {work.event.source!r} is not configured any more", error_class="permanent")
        try:
            pipeline = self._registry.find(work.event.pipeline)
        except PipelineError as error:
            return Buried(reason=str(error), error_class="unknown_pipeline")
        run = Run(work, pipeline, self._place, holding)
        try:
            ended = await self._until_suspended(run, pipeline, work, source)
        except Exception as error:  # noqa: BLE001 - a pipeline may raise anything; from_error classifies it
            return from_error(error, work, self._policy(work), age=holding.age())
        except StaleRun:
            return Lost()
        return in_time(ended, self._policy(work), age=holding.age()) if isinstance(ended, Later) else ended

    def _late(self, work: Work) -> Outcome:
        return from_error(too_late(work), work, self._policy(work), age=work.age + work.time_left)

    def _policy(self, work: Work) -> RetryPolicy:
        pipeline, source = self._registry.find(work.event.pipeline), self._config.sources[work.event.source]
        return RetryPolicy.of(pipeline.retry, source.retry)

    async def _until_suspended(self, run: Run, pipeline: Pipeline, work: Work, source: Source) -> Outcome:
        working = asyncio.create_task(pipeline(run), name=f"{work.id} between steps")
        try:
            while not working.done() and not run.parking.suspended.done():
                await asyncio.wait({working, run.parking.suspended}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await cancel(working)
            raise
        if working.done():
            return self._done(working.result(), work, source)
        waits = run.parking.suspended.result()
        await cancel(working)
        left = waits.until - asyncio.get_running_loop().time()
        return Later(delay=timedelta(seconds=max(0.0, left)), reason=waits.reason)

    def _done(self, value: Any, work: Work, source: Source) -> Done:
        return Done(
            state="done",
            result=_result(value),
            deliveries=tuple(self._delivery(name, work) for name in source.sinks),
        )

    def _delivery(self, name: str, work: Work) -> NewDelivery:
        sink = self._config.sinks[name]
        return NewDelivery(
            id=new_delivery_id(work.id, name, work.generation),
            sink=name,
            concurrency=sink.concurrency,
            timeout=2 * sink.timeout,  # the sink's own deadline ends the call; this one ends a sink that ignores it
        )

    def _tell(self, ended: Ended) -> None:
        work, ending = ended.work, ended.outcome
        record = RunFinished(
            event_id=work.event.id,
            source=work.event.source,
            pipeline=work.event.pipeline,
            attempt=work.attempts + 1,
            lives=work.lives,
            outcome=outcome.name(ending),
            origin=origin_of(work),
            took=ended.took,
            counts=outcome.counts(ending),
            reason=ending.reason,
            error_class=getattr(ending, "error_class", None),
        )
        tell(self._place.listeners, record)


def _result(value: Any) -> bytes:
    try:
        result = to_json(value)
    except PydanticSerializationError as error:
        raise Failure(f"the pipeline's result is not JSON ({type(value).__name__})", klass="permanent") from error
    if len(result) > MOST_RESULT:
        raise Failure(f"the pipeline's result is {len(result)} bytes, at most {MOST_RESULT}", klass="permanent")
    return result
