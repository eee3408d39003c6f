"""A real OpenTelemetry agent between us and the collector: rotel, which takes OTLP and passes it on."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from fakes.collector import Collector, tree
from stack import until
from unit.otel.test_setup import accepted

from gateway.cli.embedded import free_port
from otel.setup import set_up_telemetry


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.stop()


@contextmanager
def rotel(to):
    agent = Path(find_spec("rotel").origin).with_name("rotel-agent")
    http, grpc = free_port(), free_port()
    command = [agent, "start", "--otlp-http-endpoint", f"127.0.0.1:{http}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"]
    command += ["--exporter", "otlp", "--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", to]
    process = subprocess.Popen(
        [*command, "--batch-timeout", "200ms"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{http}"
    finally:
        process.terminate()
        process.wait(10)


def test_spans_and_metrics_pass_a_real_agent_unchanged(collector, monkeypatch):
    with rotel(collector.url) as url:
        env = collector.env(OTEL_EXPORTER_OTLP_ENDPOINT=url)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        telemetry = set_up_telemetry(env, name="hop")

        def arrive():
            for listener in telemetry.listeners:
                listener(accepted(7))
            return collector.spans and "app.events" in collector.metrics

        until(arrive, within=20, every=0.5)
        telemetry.stop()
    assert tree(collector.spans[:2]) == ["POST /hooks/{source}", "  enqueue"]
    assert {one.service for one in collector.spans} == {"hookmill-hop"}
