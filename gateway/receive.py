"""The way of a webhook: find its source, read, verify, admit, answer."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from gateway.address import scheme_of
from gateway.body import Headers, text
from gateway.body import read_body as read
from gateway.budget import budget_headers
from gateway.errors import (
    AddressLimited,
    EventIdReused,
    JsonDuplicateKey,
    JsonInvalid,
    JsonNumberRange,
    JsonTooDeep,
    MediaTypeUnsupported,
    NotFound,
    Overloaded,
    RateLimited,
)
from gateway.ledger import Admission, Event, new_event_id
from gateway.verify import handshake, request_url, verify, verify_dummy
from gateway.verify.strict_json import check as check_json

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.requests import Request

    from gateway.config import Source
    from gateway.gate import Gate
    from gateway.ledger import Verdict
    from gateway.verify import Challenge, Scheme, Verified

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
LINK_VALID = timedelta(hours=24)
STRANGER_BODY = 256 * 1024  # what an unknown source may send before it is told what a wrong key is told
STRANGER_TIMEOUT = timedelta(seconds=5)
UNPARSABLE = (JsonDuplicateKey, JsonInvalid, JsonNumberRange, JsonTooDeep)
KEPT = re.compile(  # what a pipeline may want to know of the delivery; never what proves it
    r"user-agent|webhook-id|webhook-timestamp|svix-id|svix-timestamp|idempotency-key|ce-[a-z]+"
    r"|x-(?:github|gitlab|gitea|shopify|slack|linear|twilio|request|event|webhook)-[a-z-]+"
)
PROOF = re.compile(r"signature|hmac|token|secret|auth|cookie|key$|sha\d")


async def receive(request: Request) -> Response:
    """Take one webhook; whatever is wrong with it leaves as a Rejection."""
    gate: Gate = request.state.gate
    received_at = gate.clock()
    known = find_source(request, gate)
    if question := knock(request, gate, source=known, now=received_at):
        return answer(question)
    body = await read_body(request, gate, source=known)
    check_load(gate, source=known)
    source, verified = authenticate(request, known, body=body, now=received_at)
    if verified.challenge:
        return answer(verified.challenge)
    flaw = find_flaw(source, request.scope["headers"], body=body)
    event = make_event(request, source, body=body, verified=verified, received_at=received_at)
    verdict = await gate.admitter.admit(make_admission(gate, source, event=event, verified=verified, flaw=flaw))
    return respond(request, gate, source=source, event=event, verdict=verdict)


async def greet(request: Request) -> Response:
    """Answer the question by which a provider makes sure of its receiver; any other GET is not allowed."""
    gate: Gate = request.state.gate
    question = knock(request, gate, source=find_source(request, gate), now=gate.clock())
    if question is None:
        raise HTTPException(405, headers={"Allow": "POST"})
    return answer(question)


def knock(request: Request, gate: Gate, *, source: Source | None, now: datetime) -> Challenge | None:
    """Charge the address, and give the answer to a question that nobody signs; None if this is none."""
    check_address(request, gate, source=source)
    if source is None:
        return None
    return handshake(
        source.scheme,
        source.keys,
        method=request.method,
        query=request.scope["query_string"].decode("latin-1"),
        headers=request.scope["headers"],
        now=now,
        verify_token=source.verify_token.reveal().encode() if source.verify_token else None,
    )


def find_source(request: Request, gate: Gate) -> Source | None:
    """Give the source that the path names; None if no such source is configured, NotFound if none could be."""
    name = request.path_params["source"]
    if not NAME.fullmatch(name):
        raise NotFound
    source = gate.config.sources.get(name)
    request.state.source = source
    return source


def check_address(request: Request, gate: Gate, *, source: Source | None = None) -> None:
    """Charge the request to the address that it comes from; raises AddressLimited."""
    wait = gate.addresses.charge(request.scope, gate.config.door)
    if wait:
        raise AddressLimited(retry_after=wait, status=source.limit_status if source else None)


def check_load(gate: Gate, *, source: Source | None) -> None:
    """Turn the request away before it is verified where too many wait for the ledger, low priority first."""
    gate.admitter.check_load(source.priority if source else "normal", most=gate.config.door.in_flight)


async def read_body(request: Request, gate: Gate, *, source: Source | None) -> bytes:
    """Read the raw body within the source's bounds."""
    most, timeout = (source.max_body, source.body_timeout) if source else (STRANGER_BODY, STRANGER_TIMEOUT)
    return await read(request, most=most, within=timeout, room=gate.room)


