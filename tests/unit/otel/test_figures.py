"""Figures of the ledger, pushed by OTLP under one identity, each once."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from fakes.collector import Collector
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from stack import until

from otel import instruments, names
from otel.figures import NAME, Figures
from otel.setup import read_interval

LENGTH = (instruments.QUEUED, {names.LANE: "high", names.STATE: "ready"}, 3)
DONE = (instruments.OUTCOMES, {names.OUTCOME: "done"}, 7)


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.mode = ""
    made.stop()


@pytest.fixture
def figures(collector):
    return Figures(OTLPMetricExporter(f"{collector.url}/v1/metrics", timeout=0.5), every=timedelta(minutes=1))


def test_what_is_pushed_arrives_once_and_is_the_ledger_s(collector, figures):
    figures.push([LENGTH, DONE])
    until(lambda: len(collector.metrics) == 2)
    [length], [done] = collector.metrics["app.queue.messages"], collector.metrics["app.outcomes"]
    assert [one.as_int for one in length.gauge.data_points] == [3]
    assert [(one.as_int, one.attributes[0].value.string_value) for one in done.sum.data_points] == [(7, "done")]
    assert done.sum.is_monotonic
    assert NAME.encode() in collector.raw[0]
    until(lambda: not figures._export.is_alive())
    figures.push([LENGTH])
    until(lambda: len(collector.metrics["app.queue.messages"]) == 2)
    assert len(collector.metrics["app.outcomes"]) == 1, "what nobody has read anew is not told again"


def test_a_collector_that_hangs_holds_nobody_up_and_gets_no_second_export(collector, figures):
    collector.mode = "hang"
    began = time.monotonic()
    for _ in range(100):
        figures.push([LENGTH])
    assert time.monotonic() - began < 0.4
    until(lambda: not figures._export.is_alive())
    assert collector.requests == 1


@pytest.mark.parametrize(
    ("said", "seconds"), [("", 60), ("5000", 5), ("0", 0.1), ("-1", 0.1), ("soon", 60), ("inf", 60), ("nan", 60)]
)
def test_how_often_is_told_in_milliseconds(said, seconds):
    assert read_interval({"OTEL_METRIC_EXPORT_INTERVAL": said}) == timedelta(seconds=seconds)
