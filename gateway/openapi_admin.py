"""What the admin listener speaks, as an OpenAPI 3.1 document."""

from __future__ import annotations

from importlib.metadata import version

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
from gateway.openapi_schemas import COUNT, FLAG, MOMENT, NUMBER, SCHEMAS, TEXT, closed, nullable, ref
from gateway.status import MOST_LISTED

ALLOWED: Refusals = (*READING, errors.Forbidden, errors.ParameterInvalid)
ASKED: Refusals = (
    *ALLOWED,
    errors.BodyTimeout,
    errors.ContentTooLarge,
    errors.MediaTypeUnsupported,
    errors.JsonInvalid,
    errors.JsonTooDeep,
    errors.JsonDuplicateKey,
    errors.JsonNumberRange,
)
WORD: Document = {"type": "string", "minLength": 1, "maxLength": 200}
CURSOR: Document = {
    "type": "string",
    "pattern": "^[0-9]{1,15}-(evt_[0-7][0-9A-HJKMNP-TV-Z]{25}|dlv_[0-9a-f]{32})~?$",
    "description": "What an earlier answer gave.",
}
SPAN: Document = {
    "description": "An instant, or how long ago.",
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": "^[1-9][0-9]{0,5}(ms|s|m|h)$"},
    ],
}
FILTER: Document = {
    "source": SOURCE,
    "pipeline": WORD,
    "sink": SOURCE,
    "step": WORD,
    "error_class": {"type": "string", "pattern": "^[A-Za-z_]{1,64}$"},
    "since": SPAN,
    "until": SPAN,
}
PART: Document = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000}
LIMIT: Document = {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": 50}
ENTRY = closed({"who": TEXT, "what": TEXT, "on": TEXT, "count": COUNT, "first": MOMENT, "last": MOMENT})
LETTER = closed({"id": TEXT, "answer": TEXT})
TOLD = closed(
    {
        "action": {"enum": ["replay", "discard"]},
        "dry_run": FLAG,
        "count": COUNT | {"description": "How many were, or in a dry run would be, replayed or discarded."},
        "skipped": {"type": "object", "additionalProperties": COUNT, "description": "How many were not, by reason."},
        "full": FLAG | {"description": "So many wait for their turn: call again in a second."},
        "cursor": nullable("string") | {"description": "What to call with again; null when all was looked at."},
        "letters": {"type": "array", "items": LETTER, "description": "For a call by ids, what became of each."},
    }
)
WHAT = closed({"kind": {"enum": ["source", "pipeline", "sink"]}, "name": WORD})


def make_admin_document() -> Document:
    """Write the document; every operation but this document's own needs a token."""
    token = {"type": "http", "scheme": "bearer", "description": "`hookmill token` makes one, with scopes."}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hookmill admin",
            "version": version("hookmill"),
            "description": "Dead letters, pauses and the audit trail. 401: no valid token. 403: not with that scope.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/dead": {"get": _list()},
            "/dead/replay": {"post": _act("replay", "Work dead letters again.", scratch=True)},
            "/dead/discard": {"post": _act("discard", "Take dead letters off the list for good.")},
            "/dead/{letter_id}": {"get": _show()},
            "/audit": {"get": _audit()},
            "/costs": {"get": _costs()},
            "/paused": {"get": _paused()},
            "/models": {"get": _models()},
            "/metrics": {"get": _metrics()},
            "/pause": {"post": _hold("pause", "Hold a source, a pipeline or a sink back.")},
            "/resume": {"post": _hold("resume", "Let it go on.")},
            "/openapi.json": {"get": _self()},
        },
        "components": {"schemas": SCHEMAS, "securitySchemes": {"token": token}},
    }


def _operation(name: str, summary: str, scope: str) -> Document:
    return {
        "operationId": name,
        "summary": summary,
        "description": f"Needs a token with the scope `{scope}`.",
        "security": [{"token": []}],
    }


def _list() -> Document:
    page = {"letters": {"type": "array", "items": ref("Brief")}, "cursor": nullable("string")}
    asked = FILTER | {"limit": LIMIT, "cursor": CURSOR}
    return _operation("listDead", "List dead letters, the last buried first.", "read") | {
        "parameters": [in_query(name, schema) for name, schema in asked.items()],
        "responses": {"200": json_answer("A page.", closed(page)), **refusals(ALLOWED)},
    }


