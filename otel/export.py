"""Starts the OpenTelemetry SDK: what `setup.py` imports where telemetry is on."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from otel.encode import Exporter
from otel.figures import Figures
from otel.meters import Meters, make_provider
from otel.setup import Telemetry, read_interval
from otel.spans import Spans
from otel.trails import all_sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import ReadableSpan

    from otel.records import Listener
    from otel.trails import Samples

logger = logging.getLogger("hookmill")
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
HTTP = "http/protobuf"
QUIET = ("opentelemetry", "urllib3")
"""Loggers that say something of every span or try that is lost; `app.telemetry.spans` counts them."""

HOST, PORT = "OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT"
FIRST_PORT, MOST_PORTS = 9464, 64


def start(
    env: Mapping[str, str], *, name: str, traces: Sequence[str], metrics: Sequence[str], timeout: timedelta
) -> Telemetry:
    """Start exporters for those signals; each has a thread."""
    for chatty in QUIET:
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    if env.get(PROTOCOL, HTTP) != HTTP:
        logger.warning("telemetry: %s: only %s is spoken; it is used", PROTOCOL, HTTP)
    resource = make_resource(env, name)
    listeners: list[Listener] = []
    endings: list[Callable[[], None]] = []
    samples: Samples = all_sampled
    figures: Figures | None = None
    meters: Meters | None = None
    if metrics:
        provider = make_provider(_readers(env, metrics, timeout), resource=resource)
        meters = Meters(provider)
        listeners.append(meters)
        endings.append(provider.shutdown)
    if "otlp" in metrics:
        figures = Figures(make_metric_exporter(timeout), every=read_interval(env))
    if traces:
        exporter = Exporter(timeout=timeout)
        spans = BatchSpanProcessor(Counted(exporter, meters.exported) if meters else exporter)
        sampler = TracerProvider(resource=resource, shutdown_on_exit=False).sampler  # as OTEL_TRACES_SAMPLER says
        made = Spans(spans.on_end, resource=resource, sampler=sampler)
        listeners.append(made)
        samples = made.wants
        endings.insert(0, spans.shutdown)
    return Telemetry(listeners=tuple(listeners), samples=samples, figures=figures, endings=tuple(endings))


def make_resource(env: Mapping[str, str], name: str) -> Resource:
    """Say what this process is; each has an id of its own, since a fork shares what its parent had."""
    told = {"service.version": version("hookmill"), "service.instance.id": secrets.token_hex(8)}
    told |= {"host.name": socket.gethostname(), "process.pid": str(os.getpid())}
    return Resource.create(told | ({} if "OTEL_SERVICE_NAME" in env else {"service.name": f"hookmill-{name}"}))


class Counted(SpanExporter):
    """An exporter that counts what it could not export."""

    def __init__(self, exporter: SpanExporter, exported: Callable[[int, str], None]) -> None:
        """Take what exports, and who counts."""
        self._exporter, self._exported = exporter, exported

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and count."""
        result = self._exporter.export(spans)
        self._exported(len(spans), "exported" if result is SpanExportResult.SUCCESS else "lost")
        return result

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Have the exporter flush."""
        return self._exporter.force_flush(timeout_millis)


def make_metric_exporter(timeout: timedelta) -> OTLPMetricExporter:
    """Make what exports metrics, each time within that."""
    return OTLPMetricExporter(timeout=timeout.total_seconds())


def _readers(env: Mapping[str, str], metrics: Sequence[str], timeout: timedelta) -> list[MetricReader]:
    readers: list[MetricReader] = []
    if "otlp" in metrics:
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415 - only if asked for

        exporter, most = make_metric_exporter(timeout), timeout.total_seconds() * 1000
        readers.append(PeriodicExportingMetricReader(exporter, export_timeout_millis=most))
    if "prometheus" in metrics:
        readers.append(_serve(env))
    return readers


def _serve(env: Mapping[str, str]) -> MetricReader:
    """Serve this process's metrics to Prometheus, at the first free port of 64: each process has its own."""
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415 - only if asked for
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415

    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry)
    host, first = env.get(HOST, "127.0.0.1"), int(env.get(PORT, FIRST_PORT))
    for port in range(first, first + MOST_PORTS):
        try:
            start_http_server(port, addr=host, registry=registry)
        except OSError:
            continue
        logger.info("telemetry: metrics at http://%s:%d/metrics", host, port)
        return reader
    logger.warning("telemetry: no metrics: no port is free from %d to %d", first, first + MOST_PORTS - 1)
    return reader
