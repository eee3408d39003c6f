"""The collector, Jaeger and Prometheus of compose.yaml, as plain processes."""

from __future__ import annotations

import shutil

import httpx
from composed import Composed, address
from jaeger.test_jaeger import BUILT, answers, export
from stack import until


def test_a_span_goes_through_the_collector_to_jaeger_and_its_figures_to_prometheus(tmp_path):
    program = shutil.which("prometheus")
    assert program, "no prometheus on PATH; install it: apt-get install prometheus"
    with Composed(tmp_path) as composed:
        _, jaeger = composed.start("jaeger", [str(BUILT / "jaeger")])
        until(jaeger, within=30)
        _, collector = composed.start("otel-collector", [str(BUILT / "otelcol")])
        listen = f"--web.listen-address={address('prometheus')}:9090"
        _, prometheus = composed.start("prometheus", [program], listen)
        until(collector, within=30)
        until(prometheus, within=30)
        otlp = f"http://{address('otel-collector')}:4318"
        until(lambda: answers(otlp), within=30)
        trace = export(otlp, {"app.event.id": "evt_x"})
        asked = f"http://{address('jaeger')}:16686/api/v3/traces/{trace}"
        until(lambda: httpx.get(asked, trust_env=False).status_code == 200, within=30)
        query = {"query": 'up{job="collector"}'}
        url = f"http://{address('prometheus')}:9090/api/v1/query"
        until(
            lambda: (
                [one["value"][1] for one in httpx.get(url, params=query, trust_env=False).json()["data"]["result"]]
                == ["1"]
            ),
            within=60,
            every=1,
        )
