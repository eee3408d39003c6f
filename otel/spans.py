"""Spans: what a record says of a unit of work, once that has ended, as OpenTelemetry exports it.

They are made after the fact, with the times that the record tells, and their parents are worked out (`trails.py`):
no context is carried through queue or event loop, so none can be lost there. What a run's steps and calls told is kept
until its attempt has ended; a worker that dies in between leaves no span without its parent.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel import names
from otel.records import DeliveryAttempted, EventAccepted, EventRejected, ModelCalled, RunFinished, StepFinished
from otel.trails import find_trail, lease_span, read_traceparent, run_span, span_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.sampling import Sampler

    from otel.records import Record
    from otel.trails import Place, Trail

    Emit = Callable[[ReadableSpan], None]
    Part = tuple[StepFinished | ModelCalled, int]

MOST_PARTS = 100  # of one attempt that get a span; a waterfall of more is no use to anybody
MOST_ATTEMPTS = 4096  # under way; what lies beyond was never told of its end
ROUTE = "/hooks/{source}"
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
SCOPE = InstrumentationScope("hookmill")
FAILED, FINE = Status(StatusCode.ERROR), Status()  # never with a description: texts may hold content


class Spans:
    """Makes spans of records (a Listener)."""

    def __init__(self, emit: Emit, *, resource: Resource, sampler: Sampler) -> None:
        """Take where spans go, what they say of this process, and which traces are wanted."""
        self._emit, self._resource, self._sampler = emit, resource, sampler
        self._parts: OrderedDict[str, list[Part]] = OrderedDict()

    def __call__(self, record: Record) -> None:
        """Make the spans of a record, or keep it for those of its attempt."""
        match record:
            case StepFinished() | ModelCalled():
                self._keep(record)
            case EventAccepted():
                self._accepted(record)
            case RunFinished():
                self._run(record)
            case DeliveryAttempted():
                self._delivery(record)
            case EventRejected() if record.status >= 500:
                self._failed(record)

    def wants(self, trace: int) -> bool:
        """Tell whether that trace is to be made, as OTEL_TRACES_SAMPLER says."""
        return self._sampler.should_sample(None, trace, "").decision is Decision.RECORD_AND_SAMPLE

    def _keep(self, record: StepFinished | ModelCalled) -> None:
        parts = self._parts.setdefault(record.lease, [])
        parts.append((record, time.time_ns()))
        if len(self._parts) > MOST_ATTEMPTS:
            self._parts.popitem(last=False)

    def _accepted(self, record: EventAccepted) -> None:
        """Tell of the request and of the event that it left; a repeated one leaves none, and belongs to no trace."""
        place = read_traceparent(record.traceparent)
        if record.duplicate or place is None or not self.wants(place[0]):
            return
        trace, enqueued = place
        end, caller, request = time.time_ns(), read_traceparent(record.caller), _new()
        goes_on = caller is not None and caller[0] == trace
        about = {names.EVENT: record.event_id, names.SOURCE: record.source}
        if record.status:
            self._span(
                f"POST {ROUTE}",
                SpanKind.SERVER,
                (trace, request),
                below=caller[1] if caller and goes_on else 0,
                link=None if goes_on else caller,
                end=end,
                took=record.took,
                attributes=about | {names.METHOD: "POST", names.ROUTE: ROUTE, names.STATUS: record.status},
            )
        queued = {names.OPERATION_TYPE: "send", names.OPERATION: "enqueue", names.MESSAGE_SIZE: record.size}
        self._span(
            "enqueue",
            SpanKind.PRODUCER,
            (trace, enqueued),
            below=request if record.status else 0,
            end=end,
            took=record.admitting,
            attributes=about | _queue("runs") | queued,
        )

    def _failed(self, record: EventRejected) -> None:
        trace = random.getrandbits(128)  # nothing was stored: there is no event whose trace it could be
        if self.wants(trace):
            attributes = {names.METHOD: "POST", names.ROUTE: ROUTE, names.STATUS: record.status}
            attributes |= {names.SOURCE: record.source, names.CODE: record.code, names.ERROR: record.code}
            self._span(
                f"POST {ROUTE}",
                SpanKind.SERVER,
                (trace, _new()),
                end=time.time_ns(),
                took=record.took,
                attributes=attributes,
                failed=True,
            )

    def _run(self, record: RunFinished) -> None:
        parts = self._parts.pop(record.origin.lease, [])
        trail = find_trail(record.origin)
        if trail is None or not self.wants(trail.trace):
            return
        end, span = time.time_ns(), span_of(record, trail)
        if record.counts and record.attempt == 1:
            self._again(record, trail, at=end - _ns(record.took))
        attributes = _attempt(record) | _queue("runs")
        attributes |= {names.PIPELINE: record.pipeline, names.OPERATION_TYPE: "process", names.OPERATION: "process"}
        attributes |= {names.UNTOLD: len(parts) - MOST_PARTS} if len(parts) > MOST_PARTS else {}
        before = (trail.trace, run_span(trail, record.attempt - 1)) if trail.below and record.attempt > 1 else None
        self._span(
            "process",
            SpanKind.CONSUMER,
            (trail.trace, span),
            below=trail.below,
            link=before if trail.below else trail.link,
            end=end,
            took=record.took,
            attributes=attributes,
            failed=_is_failure(record),
        )
        self._steps(trail.trace, span, parts[:MOST_PARTS])

    def _again(self, record: RunFinished | DeliveryAttempted, trail: Trail, *, at: int) -> None:
        """Tell of the replay that put a work in line once more: what its attempts stand below."""
        if trail.replayed:
            self._span(
                "enqueue",
                SpanKind.PRODUCER,
                (trail.trace, trail.below),
                link=trail.link,
                end=at - _ns(record.origin.waited),
                attributes=_about(record) | _queue(_line(record)) | {names.REPLAYED: True},
            )

    def _steps(self, trace: int, run: int, parts: list[Part]) -> None:
        spans = {one.step: _new() for one, _ in parts if isinstance(one, StepFinished)}
        for one, end in parts:
            about = {names.EVENT: one.event_id, names.SOURCE: one.source, names.STEP: names.step_name(one.step)}
            if isinstance(one, StepFinished):
                self._span(
                    f"step {names.step_name(one.step)}",
                    SpanKind.INTERNAL,
                    (trace, spans[one.step]),
                    below=run,
                    end=end,
                    took=one.took,
                    attributes=about | {names.CACHED: one.cached} | _error(one.error_class),
                    failed=one.error_class is not None,
                )
            else:
                self._call(one, (trace, _new()), below=spans.get(one.step, run), end=end, about=about)

    def _call(self, record: ModelCalled, place: Place, *, below: int, end: int, about: dict[str, Any]) -> None:
        call = record.call
        provider, _, model = call.asked.partition("/")
        told = {
            names.GEN_AI_OPERATION: "chat",
            names.GEN_AI_PROVIDER: provider,
            names.GEN_AI_REQUEST_MODEL: model,
            names.GEN_AI_INPUT: call.input_tokens,
            names.GEN_AI_OUTPUT: call.output_tokens,
            names.CANDIDATE: call.candidate,
            names.ALIAS: record.alias,
            names.DEGRADED: call.degraded,
            names.COST: call.cost_usd,
        }
        self._span(
            f"chat {model}",
            SpanKind.CLIENT,
            place,
            below=below,
            end=end,
            took=call.took,
            attributes=about | told | _error(call.error_class),
            failed=call.error_class is not None,
        )

    def _delivery(self, record: DeliveryAttempted) -> None:
        trail = find_trail(record.origin)
        if trail is None or not self.wants(trail.trace):
            return
        end = time.time_ns()
        below = run_span(trail, record.run_attempt) if trail.below and record.run_attempt else trail.below
        if record.counts and record.attempt == 1 and not record.run_attempt:
            self._again(record, trail, at=end - _ns(record.took))
        told = {names.SINK: record.sink, names.DELIVERY: record.delivery_id}
        http: dict[str, Any] = {names.METHOD: "POST", names.RESENDS: record.attempt - 1} if record.over_http else {}
        http |= {names.STATUS: record.status} if record.status is not None else {}
        self._span(
            "POST" if record.over_http else "write",
            SpanKind.CLIENT,
            (trail.trace, lease_span(record.origin.lease)),
            below=below,
            link=None if trail.below else trail.link,
            end=end,
            took=record.took,
            attributes=_attempt(record) | told | http,
            failed=_is_failure(record),
        )

    def _span(
        self,
        name: str,
        kind: SpanKind,
        place: Place,
        *,
        below: int = 0,
        link: Place | None = None,
        end: int,
        took: timedelta | None = None,
        attributes: dict[str, Any],
        failed: bool = False,
    ) -> None:
        """Make a span and hand it on.

        ReadableSpan is made directly: a tracer would make up ids of its own, and a span that has begun.
        """
        span = ReadableSpan(
            name,
            context=_context(place),
            parent=_context((place[0], below)) if below else None,
            resource=self._resource,
            attributes=attributes,
            links=(Link(_context(link)),) if link else (),
            kind=kind,
            status=FAILED if failed else FINE,
            start_time=end - _ns(took) if took else end,
            end_time=end,
            instrumentation_scope=SCOPE,
        )
        self._emit(span)


def _context(place: Place) -> SpanContext:
    return SpanContext(*place, is_remote=False, trace_flags=SAMPLED)


def _new() -> int:
    return random.getrandbits(64) or 1


def _ns(span: timedelta) -> int:
    return round(span.total_seconds() * 1e9)


def _line(record: RunFinished | DeliveryAttempted) -> str:
    return "runs" if record.kind == "run" else "deliveries"


def _queue(line: str) -> dict[str, Any]:
    """Give what every span about a queue says; the message's id is `app.event.id`, said by all spans."""
    return {names.SYSTEM: "redis", names.DESTINATION: line}


def _about(record: RunFinished | DeliveryAttempted) -> dict[str, Any]:
    return {names.EVENT: record.event_id, names.SOURCE: record.source}


def _attempt(record: RunFinished | DeliveryAttempted) -> dict[str, Any]:
    waited = round(record.origin.waited.total_seconds() * 1000)
    told = {names.ATTEMPT: record.attempt, names.OUTCOME: record.outcome, names.WAITED: waited}
    return _about(record) | told | _error(record.error_class if _is_failure(record) else None)


def _error(error_class: str | None) -> dict[str, Any]:
    return {names.ERROR: error_class} if error_class else {}


def _is_failure(record: RunFinished | DeliveryAttempted) -> bool:
    return record.outcome == "dead" or (record.outcome == "waiting" and record.counts)
