"""The shapes that the public listener answers with, as JSON Schema (2020-12, as OpenAPI 3.1 has it)."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}


def ref(name: str) -> Schema:
    """Refer to one of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(kind: str, **more: Any) -> Schema:
    """Allow null besides that type."""
    return {"type": [kind, "null"], **more}


def closed(properties: Schema, *, optional: tuple[str, ...] = ()) -> Schema:
    """Describe an object that has these properties and no other ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


BRIEF: Schema = {
    "id": TEXT,
    "kind": {"enum": ["run", "delivery"]},
    "event_id": TEXT,
    "source": TEXT,
    "pipeline": TEXT,
    "sink": nullable("string"),
    "state": {"enum": ["queued", "running", "waiting", "done", "discarded", "dead", "delivered"]},
    "received_at": MOMENT,
    "updated_at": MOMENT,
    "attempts": COUNT,
    "lives": COUNT,
    "generation": COUNT,
    "step": TEXT,
    "reason": TEXT,
    "error_class": TEXT,
    "due_at": nullable("string", format="date-time"),
    "lease_until": nullable("string", format="date-time"),
    "owner": TEXT,
    "trace_id": TEXT,
    "size": COUNT,
    "repeats": COUNT,
    "repeated_at": nullable("string", format="date-time"),
    "steps_total": COUNT,
}
STEP: Schema = {
    "name": TEXT,
    "key": TEXT,
    "took": NUMBER,
    "at": MOMENT,
    "version": COUNT,
    "model": TEXT,
    "candidate": TEXT,
    "degraded": FLAG,
    "calls": COUNT,
    "cost_usd": NUMBER,
}
SCHEMAS: Schema = {
    "Accepted": closed(
        {"event_id": TEXT, "state": TEXT, "duplicate": FLAG, "status_url": TEXT}, optional=("status_url",)
    ),
    "Brief": closed(BRIEF),
    "Work": closed(
        BRIEF
        | {
            "kept_until": nullable("string", format="date-time"),
            "cost_usd": nullable("number"),
            "steps": {"type": "array", "items": ref("Step")},
            "result": {},
            "deliveries": {"type": "array", "items": ref("Work")},
        }
    ),
    "Step": closed(STEP),
    "Progress": closed(
        {
            "id": TEXT,
            "state": TEXT,
            "step": TEXT,
            "step_number": nullable("integer"),
            "steps_total": nullable("integer"),
            "percent": nullable("integer", minimum=0, maximum=100),
            "reason": TEXT,
            "error_class": TEXT,
            "attempts": COUNT,
            "due_at": nullable("string", format="date-time"),
        }
    ),
    "Probe": closed(
        {
            "status": {"enum": ["live", "ready", "unready", "leaving"]},
            "redis": {"enum": ["ok", "unreachable", "too few replicas"]},
            "clock_skew_s": NUMBER,
            "warning": TEXT,
        },
        optional=("redis", "clock_skew_s", "warning"),
    ),
    "Problem": {
        "type": "object",
        "description": "https://www.rfc-editor.org/rfc/rfc9457; `code` is stable, the other texts are not.",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "code": TEXT, "detail": TEXT},
        "additionalProperties": False,
    },
}
