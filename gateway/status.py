"""What can be read: the state of an event, and whether the gateway lives and is ready."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from gateway.errors import NotFound
from gateway.ledger import LedgerError
from gateway.problem import GUARD

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gateway.gate import Gate

READY_DEADLINE = timedelta(seconds=1)
MOST_SKEW = timedelta(seconds=2)


async def show_event(request: Request) -> Response:
    """Show an event or a delivery to whoever holds its link or a token; only they learn whether it exists."""
    gate: Gate = request.state.gate
    event_id = request.path_params["event_id"]
    await gate.access.check(request, event_id=event_id, now=gate.clock())
    view = await gate.ledger.show(event_id)
    if view is None:
        raise NotFound
    return JSONResponse(view.json(), headers=GUARD)


async def live(_: Request) -> Response:
    """Say that the process answers; it says nothing of Redis."""
    return JSONResponse({"status": "live"}, headers=GUARD)


async def ready(request: Request) -> Response:
    """Say whether events can be taken now: 200, or 503 where the ledger does not answer within a second."""
    gate: Gate = request.state.gate
    try:
        async with asyncio.timeout(READY_DEADLINE.total_seconds()):
            skew = await gate.ledger.ping()
    except (LedgerError, TimeoutError):
        content = {"status": "unready", "redis": "unreachable"}
        return JSONResponse(content, 503, {**GUARD, "Retry-After": "1"})
    return JSONResponse(_readiness(skew), headers=GUARD)


def _readiness(skew: timedelta) -> dict[str, Any]:
    seconds = round(skew.total_seconds(), 3)
    content: dict[str, Any] = {"status": "ready", "redis": "ok", "clock_skew_s": seconds}
    if abs(skew) > MOST_SKEW:
        content["warning"] = f"this clock and that of Redis differ by {abs(seconds)} s; check the time synchronisation"
    return content
