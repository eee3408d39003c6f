"""Spans as OTLP: what the SDK's encoder writes, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.collector import Collector
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from unit.otel.test_spans import ACCEPTED, CALLED, ORIGIN, RUN, SECOND, SENT, STEP

from otel.encode import Exporter, encode
from otel.spans import Spans

FAILED = replace(RUN, outcome="dead", error_class="transient", attempt=2)
AGAIN = replace(RUN, origin=replace(ORIGIN, replayed=1000, waited=SECOND))
LINKED = replace(ACCEPTED, caller=f"00-{'a' * 32}-{'b' * 16}-01")


@pytest.fixture
def spans():
    found = []
    make = Spans(found.append, resource=Resource.create({"service.name": "gateway"}), sampler=ALWAYS_ON)
    for record in (ACCEPTED, LINKED, CALLED, STEP, RUN, CALLED, STEP, FAILED, AGAIN, SENT):
        make(record)
    return found


def test_it_writes_what_the_sdk_writes(spans):
    assert any(one.links for one in spans)
    assert encode(spans) == encode_spans(spans)
    assert encode(spans).SerializeToString() == encode_spans(spans).SerializeToString()
    assert encode(spans[:1]) == encode_spans(spans[:1])


@pytest.mark.parametrize("quick", [True, False])
def test_a_collector_gets_them_by_either_encoder(spans, quick):
    collector = Collector()
    try:
        exporter = Exporter(f"{collector.url}/v1/traces", timeout=SECOND)
        assert exporter.wire, "this SDK keeps it elsewhere: look where"
        exporter.wire = exporter.wire if quick else None
        assert exporter.export(spans) is SpanExportResult.SUCCESS
        assert len(collector.spans) == len(spans)
        collector.mode = "503"
        assert exporter.export(spans) is SpanExportResult.FAILURE
    finally:
        collector.stop()
