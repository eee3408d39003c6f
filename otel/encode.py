"""Writes spans as OTLP: the message that the SDK's own encoder makes, for a quarter of its time.

Encoding was most of what a trace costs a gateway. What an attribute says comes again and again, and is made into a
message once. Only for spans as `spans.py` makes them: all of one resource and scope, without events or trace state.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import SpanFlags
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

KINDS = {kind: kind.value + 1 for kind in SpanKind}  # OTLP begins with "unspecified"
KNOWN = 4096  # attributes that are remembered
FIELDS = {bool: "bool_value", str: "string_value", int: "int_value", float: "double_value"}  # a bool is an int, too
LOCAL = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK  # what the SDK says of a parent that is not known to be remote


class Exporter(OTLPSpanExporter):
    """The SDK's exporter with this encoder; with the SDK's own where it keeps what sends bytes elsewhere than 1.45."""

    def __init__(self, endpoint: str | None = None, *, timeout: timedelta) -> None:
        """Take the URL, if the variables do not tell it, and how long one export may take."""
        super().__init__(endpoint, timeout=timeout.total_seconds())
        self.wire = getattr(self, "_client", None)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export."""
        if self.wire is None:
            return super().export(spans)
        sent = self.wire.export(encode(spans).SerializeToString())
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE


def encode(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """Make the message that exports these, at least one."""
    request = encode_spans(spans[:1])  # for what it says of the process
    into = request.resource_spans[0].scope_spans[0]
    del into.spans[:]
    for one in spans:
        _add(into, one)
    return request


def _add(into: ScopeSpans, told: ReadableSpan) -> None:
    """Add a span; messages in it are copied in, for what a constructor takes is serialized and read again."""
    trace, span = _ids(told.context)
    added = into.spans.add(
        trace_id=trace,
        span_id=span,
        parent_span_id=told.parent.span_id.to_bytes(8, "big") if told.parent else b"",
        name=told.name,
        kind=KINDS[told.kind],
        start_time_unix_nano=told.start_time,
        end_time_unix_nano=told.end_time,
        flags=LOCAL,
    )
    added.attributes.extend([_attribute(name, value) for name, value in (told.attributes or {}).items()])
    added.status.code = told.status.status_code.value
    for link in told.links:
        trace, span = _ids(link.context)
        added.links.add(trace_id=trace, span_id=span, flags=LOCAL)


def _ids(place: SpanContext) -> tuple[bytes, bytes]:
    return place.trace_id.to_bytes(16, "big"), place.span_id.to_bytes(8, "big")


@lru_cache(KNOWN, typed=True)
def _attribute(name: str, value: Any) -> KeyValue:
    told = KeyValue(key=name)
    setattr(told.value, next(field for kind, field in FIELDS.items() if isinstance(value, kind)), value)
    return told
