"""The bare route: reads the body and answers 202. What Starlette and uvicorn cost by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

ANSWER = {"event_id": "evt_01KAHV3R0000000000000000000", "state": "queued", "duplicate": False}


async def receive(request: Request) -> Response:
    await request.body()
    return JSONResponse(ANSWER, 202)


app = Starlette(routes=[Route("/hooks/{source}", receive, methods=["POST"])])
