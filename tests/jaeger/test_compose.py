"""Redis, the gateway, the collector, Jaeger and Prometheus of compose.yaml, as plain processes."""

from __future__ import annotations

import os
import shutil

import httpx
from composed import HOOKMILL, Composed, address
from jaeger.test_jaeger import BUILT, answers, export
from stack import until

from gateway.cli.embedded import find_server


def test_a_span_comes_to_jaeger_and_the_figures_of_the_ledger_to_prometheus(tmp_path):
    program = shutil.which("prometheus")
    assert program, "no prometheus on PATH; install it: apt-get install prometheus"
    kept = {"PATH": os.environ["PATH"], "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
    with Composed(tmp_path) as composed:
        _, jaeger = composed.start("jaeger", [str(BUILT / "jaeger")])
        until(jaeger, within=30)
        _, collector = composed.start("otel-collector", [str(BUILT / "otelcol")])
        listen = f"--web.listen-address={address('prometheus')}:9090"
        _, prometheus = composed.start("prometheus", [program], listen)
        composed.start("redis", [find_server().path], "--bind", address("redis"), named=1)
        _, gateway = composed.start("gateway", HOOKMILL, env=kept)
        until(collector, within=30)
        until(prometheus, within=30)
        until(gateway, within=60)
        otlp = f"http://{address('otel-collector')}:4318"
        until(lambda: answers(otlp), within=30)
        trace = export(otlp, {"app.event.id": "evt_x"})
        asked = f"http://{address('jaeger')}:16686/api/v3/traces/{trace}"
        until(lambda: httpx.get(asked, trust_env=False).status_code == 200, within=30)
        url = f"http://{address('prometheus')}:9090/api/v1/query"
        query = {"query": 'app_workers{instance="hookmill-ledger"}'}
        until(lambda: httpx.get(url, params=query, trust_env=False).json()["data"]["result"], within=60, every=1)
