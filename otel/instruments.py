"""Every metric there is: what it measures, in which unit, by what it is told apart, and its name in Prometheus.

Dashboards and alert rules are checked against this list; recording what is not in it raises. No label ever holds an
event, a person or a URL: only what the configuration names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from otel import names

Kind = Literal["counter", "histogram", "gauge"]
UNITS = {"s": "_seconds", "By": "_bytes"}
"""What a unit adds to a name in Prometheus; those in braces add nothing."""

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
TOKENS = (1.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A metric; one `of_ledger` is read from the ledger by the gateway, the others are told by each process."""

    name: str
    kind: Kind
    unit: str
    what: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    of_ledger: bool = False

    @property
    def prometheus(self) -> str:
        """Its name in Prometheus; a histogram's series add `_bucket`, `_sum` and `_count`.

        https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
        """
        base = self.name.replace(".", "_") + UNITS.get(self.unit, "")
        return f"{base}_total" if self.kind == "counter" else base

    @property
    def series(self) -> tuple[str, ...]:
        """All names of series that it makes."""
        if self.kind != "histogram":
            return (self.prometheus,)
        return tuple(self.prometheus + end for end in ("_bucket", "_sum", "_count"))


REQUESTS: Final = Instrument(
    name="http.server.request.duration", kind="histogram", unit="s", what="requests to /hooks/{source}, by answer",
    labels=(names.METHOD, names.ROUTE, names.STATUS, names.SOURCE), buckets=FAST,
)  # fmt: skip
EVENTS: Final = Instrument(
    name="app.events", kind="counter", unit="{event}", what="events accepted, and duplicates recognised",
    labels=(names.SOURCE, names.OUTCOME),
)  # fmt: skip
REJECTIONS: Final = Instrument(
    name="app.rejections", kind="counter", unit="{request}", what="requests refused, by code",
    labels=(names.SOURCE, names.CODE),
)  # fmt: skip
RUNS: Final = Instrument(
    name="app.runs", kind="counter", unit="{attempt}", what="attempts of runs, by outcome: a failed one is retry",
    labels=(names.SOURCE, names.PIPELINE, names.OUTCOME),
)  # fmt: skip
RUN_TIME: Final = Instrument(
    name="app.run.duration", kind="histogram", unit="s", what="how long attempts of runs took",
    labels=(names.PIPELINE, names.OUTCOME), buckets=SLOW,
)  # fmt: skip
WAIT: Final = Instrument(
    name="app.queue.wait.duration", kind="histogram", unit="s", what="from receipt to the begin of the first attempt",
    labels=(names.SOURCE,), buckets=SLOW,
)  # fmt: skip
STEPS: Final = Instrument(
    name="app.steps", kind="counter", unit="{step}", what="steps: computed, found in a checkpoint, failed",
    labels=(names.PIPELINE, names.STEP, names.OUTCOME),
)  # fmt: skip
CALLS: Final = Instrument(
    name="gen_ai.client.operation.duration", kind="histogram", unit="s", what="calls of models, by candidate and error",
    labels=(names.GEN_AI_OPERATION, names.GEN_AI_PROVIDER, names.GEN_AI_REQUEST_MODEL, names.CANDIDATE, names.ERROR),
    buckets=SLOW,
)  # fmt: skip
USAGE: Final = Instrument(
    name="gen_ai.client.token.usage", kind="histogram", unit="{token}", what="tokens read and written",
    labels=(names.GEN_AI_TOKEN_TYPE, names.GEN_AI_REQUEST_MODEL, names.CANDIDATE), buckets=TOKENS,
)  # fmt: skip
COST: Final = Instrument(
    name="app.llm.cost.usd", kind="counter", unit="{USD}", what="what calls of models cost, in US dollars",
    labels=(names.SOURCE, names.CANDIDATE),
)  # fmt: skip
DELIVERIES: Final = Instrument(
    name="app.deliveries", kind="counter", unit="{attempt}", what="attempts of deliveries, by outcome",
    labels=(names.SINK, names.OUTCOME),
)  # fmt: skip
DELIVERY_TIME: Final = Instrument(
    name="app.delivery.duration", kind="histogram", unit="s", what="how long attempts of deliveries took",
    labels=(names.SINK, names.OUTCOME), buckets=SLOW,
)  # fmt: skip
END_TO_END: Final = Instrument(
    name="app.event.e2e.duration", kind="histogram", unit="s", what="from receipt, or replay, to the sink's 2xx",
    labels=(names.SOURCE, names.SINK), buckets=SLOW,
)  # fmt: skip
RECOVERED: Final = Instrument(
    name="app.leases.recovered", kind="counter", unit="{run}", what="works taken over from workers that died",
)  # fmt: skip
BLOCKED: Final = Instrument(
    name="app.loop.blocked", kind="counter", unit="{block}", what="times a worker's event loop answered a second late",
)  # fmt: skip
SPANS: Final = Instrument(
    name="app.telemetry.spans", kind="counter", unit="{span}", what="spans that a collector took, and that were lost",
    labels=(names.OUTCOME,),
)  # fmt: skip

