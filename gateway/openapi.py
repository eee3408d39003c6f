"""What the public listener speaks, as an OpenAPI 3.1 document: the routes by hand, the refusals from their classes.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from gateway import errors
from gateway.openapi_schemas import SCHEMAS, nullable, ref
from gateway.problem import GUARD, InternalError
from gateway.status import MOST_LISTED, STATES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    Document = dict[str, Any]
    Refusals = tuple[type[errors.Rejection], ...]

HEADS: Refusals = (
    errors.AmbiguousLength,
    errors.TransferEncodingUnsupported,
    errors.ContentEncodingUnsupported,
    errors.HeaderRepeated,
    errors.HeadersTooLarge,
)
ALWAYS: Refusals = (*HEADS, errors.MethodNotAllowed, errors.Overloaded, InternalError)
READING: Refusals = (*ALWAYS, errors.Unauthorized, errors.AddressLimited, errors.LedgerUnavailable)
RECEIVING: Refusals = (
    *ALWAYS,
    errors.NotFound,
    errors.ContentTooLarge,
    errors.BodyTimeout,
    errors.MediaTypeUnsupported,
    errors.SignatureMissing,
    errors.SignatureMalformed,
    errors.SignatureInvalid,
    errors.TimestampMalformed,
    errors.TimestampOutOfTolerance,
    errors.EventIdInvalid,
    errors.EventIdReused,
    errors.JsonInvalid,
    errors.JsonTooDeep,
    errors.JsonDuplicateKey,
    errors.JsonNumberRange,
    errors.RateLimited,
    errors.AddressLimited,
    errors.LedgerUnavailable,
)
MAY_BE_503 = {429: 503}  # `limit_status` of a source
EVENT_ID = {"type": "string", "pattern": "^(evt_[0-7][0-9A-HJKMNP-TV-Z]{25}|dlv_[0-9a-f]{32})$"}
SOURCE = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
SECURED: list[dict[str, list[str]]] = [{"token": []}, {"linkExpires": [], "linkSignature": []}]


async def show_openapi(_: Request) -> Response:
    """Serve the document."""
    return JSONResponse(make_document(), headers=GUARD)


def make_document() -> Document:
    """Write the document; it names no source, for these are nobody's business."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hookmill gateway",
            "version": version("hookmill"),
            "description": "Takes signed webhooks, and shows what became of them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/hooks/{source}": {"post": _receive()},
            "/events": {"get": _list()},
            "/events/{event_id}": {"get": _show()},
            "/events/{event_id}/stream": {"get": _stream()},
            "/live": {"get": _probe("live", "Whether the process answers.")},
            "/ready": {"get": _probe("ready", "Whether events can be taken now.", unready=True)},
            "/openapi.json": {"get": _self()},
        },
        "components": {"schemas": SCHEMAS, "securitySchemes": _security()},
    }


def _security() -> Document:
    return {
        "token": {"type": "http", "scheme": "bearer", "description": "`hookmill token` makes one; scope `read`."},
        "linkExpires": {"type": "apiKey", "in": "query", "name": "expires"},
        "linkSignature": {"type": "apiKey", "in": "query", "name": "signature"},
    }


def _receive() -> Document:
    answer = {"application/json": {"schema": ref("Accepted")}}
    budget = {name: {"schema": {"type": "string"}} for name in ("RateLimit", "RateLimit-Policy")}
    return {
        "operationId": "receive",
        "summary": "Post an event, signed as the source's scheme wants it.",
        "description": "The headers that carry the signature are the scheme's; `hookmill schemes` lists them.",
        "parameters": [_in_path("source", SOURCE)],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
        "responses": {
            "200": {
                "description": "Known already: the first event and its present state. Or the answer to a handshake.",
                "content": answer | {"text/plain": {"schema": {"type": "string"}}},
            },
            "202": {"description": "Accepted and stored.", "content": answer, "headers": budget},
            "2XX": {"description": "As 202, where the source sets another code.", "content": answer},
            **_refusals(RECEIVING),
        },
    }


