"""Metrics: what records say, measured by the SDK's instruments under the names of `instruments.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider

from otel import instruments, names
from otel.records import (
    DeliveryAttempted,
    EventAccepted,
    EventRejected,
    LoopBlocked,
    ModelCalled,
    RunFinished,
    StepFinished,
    Swept,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource

    from otel.instruments import Instrument
    from otel.records import Record

    Labels = dict[str, Any]


class Undeclared(LookupError):  # noqa: N818 - it says what the metric is
    """A metric, or a label of one, that instruments.py does not name."""


def make_provider(readers: Sequence[MetricReader], *, resource: Resource) -> MeterProvider:
    """Make what measures, and hands it to those readers."""
    return MeterProvider(readers, resource=resource, shutdown_on_exit=False)


class Meters:
    """Measures records (a Listener)."""

    def __init__(self, provider: MeterProvider) -> None:
        """Make every instrument that a process tells."""
        meter = provider.get_meter("hookmill")
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        for one in (one for one in instruments.INSTRUMENTS if not one.of_ledger):
            if one.kind == "counter":
                self._counters[one.name] = meter.create_counter(one.name, one.unit, one.what)
            else:
                self._histograms[one.name] = meter.create_histogram(
                    one.name, one.unit, one.what, explicit_bucket_boundaries_advisory=one.buckets
                )
        for born in (instruments.RECOVERED, instruments.BLOCKED):  # or a first one could not be seen to rise
            self.count(born, {}, 0)
        self.exported(0, "lost")

    def __call__(self, record: Record) -> None:
        """Measure what the record says."""
        match record:
            case EventAccepted() | EventRejected():
                self._request(record)
            case StepFinished():
                self._step(record)
            case ModelCalled():
                self._call(record)
            case RunFinished():
                self._run(record)
            case DeliveryAttempted():
                self._delivery(record)
            case Swept():
                self.count(instruments.RECOVERED, {}, record.recovered)
            case LoopBlocked():
                self.count(instruments.BLOCKED, {})

    def count(self, instrument: Instrument, labels: Labels, by: float = 1) -> None:
        """Count; raises Undeclared for what the registry does not name."""
        _check(instrument, labels, self._counters)
        self._counters[instrument.name].add(by, labels)

    def time(self, instrument: Instrument, labels: Labels, value: float) -> None:
        """Measure; raises Undeclared for what the registry does not name."""
        _check(instrument, labels, self._histograms)
        self._histograms[instrument.name].record(value, labels)

    def exported(self, spans: int, outcome: str) -> None:
        """Count spans that a collector took, or that were lost."""
        self.count(instruments.SPANS, {names.OUTCOME: outcome}, spans)

    def _request(self, record: EventAccepted | EventRejected) -> None:
        if record.status:
            about = {names.METHOD: "POST", names.ROUTE: "/hooks/{source}", names.STATUS: record.status}
            self.time(instruments.REQUESTS, about | {names.SOURCE: record.source}, record.took.total_seconds())
        if isinstance(record, EventRejected):
            self.count(instruments.REJECTIONS, {names.SOURCE: record.source, names.CODE: record.code})
        else:
            outcome = "duplicate" if record.duplicate else "accepted"
            self.count(instruments.EVENTS, {names.SOURCE: record.source, names.OUTCOME: outcome})

    def _step(self, record: StepFinished) -> None:
        outcome = "checkpoint" if record.cached else "failed" if record.error_class else "computed"
        step = record.step.partition("[")[0]
        about = {names.PIPELINE: record.pipeline, names.STEP: step, names.OUTCOME: outcome}
        self.count(instruments.STEPS, about)

    def _call(self, record: ModelCalled) -> None:
        call = record.call
        provider, _, model = call.asked.partition("/")
        about = {names.GEN_AI_REQUEST_MODEL: model, names.CANDIDATE: call.candidate}
        timed = about | {names.GEN_AI_OPERATION: "chat", names.GEN_AI_PROVIDER: provider}
        timed[names.ERROR] = call.error_class or ""
        self.time(instruments.CALLS, timed, call.took.total_seconds())
        for kind, tokens in (("input", call.input_tokens), ("output", call.output_tokens)):
            self.time(instruments.USAGE, about | {names.GEN_AI_TOKEN_TYPE: kind}, tokens)
        self.count(instruments.COST, {names.SOURCE: record.source, names.CANDIDATE: call.candidate}, call.cost_usd)

    def _run(self, record: RunFinished) -> None:
        outcome = "retry" if record.outcome == "waiting" and record.counts else record.outcome
        about = {names.PIPELINE: record.pipeline, names.OUTCOME: outcome}
        self.count(instruments.RUNS, about | {names.SOURCE: record.source})
        self.time(instruments.RUN_TIME, about, record.took.total_seconds())
        if record.attempt == 1:
            self.time(instruments.WAIT, {names.SOURCE: record.source}, record.origin.waited.total_seconds())

    def _delivery(self, record: DeliveryAttempted) -> None:
        outcome = "retry" if record.outcome == "waiting" and record.counts else record.outcome
        about = {names.SINK: record.sink, names.OUTCOME: outcome}
        self.count(instruments.DELIVERIES, about)
        self.time(instruments.DELIVERY_TIME, about, record.took.total_seconds())
        if record.outcome == "delivered":
            whole = (record.origin.waited + record.took).total_seconds()
            self.time(instruments.END_TO_END, {names.SOURCE: record.source, names.SINK: record.sink}, whole)


def _check(instrument: Instrument, labels: Labels, known: dict[str, Any]) -> None:
    if instrument.name not in known or instrument not in instruments.INSTRUMENTS:
        raise Undeclared(f"{instrument.name} is not declared in instruments.py")
    if strange := labels.keys() - set(instrument.labels):
        raise Undeclared(f"{instrument.name} has no label {', '.join(sorted(strange))}")