QUEUED: Final = Instrument(
    name="app.queue.messages", kind="gauge", unit="{message}", what="works in line, by lane: ready, or held by a cap",
    labels=(names.LANE, names.STATE), of_ledger=True,
)  # fmt: skip
OLDEST: Final = Instrument(
    name="app.queue.oldest.age", kind="gauge", unit="s", what="how long the first in line has waited, by lane",
    labels=(names.LANE,), of_ledger=True,
)  # fmt: skip
HELD: Final = Instrument(
    name="app.queue.held", kind="gauge", unit="{message}", what="works that the cap of a source or sink holds back",
    labels=(names.WHAT,), of_ledger=True,
)  # fmt: skip
ACTIVE: Final = Instrument(
    name="app.queue.active", kind="gauge", unit="{message}", what="works of a source or sink that are ready or running",
    labels=(names.WHAT,), of_ledger=True,
)  # fmt: skip
SCHEDULED: Final = Instrument(
    name="app.queue.scheduled", kind="gauge", unit="{message}", what="works that run, or wait for a time",
    of_ledger=True,
)  # fmt: skip
DEAD: Final = Instrument(
    name="app.dead.letters", kind="gauge", unit="{letter}", what="dead letters that nobody replayed or discarded",
    of_ledger=True,
)  # fmt: skip
OUTCOMES: Final = Instrument(
    name="app.outcomes", kind="counter", unit="{message}", what="how works ended, counted by the ledger",
    labels=(names.OUTCOME,), of_ledger=True,
)  # fmt: skip
SPENT: Final = Instrument(
    name="app.llm.spent.usd", kind="gauge", unit="{USD}", what="spent on models this day and month (UTC), US dollars",
    labels=(names.PERIOD, names.WHAT), of_ledger=True,
)  # fmt: skip
LEFT_ALONE: Final = Instrument(
    name="app.candidate.left.alone", kind="gauge", unit="s", what="how long yet nobody calls a candidate, by reason",
    labels=(names.CANDIDATE, names.STATE), of_ledger=True,
)  # fmt: skip
IN_FLIGHT: Final = Instrument(
    name="app.candidate.calls", kind="gauge", unit="{call}", what="calls of a candidate in flight, and waiting for one",
    labels=(names.CANDIDATE, names.STATE), of_ledger=True,
)  # fmt: skip
WORKERS: Final = Instrument(
    name="app.workers", kind="gauge", unit="{process}", what="worker processes seen within a minute", of_ledger=True,
)  # fmt: skip
PAUSED: Final = Instrument(
    name="app.paused", kind="gauge", unit="{thing}", what="sources, pipelines, sinks that are paused", of_ledger=True,
)  # fmt: skip
MEMORY: Final = Instrument(
    name="app.redis.memory", kind="gauge", unit="By", what="memory that Redis uses, and may use (0: no limit)",
    labels=(names.STATE,), of_ledger=True,
)  # fmt: skip

Measure = tuple[Instrument, dict[str, str], float]
"""A figure of the ledger, with its labels."""

INSTRUMENTS: Final = (
    REQUESTS, EVENTS, REJECTIONS, RUNS, RUN_TIME, WAIT, STEPS, CALLS, USAGE, COST, DELIVERIES, DELIVERY_TIME,
    END_TO_END, RECOVERED, BLOCKED, SPANS, QUEUED, OLDEST, HELD, ACTIVE, SCHEDULED, DEAD, OUTCOMES, SPENT, LEFT_ALONE,
    IN_FLIGHT, WORKERS, PAUSED, MEMORY,
)  # fmt: skip
