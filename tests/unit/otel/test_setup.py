"""Telemetry is off unless asked for, and whatever its collector does, nobody waits for it."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta

import pytest
from fakes.collector import Collector
from stack import until

from otel.records import EventAccepted
from otel.setup import OFF, read_timeout, set_up_telemetry, wanted

OFTEN = 200


def accepted(number=1):
    trace = f"00-{number:032x}-{number:016x}-01"
    about = {"source": "blog", "event_id": f"evt_{number}", "duplicate": False, "size": 1, "status": 202}
    return EventAccepted(**about, traceparent=trace, took=timedelta(milliseconds=2))


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.mode = ""
    made.stop()


@pytest.fixture
def start(monkeypatch):
    """Set telemetry up as the environment says."""

    def begin(env):
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return set_up_telemetry(env, name="test")

    return begin


@pytest.mark.parametrize(
    "env",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"},
     {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}],
)  # fmt: skip
def test_it_is_off_unless_asked_for(env):
    assert set_up_telemetry(env, name="gateway") is OFF


def test_off_it_loads_nothing_and_starts_no_thread():
    code = "import sys, threading, gateway.serve; from otel.setup import set_up_telemetry as s; s({}, name='x');"
    code += "ours = ('opentelemetry.exporter', 'google.protobuf', 'otel.export', 'otel.spans', 'otel.meters');"
    code += "print([one for one in sys.modules if one.startswith(ours)], threading.active_count())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[] 1\n"


def test_signals_go_where_the_variables_say():
    both = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}
    assert wanted(both, "TRACES") == wanted(both, "METRICS") == ["otlp"]
    assert wanted({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, "METRICS") == []
    assert wanted({"OTEL_METRICS_EXPORTER": "prometheus"}, "METRICS") == ["prometheus"]
    assert wanted({"OTEL_TRACES_EXPORTER": "prometheus,zipkin"}, "TRACES") == []


@pytest.mark.parametrize(
    ("said", "seconds"), [("", 2), ("3", 3), ("2000", 2), ("99", 10), ("60000", 10), ("0", 0.1), ("much", 2)]
)
def test_a_timeout_is_seconds_or_from_100_on_milliseconds(said, seconds):
    assert read_timeout({"OTEL_EXPORTER_OTLP_TIMEOUT": said}) == timedelta(seconds=seconds)


def test_what_is_left_is_exported_at_the_end(collector, start):
    telemetry = start(collector.env(OTEL_BSP_SCHEDULE_DELAY="60000", OTEL_METRIC_EXPORT_INTERVAL="60000"))
    for number in range(1, 51):
        for listener in telemetry.listeners:
            listener(accepted(number))
    telemetry.stop()
    assert len(collector.spans) == 100
    assert "app.events" in collector.metrics
    assert {one.service for one in collector.spans} == {"hookmill-test"}


@pytest.mark.parametrize("mode", ["refused", "hang", "503", "slow"])
def test_an_ill_collector_holds_up_neither_a_record_nor_an_end(collector, start, mode):
    env = collector.env(OTEL_BSP_SCHEDULE_DELAY="50")
    if mode == "refused":
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    telemetry, collector.mode = start(env), mode
    worst = 0.0
    for number in range(1, OFTEN + 1):
        began = time.perf_counter()
        for listener in telemetry.listeners:
            listener(accepted(number))
        worst = max(worst, time.perf_counter() - began)
    if mode != "refused":
        until(lambda: collector.requests, within=10)
    began = time.monotonic()
    telemetry.stop()
    assert time.monotonic() - began < 3
    assert worst < 0.5, "no export is waited for"


def test_a_tenth_of_the_traces_is_a_tenth_in_every_process(collector, start):
    sampled = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    telemetry = start(collector.env(OTEL_METRICS_EXPORTER="none", **sampled))
    spread = 0x9E3779B97F4A7C15
    for number in range(1, 1001):
        for listener in telemetry.listeners:
            listener(accepted(number * spread % 2**64))
    telemetry.stop()
    traces = {one.trace for one in collector.spans}
    assert 60 < len(traces) < 140
    assert all(int(one, 16) % 2**64 < 0.1 * 2**64 for one in traces)
