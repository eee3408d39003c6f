"""What providers call, `/hooks/{source}`: one layer between the socket and `receive`."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.body import check_headers
from gateway.problem import refusal, refuse
from gateway.receive import Arrival, find_entrance, greet, named_trace, receive, refuse_method
from otel.records import EventAccepted, EventRejected, tell

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from gateway.errors import Rejection
    from gateway.gate import Entrance, Gate
    from gateway.reply import Reply
    from otel.records import Listener, Record

ANSWERS = {"POST": receive, "GET": greet, "HEAD": greet}


class Hooks:
    """ASGI: renders whatever is raised on the way, and tells the listeners how each request ended."""

    def __init__(self, listeners: tuple[Listener, ...]) -> None:
        """Take who is told."""
        self._listeners = listeners

    async def __call__(self, scope: Scope, incoming: Receive, send: Send) -> None:
        """Answer one request; the gate stands in the state that the lifespan gave."""
        began = time.perf_counter()
        gate: Gate = scope["state"]["gate"]
        entrance: Entrance | None = None
        rejection: Rejection | None = None
        try:
            headers = tuple(scope["headers"])  # as they are now: no trailer can join them later
            check_headers(headers)
            entrance = find_entrance(gate, scope["path"])
            arrival = Arrival(gate=gate, entrance=entrance, scope=scope, headers=headers, incoming=incoming)
            reply = await ANSWERS.get(scope["method"], refuse_method)(arrival)
        except Exception as error:  # noqa: BLE001 - whatever it is, a sender sees no more than a code
            rejection = refusal(error)
            reply = refuse(rejection, source=entrance.source if entrance else None)
        await reply(scope, incoming, send)
        took = timedelta(seconds=time.perf_counter() - began)
        record = make_record(entrance, reply, rejection, took=took, caller=named_trace(tuple(scope["headers"])))
        if record is not None:
            tell(self._listeners, record)


def make_record(
    entrance: Entrance | None, reply: Reply, rejection: Rejection | None, *, took: timedelta, caller: str
) -> Record | None:
    """Make the record of a request, none for a handshake; an unknown source is "", for its sender chose that name."""
    source = entrance.source.name if entrance else ""
    if rejection is not None:
        return EventRejected(source=source, code=rejection.code, status=rejection.status, took=took)
    if reply.event is None or reply.verdict is None:
        return None
    return EventAccepted(
        source=source,
        event_id=reply.verdict.event_id,
        duplicate=reply.verdict.outcome == "duplicate",
        traceparent=reply.event.traceparent,
        size=len(reply.event.body),
        took=took,
        admitting=timedelta(seconds=reply.verdict.took),
        caller=caller,
        status=reply.status,
    )