def authenticate(request: Request, source: Source | None, *, body: bytes, now: datetime) -> tuple[Source, Verified]:
    """Verify the signature; an unknown source costs the same work and gets the same answer as a wrong key."""
    if source is None:
        verify_dummy(body)
    verified = verify(
        source.scheme,
        source.keys,
        request.scope["headers"],
        body,
        now=now,
        tolerance=source.tolerance,
        url=request_url(source.public_url, request.scope["query_string"]),
        method=request.method,
    )
    return source, verified


def answer(challenge: Challenge) -> Response:
    """Answer a handshake; nothing is stored."""
    return Response(challenge.body, challenge.status, dict(challenge.headers), challenge.media_type)


def find_flaw(source: Source, headers: Headers, *, body: bytes) -> str:
    """Give the code of what keeps the body from being parsed, where the source quarantines that; else raise it."""
    try:
        check_media(source.scheme, headers, body=body)
    except UNPARSABLE as rejection:
        if source.on_unparsable != "quarantine":
            raise
        return rejection.code
    return ""


def check_media(scheme: Scheme, headers: Headers, *, body: bytes) -> None:
    """Take strict JSON always, and what else the scheme sends."""
    media = media_type(headers)
    if media == "application/json" or (media.startswith("application/") and media.endswith("+json")):
        check_json(body)
    elif media not in scheme.media:
        raise MediaTypeUnsupported


def media_type(headers: Headers) -> str:
    """Give the media type in lower case, without its parameters; empty if there is none."""
    return text(headers, b"content-type").partition(";")[0].strip().lower()


def make_event(request: Request, source: Source, *, body: bytes, verified: Verified, received_at: datetime) -> Event:
    """Make the immutable event, with a trace of its own: a stranger's is not continued."""
    headers = request.scope["headers"]
    event = Event(
        id=new_event_id(received_at),
        source=source.name,
        pipeline=source.pipeline,
        received_at=received_at,
        body=body,
        content_type=text(headers, b"content-type"),
        headers=kept_headers(headers),
        traceparent=new_traceparent(),
        source_event_id=verified.dedupe_id,
    )
    request.state.event = event
    return event


def kept_headers(headers: Headers) -> dict[str, str]:
    """Give the headers that tell about the delivery; never a signature, a token, a cookie."""
    names = {name: name.decode("latin-1") for name, _ in headers}
    return {
        names[name]: value.decode("latin-1")
        for name, value in headers
        if KEPT.fullmatch(names[name]) and not PROOF.search(names[name])
    }


def new_traceparent() -> str:
    """Make a sampled W3C trace context: https://www.w3.org/TR/trace-context/#traceparent-header."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def make_admission(gate: Gate, source: Source, *, event: Event, verified: Verified, flaw: str) -> Admission:
    """Put the rules of the source beside its event."""
    tolerance = source.scheme.tolerance if source.tolerance is None else source.tolerance
    return Admission(
        event=event,
        nonce=verified.nonce,
        nonce_ttl=2 * tolerance if verified.covers_time else source.replay,
        dedupe_id=verified.dedupe_id,
        dedupe_ttl=source.dedupe_ttl,
        idempotent=source.idempotent,
        limit=source.limit,
        lane=source.priority,
        concurrency=source.concurrency,
        max_backlog=source.max_backlog,
        max_total=gate.config.door.max_backlog,
        timeout=source.timeout,
        flaw=flaw,
    )


def respond(request: Request, gate: Gate, *, source: Source, event: Event, verdict: Verdict) -> Response:
    """Answer by the ledger's verdict: accepted, duplicate, or a Rejection."""
    match verdict.outcome:
        case "conflict":
            raise EventIdReused
        case "limited":
            raise RateLimited(retry_after=verdict.retry_after, status=source.limit_status)
        case "full":
            raise Overloaded(retry_after=max(1.0, verdict.retry_after))
    request.state.verdict = verdict
    duplicate = verdict.outcome == "duplicate"
    content = {"event_id": verdict.event_id, "state": verdict.state, "duplicate": duplicate}
    headers = {} if duplicate else budget_headers(source, remaining=verdict.remaining)
    if source.reply == "status":
        link = gate.access.link(verdict.event_id, now=event.received_at, valid=LINK_VALID)
        headers["Location"] = link
        base = request.base_url.replace(scheme=scheme_of(request.scope, gate.config.door))
        content["status_url"] = str(base).rstrip("/") + link
    return JSONResponse(content, 200 if duplicate else source.success, headers)
