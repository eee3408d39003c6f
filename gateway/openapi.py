"""What the public listener speaks, as an OpenAPI 3.1 document: the routes by hand, the refusals from their classes.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from gateway import errors
from gateway.openapi_parts import (
    ALWAYS,
    EVENT_ID,
    READING,
    SOURCE,
    Document,
    Refusals,
    in_path,
    in_query,
    json_answer,
    refusals,
)
from gateway.openapi_schemas import SCHEMAS, nullable, ref
from gateway.problem import GUARD
from gateway.status import MOST_LISTED, STATES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

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
        "parameters": [in_path("source", SOURCE)],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
        "responses": {
            "200": {
                "description": "Known already: the first event and its present state. Or the answer to a handshake.",
                "content": answer | {"text/plain": {"schema": {"type": "string"}}},
            },
            "202": {"description": "Accepted and stored.", "content": answer, "headers": budget},
            "2XX": {"description": "As 202, where the source sets another code.", "content": answer},
            **refusals(RECEIVING),
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
            in_query("source", SOURCE),
            in_query("state", {"type": "string", "enum": list(STATES)}),
            in_query("repeated", {"type": "string", "enum": ["true", "false"]}),
            in_query("limit", limit),
            in_query("cursor", cursor),
        ],
        "responses": {
            "200": json_answer("A page of events, in brief.", _page()),
            **refusals(READING, errors.ParameterInvalid),
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
    shown = json_answer("What is known of it; as a page for whoever wants HTML more than JSON.", ref("Work"))
    shown["content"]["text/html"] = {"schema": {"type": "string"}}
    shown["headers"] = {"Vary": {"required": True, "schema": {"const": "Accept"}}}
    return {
        "operationId": "showEvent",
        "summary": "Show an event or a delivery: where it is, its steps, its result.",
        "security": SECURED,
        "parameters": [in_path("event_id", EVENT_ID)],
        "responses": {"200": shown, **refusals(READING, errors.NotFound)},
    }


def _stream() -> Document:
    events = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "operationId": "streamEvent",
        "summary": "Stream the progress of an event as server-sent events.",
        "description": "Events `progress` and, at last, `end`; the data of both is a Progress. A comment every 15 s.",
        "security": SECURED,
        "parameters": [
            in_path("event_id", EVENT_ID),
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {"description": "The stream.", "content": events},
            "204": {"description": "The reader has seen the end: Last-Event-ID was `end`, and it is over."},
            **refusals(READING, errors.NotFound),
        },
    }


def _probe(name: str, summary: str, *, unready: bool = False) -> Document:
    refused = refusals(ALWAYS)
    if unready:
        content = {"application/json": {"schema": ref("Probe")}}
        refused["503"] |= {"description": "Not now.", "content": refused["503"]["content"] | content}
    return {"operationId": name, "summary": summary, "responses": {"200": json_answer("Yes.", ref("Probe")), **refused}}


def _self() -> Document:
    said = json_answer("OpenAPI 3.1.", {"type": "object"})
    return {"operationId": "openapi", "summary": "This document.", "responses": {"200": said, **refusals(ALWAYS)}}