def _show() -> Document:
    return _operation("showDead", "Show a dead letter.", "read") | {
        "parameters": [in_path("letter_id", EVENT_ID)],
        "responses": {
            "200": json_answer("All that is known of it.", ref("Work")),
            **refusals(READING, errors.Forbidden, errors.NotFound),
        },
    }


def _act(name: str, summary: str, *, scratch: bool = False) -> Document:
    switches: Document = {"dry_run": FLAG} | ({"scratch": FLAG} if scratch else {})
    ids = {"type": "array", "items": EVENT_ID, "minItems": 1, "maxItems": 100, "uniqueItems": True}
    by_ids = closed({"ids": ids, **switches}, optional=tuple(switches))
    filtered = closed(FILTER, optional=tuple(FILTER))
    page = {"most": PART, "cursor": CURSOR, **switches}
    by_filter = closed({"filter": filtered, **page}, optional=tuple(page))
    return _operation(f"{name}Dead", summary, "replay") | {
        "requestBody": _body({"oneOf": [by_ids, by_filter]}),
        "responses": {"200": json_answer("How far it got.", TOLD), **refusals(ASKED)},
    }


def _audit() -> Document:
    asked = {"who": WORD, "what": WORD, "since": SPAN, "until": SPAN, "limit": LIMIT}
    listed = closed({"entries": {"type": "array", "items": ENTRY}})
    return _operation("listAudit", "List what was done, the newest first.", "admin") | {
        "parameters": [in_query(name, schema) for name, schema in asked.items()],
        "responses": {"200": json_answer("The newest entries.", listed), **refusals(ALLOWED)},
    }


def _costs() -> Document:
    day = {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
    spent = {"type": "object", "additionalProperties": NUMBER, "description": "By `source X`, `pipeline X`, `model X`."}
    held = NUMBER | {"description": "Reserved for calls that are under way, or whose end nobody heard."}
    told = closed({"day": TEXT, "usd": NUMBER, "held_usd": held, "spent": spent})
    return _operation("showCosts", "Show what models cost on a day of UTC, today by default.", "read") | {
        "parameters": [in_query("day", day)],
        "responses": {"200": json_answer("In US dollars.", told), **refusals(ALLOWED)},
    }


def _paused() -> Document:
    listed = closed({"paused": {"type": "array", "items": TEXT}})
    return _operation("listPaused", "List what is paused, as `source:blog`.", "read") | {
        "responses": {"200": json_answer("What is paused.", listed), **refusals(READING, errors.Forbidden)},
    }


def _models() -> Document:
    figures = dict.fromkeys(("in_flight", "waiting", "calls", "tokens", "opened"), COUNT)
    rests = {name: {"type": "number", "minimum": 0} for name in ("rests_for", "out_for", "open_for")}
    model = closed({"name": TEXT} | figures | rests | {"left_alone": TEXT})
    told = "The models that were ever called; times in seconds, calls and tokens of the last minute."
    return _operation("listModels", "List what each model is doing, and why nobody calls it.", "read") | {
        "responses": {
            "200": json_answer(told, closed({"models": {"type": "array", "items": model}})),
            **refusals(READING, errors.Forbidden),
        },
    }


def _metrics() -> Document:
    text = {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return _operation("showMetrics", "Give the ledger in figures.", "read") | {
        "responses": {"200": text, **refusals(READING, errors.Forbidden)},
    }


def _hold(name: str, summary: str) -> Document:
    return _operation(name, summary, "admin") | {
        "requestBody": _body(WHAT),
        "responses": {
            "200": json_answer("Whether that changed something.", closed({"changed": FLAG})),
            **refusals(ASKED, errors.NotFound),
        },
    }


def _self() -> Document:
    said = json_answer("OpenAPI 3.1.", {"type": "object"})
    return {"operationId": "openapi", "summary": "This document.", "responses": {"200": said, **refusals(ALWAYS)}}


def _body(schema: Document) -> Document:
    return {"required": True, "content": {"application/json": {"schema": schema}}}
