"""Tells the listeners how each webhook request ended, so that no route has to."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from otel.records import EventAccepted, EventRejected, Listener, Record, tell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

HOOKS = "/hooks/"


class Watch:
    """ASGI middleware: one record per request under /hooks/ that was admitted or refused; none for a handshake."""

    def __init__(self, app: ASGIApp, *, listeners: tuple[Listener, ...]) -> None:
        """Take the application and who is told."""
        self.app = app
        self.listeners = listeners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, then tell."""
        if scope["type"] != "http" or not scope["path"].startswith(HOOKS):
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        await self.app(scope, receive, send)
        took = timedelta(seconds=time.perf_counter() - began)
        record = make_record(scope.get("state", {}), took=took)
        if record is not None:
            tell(self.listeners, record)


def make_record(state: Mapping[str, Any], *, took: timedelta) -> Record | None:
    """Make the record of a request; an unknown source is named "", for its sender chose that name."""
    source = state.get("source")
    if rejection := state.get("rejection"):
        name = source.name if source else ""
        return EventRejected(source=name, code=rejection.code, status=rejection.status, took=took)
    if source is None or "verdict" not in state:
        return None
    verdict, event = state["verdict"], state["event"]
    return EventAccepted(
        source=source.name,
        event_id=verdict.event_id,
        duplicate=verdict.outcome == "duplicate",
        traceparent=event.traceparent,
        size=len(event.body),
        took=took,
    )
