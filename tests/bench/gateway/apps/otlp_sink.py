"""A collector that keeps what it is sent, and decodes it only when asked how many spans it was.

BENCH_MODE makes an ill one of it: `503`, `slow` (an export takes 1.5 s), `hung` (it never answers).
"""

from __future__ import annotations

import asyncio
import os

MODE = os.environ.get("BENCH_MODE", "")
bodies: list[bytes] = []


async def app(scope, receive, send):
    if scope["type"] == "http":
        status, body = await (take(receive) if scope["method"] == "POST" else count())
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/x-protobuf")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def take(receive):
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part["body"], part.get("more_body")
    if MODE in ("slow", "hung"):
        await asyncio.sleep(1.5 if MODE == "slow" else 3600)
    if MODE == "503":
        return 503, b""
    bodies.append(body)
    return 200, b""


async def count():
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    asked = (ExportTraceServiceRequest.FromString(body) for body in bodies)
    spans = sum(len(scope.spans) for one in asked for told in one.resource_spans for scope in told.scope_spans)
    return 200, b"%d" % spans
