"""An OpenTelemetry collector that keeps what it is sent: real OTLP over HTTP, and faults as a test wants them.

collector = Collector()
collector.env()                  # the variables that send telemetry there
collector.spans                  # every span that came, decoded
collector.raw                    # every body as it came, for what must be in none
collector.mode = "hang"          # or "503", "slow"; "" is fine again
"""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from stack import Served
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.requests import Request

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span as it went over the wire; ids in hex, times in nanoseconds."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    failed: bool
    said: str
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    service: str
    process: str


class Collector:
    """Takes traces and metrics on a free loopback port, in a thread."""

    def __init__(self) -> None:
        self.mode = ""
        self.spans: list[Span] = []
        self.metrics: dict[str, list[Any]] = {}
        self.raw: list[bytes] = []
        self.requests = 0
        routes = [Route(f"/v1/{signal}", self._take, methods=["POST"]) for signal in ("traces", "metrics")]
        self._served = Served(Starlette(routes=routes))
        self.url = self._served.url

    def env(self, **more: str) -> dict[str, str]:
        """Send everything here, at once."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            **more,
        }

    def stop(self) -> None:
        self._served.stop()

    def of(self, event_id: str) -> list[Span]:
        """Every span that names that event."""
        return [one for one in self.spans if one.attributes.get("app.event.id") == event_id]

    async def _take(self, request: Request) -> Response:
        self.requests += 1
        if self.mode == "503":
            return Response(status_code=503)
        if self.mode == "hang":
            await asyncio.sleep(60)
        if self.mode == "slow":
            await asyncio.sleep(0.5)
        body = await request.body()  # whether it comes with a length or in chunks
        body = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        self.raw.append(body)
        if request.url.path.endswith("traces"):
            self.spans += read_spans(body)
        else:
            self._measure(body)
        return Response(b"", media_type=PROTOBUF)

    def _measure(self, body: bytes) -> None:
        asked = ExportMetricsServiceRequest.FromString(body)
        for resource in asked.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self.metrics.setdefault(metric.name, []).append(metric)


def read_spans(body: bytes) -> Iterator[Span]:
    """Decode an export of traces."""
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = values(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    kind=KINDS[span.kind],
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    failed=span.status.code == 2,
                    said=span.status.message,
                    attributes=values(span.attributes),
                    links=tuple((one.trace_id.hex(), one.span_id.hex()) for one in span.links),
                    service=about["service.name"],
                    process=about["service.instance.id"],
                )


def values(attributes: Any) -> dict[str, Any]:
    """Make a dictionary of OTLP's attributes."""
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}


def tree(spans: Iterable[Span], below: str = "", depth: int = 0) -> list[str]:
    """Draw the spans of one trace as lines, children below their parents in the order in which they began."""
    listed = sorted(spans, key=lambda one: (one.start, -one.end))
    lines = []
    for one in listed:
        if one.parent == below:
            outcome = one.attributes.get("app.outcome", "")
            lines.append(f"{'  ' * depth}{'!' if one.failed else ''}{one.name} {outcome}".rstrip())
            lines += tree(listed, one.id, depth + 1)
    return lines


def roots(spans: Iterable[Span]) -> list[Span]:
    """Give the spans whose parent is not among them."""
    listed = list(spans)
    known = {(one.trace, one.id) for one in listed}
    return [one for one in listed if (one.trace, one.parent) not in known]