def _list() -> Document:
    limit = {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": 50}
    cursor = {"type": "string", "pattern": "^evt_[0-7][0-9A-HJKMNP-TV-Z]{25}$"}
    return {
        "operationId": "listEvents",
        "summary": "List events, newest first.",
        "security": SECURED[:1],
        "parameters": [
            _in_query("source", SOURCE),
            _in_query("state", {"type": "string", "enum": list(STATES)}),
            _in_query("repeated", {"type": "string", "enum": ["true", "false"]}),
            _in_query("limit", limit),
            _in_query("cursor", cursor),
        ],
        "responses": {
            "200": _json("A page of events, in brief.", _page()),
            **_refusals(READING, errors.ParameterInvalid),
        },
    }


def _page() -> Document:
    return {
        "type": "object",
        "required": ["events", "cursor"],
        "properties": {
            "events": {"type": "array", "items": ref("Brief")},
            "cursor": nullable("string") | {"description": "Where the next page begins; null after the last one."},
        },
        "additionalProperties": False,
    }


def _show() -> Document:
    shown = _json("What is known of it; as a page for whoever wants HTML more than JSON.", ref("Work"))
    shown["content"]["text/html"] = {"schema": {"type": "string"}}
    shown["headers"] = {"Vary": {"required": True, "schema": {"const": "Accept"}}}
    return {
        "operationId": "showEvent",
        "summary": "Show an event or a delivery: where it is, its steps, its result.",
        "security": SECURED,
        "parameters": [_in_path("event_id", EVENT_ID)],
        "responses": {"200": shown, **_refusals(READING, errors.NotFound)},
    }


def _stream() -> Document:
    events = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "operationId": "streamEvent",
        "summary": "Stream the progress of an event as server-sent events.",
        "description": "Events `progress` and, at last, `end`; the data of both is a Progress. A comment every 15 s.",
        "security": SECURED,
        "parameters": [
            _in_path("event_id", EVENT_ID),
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {"description": "The stream.", "content": events},
            "204": {"description": "The reader has seen the end: Last-Event-ID was `end`, and it is over."},
            **_refusals(READING, errors.NotFound),
        },
    }


def _probe(name: str, summary: str, *, unready: bool = False) -> Document:
    refused = _refusals(ALWAYS)
    if unready:
        content = {"application/json": {"schema": ref("Probe")}}
        refused["503"] |= {"description": "Not now.", "content": refused["503"]["content"] | content}
    return {"operationId": name, "summary": summary, "responses": {"200": _json("Yes.", ref("Probe")), **refused}}


def _self() -> Document:
    said = _json("OpenAPI 3.1.", {"type": "object"})
    return {"operationId": "openapi", "summary": "This document.", "responses": {"200": said, **_refusals(ALWAYS)}}


def _in_path(name: str, schema: Document) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(name: str, schema: Document) -> Document:
    return {"name": name, "in": "query", "schema": schema}


def _json(description: str, schema: Document) -> Document:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _refusals(kinds: Refusals, *more: type[errors.Rejection]) -> dict[str, Document]:
    """Describe what the refusals of an operation look like, by status."""
    by_status: dict[int, set[str]] = {}
    for kind in (*kinds, *more):
        for status in {kind.status, MAY_BE_503.get(kind.status, kind.status)}:
            by_status.setdefault(status, set()).add(kind.code)
    return {str(status): _problem(status, sorted(codes)) for status, codes in sorted(by_status.items())}


def _problem(status: int, codes: list[str]) -> Document:
    schema = {"allOf": [ref("Problem"), {"properties": {"status": {"const": status}, "code": {"enum": codes}}}]}
    content: Document = {"application/problem+json": {"schema": schema}}
    if status == errors.AmbiguousLength.status:  # what is not even HTTP, the server refuses in its own words
        content["text/plain"] = {"schema": {"type": "string"}}
    names = {401: ["WWW-Authenticate"], 405: ["Allow"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    headers = {name: {"schema": {"type": "string"}} for name in names}
    return {"description": f"Refused: {', '.join(codes)}.", "content": content, "headers": headers}
