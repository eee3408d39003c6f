"""Parts of OpenAPI documents: parameters, answers, and the refusals from their classes."""

from __future__ import annotations

from typing import Any

from gateway import errors
from gateway.openapi_schemas import ref
from gateway.problem import InternalError

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
MAY_BE_503 = {429: 503}  # `limit_status` of a source
EVENT_ID = {"type": "string", "pattern": "^(evt_[0-7][0-9A-HJKMNP-TV-Z]{25}|dlv_[0-9a-f]{32})$"}
SOURCE = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}


def in_path(name: str, schema: Document) -> Document:
    """Describe a parameter in the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def in_query(name: str, schema: Document) -> Document:
    """Describe an optional parameter of the query."""
    return {"name": name, "in": "query", "schema": schema}


def json_answer(description: str, schema: Document) -> Document:
    """Describe an answer in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def refusals(kinds: Refusals, *more: type[errors.Rejection]) -> dict[str, Document]:
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
