"""The ledger's figures go out by OTLP from one gateway at a time."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from fakes.collector import Collector
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from stack import until

from otel.figures import Figures
from otel.instruments import INSTRUMENTS

EVERY = timedelta(seconds=0.3)
OF_CANDIDATES = {"app.candidate.left.alone", "app.candidate.calls"}  # nothing to tell before one is called


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.stop()


@pytest.fixture
def pushing(start, redis_url, collector):
    """Start a gateway that pushes the figures."""
    exporter = OTLPMetricExporter(f"{collector.url}/v1/metrics", timeout=1)
    return lambda: start(redis_url, figures=Figures(exporter, every=EVERY))


def test_of_two_gateways_one_pushes_at_each_interval(pushing, collector):
    first, second = pushing(), pushing()
    first.post("demo")
    began, before = time.monotonic(), collector.requests
    until(lambda: collector.requests >= before + 5)
    assert collector.requests - before <= (time.monotonic() - began) / (0.9 * EVERY).total_seconds() + 1
    names = {one.name for one in INSTRUMENTS if one.of_ledger}
    assert names - OF_CANDIDATES <= collector.metrics.keys() <= names
    first.stop()
    second.post("demo")
    until(lambda: accepted(collector) == 2)  # the other goes on


def test_while_redis_is_away_nothing_is_pushed_and_afterwards_it_goes_on(own_redis, start, collector):
    redis = own_redis()
    exporter = OTLPMetricExporter(f"{collector.url}/v1/metrics", timeout=1)
    gateway = start(redis.url, figures=Figures(exporter, every=EVERY))
    until(lambda: collector.requests >= 1)
    redis.kill()
    until(lambda: gateway.get("/ready").status_code == 503)
    redis.start()
    until(lambda: gateway.get("/ready").status_code == 200)
    before = collector.requests
    until(lambda: collector.requests > before)


def test_an_end_comes_at_any_moment_also_while_figures_are_read(start, redis_url, collector):
    exporter = OTLPMetricExporter(f"{collector.url}/v1/metrics", timeout=1)
    for _ in range(4):
        gateway = start(redis_url, figures=Figures(exporter, every=timedelta(milliseconds=2)))
        before = collector.requests
        until(lambda before=before: collector.requests > before)
        gateway.stop()
        assert not gateway.thread.is_alive()


def accepted(collector):
    [told] = [one for one in collector.metrics["app.outcomes"][-1].sum.data_points if said(one) == "accepted"]
    return told.as_int


def said(point):
    return point.attributes[0].value.string_value
