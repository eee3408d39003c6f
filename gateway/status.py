"""What can be read: the state of an event, and whether the gateway lives and is ready."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from gateway.errors import NotFound, ParameterInvalid
from gateway.ledger import LedgerError, ReplicasLate
from gateway.ledger.event import EVENT_ID
from gateway.ledger.view import Filter
from gateway.page import prefers_page, render_page
from gateway.problem import GUARD
from gateway.receive import NAME, check_address
from gateway.streams import LAST, begin_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from gateway.gate import Gate
    from gateway.ledger import WorkView

READY_DEADLINE = timedelta(seconds=1)
MOST_SKEW = timedelta(seconds=2)
MOST_LISTED = 200
FILTERS = frozenset({"source", "state", "repeated"})
STATES = ("queued", "running", "waiting", "done", "discarded", "dead")
IN_FULL = frozenset({"kept_until", "cost_usd", "steps", "result", "deliveries"})


class WorkResponse(JSONResponse):
    """JSON in which half of a surrogate pair, as a model may leave one behind, stands as its escape."""

    def render(self, content: Any) -> bytes:
        """Write it as JSONResponse does, which would fail."""
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
            "utf-8", "backslashreplace"
        )


async def list_events(request: Request) -> Response:
    """List events, newest first, for holders of a token: filters `source`, `state`, `repeated`; `limit`, `cursor`."""
    gate: Gate = request.state.gate
    check_address(request.scope, gate)
    await gate.access.check_token(request, now=gate.clock())
    asked = read_query(request.query_params)
    filters = {name: asked.pop(name) for name in FILTERS & asked.keys()}
    views, cursor = await gate.ledger.page(wanted=Filter(**filters), **asked)
    return JSONResponse({"events": [brief(view) for view in views], "cursor": cursor}, headers=GUARD)


async def stream_event(request: Request) -> ASGIApp:
    """Stream the progress of an event to whoever may see it; 204 tells a reader of its end not to come again."""
    gate: Gate = request.state.gate
    event_id = request.path_params["event_id"]
    check_address(request.scope, gate)
    await gate.access.check(request, event_id=event_id, now=gate.clock())
    stream = await begin_stream(gate.streams, gate.ledger, event_id, most=gate.config.door.streams)
    if stream.progress.over and request.headers.get("last-event-id") == LAST:
        return Response(status_code=204, headers=GUARD)
    return stream


async def show_event(request: Request) -> Response:
    """Show an event or a delivery to whoever holds its link or a token; only they learn whether it exists.

    A browser gets a page, everything else JSON.
    """
    gate: Gate = request.state.gate
    event_id = request.path_params["event_id"]
    check_address(request.scope, gate)
    await gate.access.check(request, event_id=event_id, now=gate.clock())
    view = await gate.ledger.show(event_id)
    if view is None:
        raise NotFound
    if prefers_page(request.headers.get("accept", "")):
        return render_page(view, now=gate.clock())
    return WorkResponse(view.json(), headers={**GUARD, "Vary": "Accept"})


def brief(view: WorkView) -> dict[str, Any]:
    """Give what a list says of an event: all but its steps, result and deliveries."""
    return {name: value for name, value in view.json().items() if name not in IN_FULL}


def read_query(query: QueryParams, known: Mapping[str, Callable[[str], Any]] | None = None) -> dict[str, Any]:
    """Read the parameters of a list; raises ParameterInvalid for one that is unknown, repeated or malformed."""
    known = known or QUERY
    given = query.multi_items()
    read = {name: known[name](value) for name, value in given if name in known}
    if len(read) < len(given):
        raise ParameterInvalid(f"Each of {', '.join(known)} may be given once, and nothing else.")
    return read


def read_source(value: str) -> str:
    """Read the name of a source; raises ParameterInvalid."""
    if not NAME.fullmatch(value):
        raise ParameterInvalid("source is the name of a source.")
    return value


def _state(value: str) -> str:
    if value not in STATES:
        raise ParameterInvalid(f"state is one of {', '.join(STATES)}.")
    return value


def _repeated(value: str) -> bool:
    if value not in {"true", "false"}:
        raise ParameterInvalid("repeated is true or false.")
    return value == "true"


def read_limit(value: str) -> int:
    """Read how long a list may be; raises ParameterInvalid."""
    if not re.fullmatch("[1-9][0-9]{0,2}", value) or int(value) > MOST_LISTED:
        raise ParameterInvalid(f"limit is a number from 1 to {MOST_LISTED}.")
    return int(value)


def _cursor(value: str) -> str:
    if not EVENT_ID.fullmatch(value):
        raise ParameterInvalid("cursor is what an earlier answer gave.")
    return value


QUERY: Mapping[str, Callable[[str], Any]] = {
    "source": read_source,
    "state": _state,
    "repeated": _repeated,
    "limit": read_limit,
    "cursor": _cursor,
}


async def live(_: Request) -> Response:
    """Say that the process answers; it says nothing of Redis."""
    return JSONResponse({"status": "live"}, headers=GUARD)


async def ready(request: Request) -> Response:
    """Say whether events are taken: 200, or 503 where the ledger does not answer in a second, or we are to stop."""
    gate: Gate = request.state.gate
    if gate.present.leaving:
        return JSONResponse({"status": "leaving"}, 503, {**GUARD, "Retry-After": "1"})
    try:
        async with asyncio.timeout(READY_DEADLINE.total_seconds()):
            skew = await gate.ledger.ping()
    except (LedgerError, TimeoutError) as error:
        redis = "too few replicas" if isinstance(error, ReplicasLate) else "unreachable"
        return JSONResponse({"status": "unready", "redis": redis}, 503, {**GUARD, "Retry-After": "1"})
    return JSONResponse(_readiness(skew), headers=GUARD)


def _readiness(skew: timedelta) -> dict[str, Any]:
    seconds = round(skew.total_seconds(), 3)
    content: dict[str, Any] = {"status": "ready", "redis": "ok", "clock_skew_s": seconds}
    if abs(skew) > MOST_SKEW:
        content["warning"] = f"this clock and that of Redis differ by {abs(seconds)} s; check the time synchronisation"
    return content
