"""Metrics: what records say, under declared names, as Prometheus will call them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from otel import instruments, names
from otel.instruments import INSTRUMENTS, Instrument
from otel.meters import Meters, Undeclared, make_provider
from otel.records import (
    DeliveryAttempted,
    EventAccepted,
    EventRejected,
    LoopBlocked,
    ModelCall,
    ModelCalled,
    RunFinished,
    StepFinished,
    Swept,
)
from otel.trails import Origin

SECOND = timedelta(seconds=1)
ORIGIN = Origin(traceparent="", waited=2 * SECOND)
RUN = {"event_id": "e", "source": "blog", "pipeline": "triage", "attempt": 1, "lives": 1, "origin": ORIGIN}
CALL = ModelCall(candidate="gpt", model="gpt-4", asked="openai/gpt-4", took=SECOND, input_tokens=5, cost_usd=0.25)
ABOUT = {"event_id": "e", "source": "blog"}
RECORDS = (
    EventAccepted(**ABOUT, duplicate=False, traceparent="", size=1, took=SECOND, status=202),
    EventAccepted(**ABOUT, duplicate=True, traceparent="", size=1, took=SECOND, status=200),
    EventRejected(source="blog", code="signature_invalid", status=401, took=SECOND),
    StepFinished(**ABOUT, pipeline="triage", step="label[secret-key]", cached=True, took=SECOND),
    ModelCalled(**ABOUT, step="label", alias="fast", call=CALL),
    RunFinished(**RUN, outcome="waiting", counts=True, took=SECOND),
    RunFinished(**RUN, outcome="done", took=SECOND),
    DeliveryAttempted(**ABOUT, delivery_id="d", sink="n8n", attempt=1, outcome="delivered", origin=ORIGIN, took=SECOND),
    Swept(woken=1, recovered=2, extended=0),
    LoopBlocked(event_id="e", step="label", at="x:1", late=SECOND),
)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def meters(registry):
    provider = make_provider([PrometheusMetricReader(registry=registry)], resource=Resource.create({}))
    yield Meters(provider)
    provider.shutdown()


def scraped(registry):
    return generate_latest(registry).decode()


def value(registry, name, **labels):
    families = text_string_to_metric_families(scraped(registry))
    samples = [one for family in families for one in family.samples if one.name == name]
    [found] = [one.value for one in samples if labels.items() <= one.labels.items()]
    return found


def test_every_series_of_a_process_is_named_as_declared(meters, registry):
    for record in RECORDS:
        meters(record)
    families = list(text_string_to_metric_families(scraped(registry)))
    told = {sample.name for one in families for sample in one.samples if sample.name != "target_info"}
    assert told == {series for one in INSTRUMENTS if not one.of_ledger for series in one.series}


def test_records_are_counted_and_timed(meters, registry):
    for record in RECORDS:
        meters(record)
    assert value(registry, "app_events_total", app_outcome="duplicate") == 1
    assert value(registry, "app_rejections_total", app_code="signature_invalid") == 1
    assert value(registry, "app_steps_total", app_outcome="checkpoint", app_step="label") == 1
    assert value(registry, "app_runs_total", app_outcome="retry") == 1
    assert value(registry, "app_llm_cost_usd_total", app_candidate="gpt") == 0.25
    assert value(registry, "app_event_e2e_duration_seconds_sum", app_sink="n8n") == 3.0
    assert value(registry, "app_leases_recovered_total") == 2
    assert value(registry, "gen_ai_client_operation_duration_seconds_count", error_type="") == 1
    assert "secret-key" not in scraped(registry)


@pytest.mark.usefixtures("meters")
def test_what_may_first_happen_at_night_is_told_as_zero_from_the_beginning(registry):
    assert value(registry, "app_loop_blocked_total") == 0
    assert value(registry, "app_telemetry_spans_total", app_outcome="lost") == 0


def test_an_undeclared_metric_raises(meters):
    with pytest.raises(Undeclared):
        meters.count(Instrument(name="app.secret", kind="counter", unit="1", what="x"), {})
    with pytest.raises(Undeclared):
        meters.count(instruments.RUNS, {names.EVENT: "evt_1"})
    with pytest.raises(Undeclared):
        meters.time(instruments.RUNS, {}, 1.0)
    with pytest.raises(Undeclared):
        meters.count(instruments.DEAD, {})


def test_no_label_is_an_event_or_an_address():
    labels = {one for instrument in INSTRUMENTS for one in instrument.labels}
    assert not labels & {names.EVENT, names.DELIVERY, "url.path", "url.full", "client.address"}
