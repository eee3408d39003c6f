"""The admin listener: dead letters, pauses and the audit trail, always with a token.

It is apart from the public one: an address of its own, by default loopback, and connections of its own, so that it
answers while senders fill the other.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.asking import auditing, read_asked, read_day, read_members, read_text
from gateway.dead import admitted, discard_dead, list_dead, replay_dead, show_dead
from gateway.errors import NotFound, ParameterInvalid
from gateway.ledger import AuditFilter, By
from gateway.openapi_admin import make_admin_document
from gateway.problem import GUARD, Problems, pass_on
from gateway.scrape import show_metrics
from gateway.status import read_query

if TYPE_CHECKING:
    from starlette.requests import Request

    from gateway.gate import Gate

KINDS = ("source", "pipeline", "sink")


def make_admin() -> Starlette:
    """Build the application of the admin listener; its server hands it the parts of the gateway."""
    admin = Starlette(
        routes=[
            Route("/dead", list_dead, methods=["GET"]),
            Route("/dead/replay", replay_dead, methods=["POST"]),
            Route("/dead/discard", discard_dead, methods=["POST"]),
            Route("/dead/{letter_id}", show_dead, methods=["GET"]),
            Route("/audit", list_audit, methods=["GET"]),
            Route("/costs", show_costs, methods=["GET"]),
            Route("/paused", list_paused, methods=["GET"]),
            Route("/models", list_models, methods=["GET"]),
            Route("/pause", pause, methods=["POST"]),
            Route("/resume", resume, methods=["POST"]),
            Route("/metrics", show_metrics, methods=["GET"]),
            Route("/openapi.json", show_openapi, methods=["GET"]),
        ],
        middleware=[Middleware(Problems)],
        exception_handlers={HTTPException: pass_on},
    )
    admin.router.redirect_slashes = False
    return admin


async def list_audit(request: Request) -> Response:
    """List what was done by hand, the newest first; needs the scope `admin`."""
    gate, _ = await admitted(request, "admin")
    asked = read_query(request.query_params, auditing(gate.clock()))
    limit = asked.pop("limit", 50)
    entries = await gate.ledger.audit(limit=limit, wanted=AuditFilter(**asked))
    return JSONResponse({"entries": [entry.json() for entry in entries]}, headers=GUARD)


async def show_costs(request: Request) -> Response:
    """Show what models cost on a day of UTC, today by default; needs the scope `read`."""
    gate, _ = await admitted(request, "read")
    asked = read_query(request.query_params, {"day": read_day})
    day = asked.get("day") or gate.clock().strftime("%Y-%m-%d")
    book = await gate.ledger.book(day)
    spent = {name: usd for name, usd in sorted(book.items()) if name != "all" and not name.startswith("held ")}
    told = {"day": day, "usd": book.get("all", 0.0), "held_usd": book.get("held all", 0.0), "spent": spent}
    return JSONResponse(told, headers=GUARD)


async def list_paused(request: Request) -> Response:
    """List what is paused; needs the scope `read`."""
    gate, _ = await admitted(request, "read")
    return JSONResponse({"paused": sorted(await gate.ledger.paused())}, headers=GUARD)


async def list_models(request: Request) -> Response:
    """List the models that were ever called: what each is doing, and why nobody calls it; needs the scope `read`."""
    gate, _ = await admitted(request, "read")
    views = await gate.ledger.candidates()
    listed = [asdict(view) | {"left_alone": view.left_alone} for view in views]
    return JSONResponse({"models": listed}, headers=GUARD)


async def pause(request: Request) -> Response:
    """Hold a source, a pipeline or a sink back; needs the scope `admin`."""
    gate, who = await admitted(request, "admin")
    kind, name = await _read_what(request, gate)
    if name not in _names(gate, kind):
        raise NotFound(f"There is no such {kind}.")
    return JSONResponse({"changed": await gate.ledger.pause(kind, name, by=By(who=who))}, headers=GUARD)


async def resume(request: Request) -> Response:
    """Let it go on, also what has left the configuration since; needs the scope `admin`."""
    gate, who = await admitted(request, "admin")
    kind, name = await _read_what(request, gate)
    changed = await gate.ledger.resume(kind, name, by=By(who=who))
    if not changed and name not in _names(gate, kind):
        raise NotFound(f"There is no such {kind}.")
    return JSONResponse({"changed": changed}, headers=GUARD)


async def show_openapi(_: Request) -> Response:
    """Serve the document of this listener."""
    return JSONResponse(make_admin_document(), headers=GUARD)


async def _read_what(request: Request, gate: Gate) -> tuple[str, str]:
    asked = read_members(await read_asked(request, gate), {"kind": _kind, "name": read_text("name")})
    if len(asked) < 2:
        raise ParameterInvalid("kind and name are needed.")
    return asked["kind"], asked["name"]


def _kind(value: Any) -> str:
    if value not in KINDS:
        raise ParameterInvalid(f"kind is one of {', '.join(KINDS)}.")
    return str(value)


def _names(gate: Gate, kind: str) -> set[str]:
    sources = gate.config.sources
    if kind == "pipeline":
        return {source.pipeline for source in sources.values()}
    return set(sources if kind == "source" else gate.config.sinks)
