"""The collector as otel/collector.yaml has it, and Jaeger as otel/jaeger.yaml: what arrives of real events.

`make verify-jaeger` builds both. Everything is asked of Jaeger's /api/v3.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fakes import model_server
from fakes.collector import read_spans
from fakes.model_server import status
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode
from stack import CONFIG, Served, Stack, until
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from watched import APP, CANARY, MODELS, SOURCE, over, send

from gateway.cli.embedded import free_port
from gateway.cli.waterfall import draw, read_otlp

ROOT = Path(__file__).parents[2]
BASIC = base64.b64encode(b"pk-lf-1:sk-lf-2").decode()
BUILT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hookmill/telemetry"


class Jaeger:
    """A collector before a Jaeger, both as they are configured in otel/."""

    def __init__(self, running: ExitStack, folder: Path, *more: str, **env: str) -> None:
        """Start both; `more` names the files beside collector.yaml."""
        names = ("JAEGER_HTTP", "JAEGER_GRPC", "JAEGER_OTLP", "COLLECTOR_HTTP", "COLLECTOR_GRPC", "COLLECTOR_METRICS")
        env |= {name: f"127.0.0.1:{free_port()}" for name in names} | {"SAMPLING_WAIT": "2s"}
        self.url, self.collector = f"http://{env['JAEGER_HTTP']}", f"http://{env['COLLECTOR_HTTP']}"
        self.metrics = f"http://{env['COLLECTOR_METRICS']}/metrics"
        configs = ["collector.yaml", *(f"collector-{one}.yaml" for one in more)]
        for program, files in (("jaeger", ["jaeger.yaml"]), ("otelcol", configs)):
            named = [f"--config={ROOT / 'otel' / one}" for one in files]
            running.enter_context(program_of([BUILT / program, *named], env, folder / f"{program}.log"))
        until(lambda: answers(self.url + "/api/v3/services"), within=30)
        until(lambda: answers(self.collector), within=30)

    def trace(self, trace_id):
        """Every span of a trace, as the waterfall takes them."""
        answer = httpx.get(f"{self.url}/api/v3/traces/{trace_id}")
        return read_otlp(answer.json()) if answer.status_code == 200 else []

    def search(self, service, event_id=""):
        """The traces of a service; those of one event where Jaeger can tell (from v2.19), and else all."""
        now = datetime.now(UTC)
        asked = {
            "query.service_name": service,
            "query.start_time_min": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
            "query.start_time_max": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
            "query.num_traces": "1000",
            "query.attributes": json.dumps({"app.event.id": event_id}) if event_id else "{}",
        }
        answer = httpx.get(f"{self.url}/api/v3/traces", params=asked)
        spans = read_otlp(answer.json()) if answer.status_code == 200 else []
        found = {one.trace for one in spans if not event_id or one.attributes.get("app.event.id") == event_id}
        return found, answer.text


def answers(url):
    try:
        return httpx.get(url).status_code < 500
    except httpx.TransportError:
        return False


@contextmanager
def program_of(command, env, log):
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=os.environ | env, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


class Langfuse:
    """What takes OTLP over HTTP where Langfuse does, and keeps each request: its path, its headers, its spans."""

    def __init__(self) -> None:
        self.got = []
        self._served = Served(Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])]))
        self.url = self._served.url

    async def _take(self, request):
        body = await request.body()
        body = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        self.got.append((request.url.path, dict(request.headers), list(read_spans(body))))
        return Response(b"", media_type="application/x-protobuf")

    @property
    def spans(self):
        return [span for _, _, spans in self.got for span in spans]

    def stop(self):
        self._served.stop()


@pytest.fixture(scope="module")
def langfuse():
    made = Langfuse()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory, langfuse):
    secret = {"LANGFUSE_HOST": langfuse.url, "LANGFUSE_BASIC": BASIC}
    with ExitStack() as running:
        yield Jaeger(running, tmp_path_factory.mktemp("jaeger"), "langfuse", "services", **secret)


@pytest.fixture(scope="module")
def stack(tmp_path_factory, module_redis, jaeger):
    folder = tmp_path_factory.mktemp("stack")
    (folder / "app.py").write_text(APP)
    with model_server.serve() as provider:
        models = MODELS.format(url=provider.url)
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.collector, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        with Stack(folder, module_redis.url, models=models, config=CONFIG + SOURCE, env=env) as made:
            made.provider = provider
            made.start_gateway()
            made.start_worker()
            yield made


def test_an_event_that_failed_over_and_was_retried_is_one_trace(stack, jaeger):
    stack.provider.script("a", status(503, message=f"{CANARY}-down"))
    event_id = send(stack, "later", times=2)
    view = over(stack, event_id)

    def whole():
        spans = jaeger.trace(view.trace_id)
        return spans if any(one.name == "POST" for one in spans) and len(spans) >= 10 else None

    spans = until(whole, within=30)
    drawn = "\n".join(draw(spans))
    print(f"\n{drawn}")
    assert [line.partition("│")[0].strip() for line in draw(spans)] == [
        "POST /hooks/{source}", "enqueue", "process #1 waiting", "step first", "process #2 done",
        "step first (checkpoint)", "step label", "chat a", "chat b", "POST #1 delivered",
    ]  # fmt: skip
    found, text = jaeger.search("hookmill-worker", event_id)
    assert found == {view.trace_id}
    assert CANARY not in text
    assert "example.com" not in text


def test_what_is_not_on_the_list_does_not_pass_the_collector(jaeger):
    span = export(jaeger.collector, {"app.event.id": "evt_x", "http.url": f"https://{CANARY}", "user.email": CANARY})
    told = until(lambda: jaeger.trace(span), within=20)
    assert told[0].attributes == {"app.event.id": "evt_x"}
    found, text = jaeger.search("strange")
    assert found == {span}
    assert CANARY not in text


def test_figures_of_spans_are_counted_before_sampling(stack, jaeger):
    over(stack, send(stack, "fine"))
    page = until(lambda: found(jaeger.metrics, "traces_span_metrics_calls_total"), within=90)
    assert "traces_span_metrics_duration_seconds_bucket" in page


def test_langfuse_gets_the_calls_of_models_and_nothing_else(stack, langfuse):
    event_id = send(stack, "fine")
    over(stack, event_id)
    until(lambda: any(one.attributes.get("app.event.id") == event_id for one in langfuse.spans), within=30)
    assert {path for path, _, _ in langfuse.got} == {"/api/public/otel/v1/traces"}
    for _, headers, _ in langfuse.got:
        assert headers["authorization"] == f"Basic {BASIC}"
        assert headers["x-langfuse-ingestion-version"] == "4"
    assert {(one.kind, one.attributes["gen_ai.operation.name"]) for one in langfuse.spans} == {("CLIENT", "chat")}
    assert {one.name for one in langfuse.spans} <= {"chat a", "chat b"}


def test_the_service_graph_shows_that_the_gateway_hands_over_to_the_worker(stack, jaeger):
    over(stack, send(stack, "fine"))
    page = until(lambda: found(jaeger.metrics, "traces_service_graph_request_total"), within=90)
    edges = re.findall(r"^traces_service_graph_request_total\{(.*)\}", page, re.MULTILINE)
    between = [dict(re.findall(r'(\w+)="([^"]*)"', one)) for one in edges]
    handed = [one for one in between if one["client"] == "hookmill-gateway" and one["server"] == "hookmill-worker"]
    assert handed, edges
    assert {one["connection_type"] for one in handed} == {"messaging_system"}


def test_sampling_keeps_errors_and_what_was_retried(tmp_path):
    with ExitStack() as running:
        sampled = Jaeger(running, tmp_path, "sampling")
        bad = [export(sampled.collector, {"app.attempt": 1}, failed=True) for _ in range(20)]
        again = [export(sampled.collector, {"app.attempt": 2}) for _ in range(20)]
        fine = [export(sampled.collector, {"app.attempt": 1}) for _ in range(200)]
        kept = until(lambda: (one := sampled.search("strange")[0]) and set(bad + again) <= one and one, within=40)
        time.sleep(3)
        kept = sampled.search("strange")[0]
    assert 2 <= len(kept & set(fine)) <= 60, "about 10 %"


def found(url, text):
    page = httpx.get(url).text
    return page if text in page else None


def export(url, attributes, *, failed=False):
    """Export one span of a stranger; gives its trace id."""
    provider = TracerProvider(resource=Resource.create({"service.name": "strange"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    with provider.get_tracer("x").start_as_current_span("odd", attributes=attributes) as span:
        if failed:
            span.set_status(Status(StatusCode.ERROR, CANARY))
        span.add_event("exception", {"exception.message": CANARY})
    provider.shutdown()
    return f"{span.get_span_context().trace_id:032x}"
