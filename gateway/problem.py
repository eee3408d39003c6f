"""Renders every refusal as application/problem+json (RFC 9457) with its stable `code`; no other text leaves."""

from __future__ import annotations

import json
import logging
import math
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from gateway.body import check_headers
from gateway.budget import budget_headers
from gateway.errors import (
    AmbiguousLength,
    BodyTimeout,
    ContentTooLarge,
    HeadersTooLarge,
    LedgerUnavailable,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    Rejection,
    TransferEncodingUnsupported,
    Unauthorized,
)
from gateway.ledger import LedgerError
from gateway.reply import Reply, header_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gateway.config import Source

log = logging.getLogger("hookmill.gateway")
PROBLEM = "application/problem+json"
GUARD = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
# After these the rest of the request is not worth reading, or cannot be told from the next one.
CLOSING = (AmbiguousLength, BodyTimeout, HeadersTooLarge, ContentTooLarge, TransferEncodingUnsupported)


class InternalError(Rejection):
    """Something went wrong on our side; nothing can be said about it here."""

    code, status = "internal_error", 500


def render(rejection: Rejection, *, headers: Mapping[str, str]) -> Reply:
    """Make the answer to a refusal: the same bytes for the same refusal, whoever asked."""
    status = rejection.status
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": rejection.code,
        "detail": rejection.detail,
    }
    body = json.dumps(content).encode()
    return Reply(status=status, headers=header_lines(body, PROBLEM, {**GUARD, **headers}), body=body)


def refuse(rejection: Rejection, *, source: Source | None = None) -> Reply:
    """Make the answer with the headers that go with the refusal: Retry-After, RateLimit, Allow and so on."""
    return render(rejection, headers=extra_headers(rejection, source=source))


def refusal(error: Exception) -> Rejection:
    """Give the Rejection for whatever was raised; an unexpected error is logged by its type and place only."""
    if isinstance(error, Rejection):
        return error
    if isinstance(error, HTTPException) and error.status_code == 405:  # Starlette's router: a GET is all it takes
        return MethodNotAllowed(allow=(error.headers or {}).get("Allow", ""))
    if isinstance(error, HTTPException) and error.status_code == 404:
        return NotFound()
    if isinstance(error, LedgerError):
        return LedgerUnavailable(retry_after=1)
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("internal error: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
    return InternalError()


def extra_headers(rejection: Rejection, *, source: Source | None) -> dict[str, str]:
    """Give the headers that go with a refusal; `source` is the one that a webhook was for, if it was known."""
    headers = dict[str, str]()
    if rejection.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(rejection.retry_after)))
    if isinstance(rejection, RateLimited) and source:
        headers |= budget_headers(source, remaining=0, retry_after=rejection.retry_after or 0)
    if isinstance(rejection, MethodNotAllowed):
        headers["Allow"] = rejection.allow
    if isinstance(rejection, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(rejection, CLOSING):
        headers["Connection"] = "close"
    return headers


async def pass_on(_: Request, error: Exception) -> Response:
    """Raise what Starlette's router raised again, for Problems to render like everything else."""
    raise error


class Problems:
    """ASGI middleware of all but the hooks: checks the headers, and renders whatever is raised."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; after its response has begun there is nothing left to render."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            if scope["type"] == "http":
                check_headers(scope["headers"])
            await self.app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - whatever it is, a client sees no more than a code
            reply = refuse(refusal(error))
            if not begun:
                await reply(scope, receive, send)
