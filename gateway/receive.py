"""The way of a webhook: read, verify, admit, answer."""

from __future__ import annotations

import re
from dataclasses import field
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic_core import to_json
from starlette.requests import Request

from gateway.address import scheme_of
from gateway.body import WHOLE, text
from gateway.body import read_body as read
from gateway.budget import budget_headers
from gateway.errors import (
    AddressLimited,
    ContentTooLarge,
    EventIdReused,
    JsonDuplicateKey,
    JsonInvalid,
    JsonNumberRange,
    JsonTooDeep,
    MediaTypeUnsupported,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    RateLimited,
)
from gateway.frozen import frozen
from gateway.ledger import Admission, Event, new_event_id, new_traceparent
from gateway.reply import Reply, header_lines
from gateway.verify import handshake, request_url, verify, verify_dummy
from gateway.verify.strict_json import check as check_json
from otel.trails import read_traceparent

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.types import Receive, Scope

    from gateway.body import Headers
    from gateway.config import Source
    from gateway.gate import Entrance, Gate
    from gateway.ledger import Verdict
    from gateway.verify import Challenge, Scheme, Verified

HOOKS = "/hooks/"
JSON = "application/json"
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


@frozen
class Arrival:
    """A request for a source, and where it arrived; no entrance where no such source is configured."""

    gate: Gate
    entrance: Entrance | None
    scope: Scope = field(repr=False)
    headers: Headers = field(repr=False)
    incoming: Receive = field(repr=False)


async def receive(arrival: Arrival) -> Reply:
    """Take one webhook; whatever is wrong with it leaves as a Rejection."""
    gate = arrival.gate
    received_at = gate.clock()
    if question := knock(arrival, now=received_at):
        return answer(question)
    body = await read_body(arrival)
    check_load(arrival)
    entrance, verified = authenticate(arrival, body=body, now=received_at)
    if verified.challenge:
        return answer(verified.challenge)
    flaw = find_flaw(entrance.source, arrival.headers, body=body)
    event = make_event(entrance.source, arrival.headers, body=body, verified=verified, received_at=received_at)
    admission = Admission(
        event=event, rules=entrance.rules, nonce=verified.nonce, dedupe_id=verified.dedupe_id, flaw=flaw
    )
    return respond(arrival, entrance.source, event=event, verdict=await gate.admitter.admit(admission))


async def refuse_method(_: Arrival) -> Reply:
    """Refuse every other method."""
    raise MethodNotAllowed


async def greet(arrival: Arrival) -> Reply:
    """Answer the question by which a provider makes sure of its receiver; any other GET is not allowed."""
    question = knock(arrival, now=arrival.gate.clock())
    if question is None:
        raise MethodNotAllowed
    return answer(question)


def find_entrance(gate: Gate, path: str) -> Entrance | None:
    """Give the entrance of the source that the path names; None if none is configured, NotFound if none could be."""
    name = path.removeprefix(HOOKS)
    if not NAME.fullmatch(name):
        raise NotFound
    return gate.present.entrances.get(name)


def knock(arrival: Arrival, *, now: datetime) -> Challenge | None:
    """Charge the address, and give the answer to a question that nobody signs; None if this is none."""
    entrance, scope = arrival.entrance, arrival.scope
    check_address(scope, arrival.gate, source=entrance.source if entrance else None)
    if entrance is None or entrance.source.scheme.handshake is None:
        return None
    source = entrance.source
    return handshake(
        source.scheme,
        entrance.keys,
        method=scope["method"],
        query=scope["query_string"].decode("latin-1"),
        headers=arrival.headers,
        now=now,
        verify_token=source.verify_token.reveal().encode() if source.verify_token else None,
    )


def check_address(scope: Scope, gate: Gate, *, source: Source | None = None) -> None:
    """Charge the request to the address that it comes from; raises AddressLimited."""
    wait = gate.addresses.charge(scope, gate.config.door)
    if wait:
        raise AddressLimited(retry_after=wait, status=source.limit_status if source else None)


def check_load(arrival: Arrival) -> None:
    """Turn the request away before it is verified where too many wait for the ledger, low priority first."""
    gate, entrance = arrival.gate, arrival.entrance
    lane = entrance.source.priority if entrance else "normal"
    gate.admitter.check_load(lane, most=gate.config.door.in_flight)


async def read_body(arrival: Arrival) -> bytes:
    """Give the raw body, read within the source's bounds where it has not arrived yet."""
    source = arrival.entrance.source if arrival.entrance else None
    most, timeout = (source.max_body, source.body_timeout) if source else (STRANGER_BODY, STRANGER_TIMEOUT)
    whole: bytes | None = arrival.scope.get(WHOLE)
    if whole is None:
        return await read(arrival.incoming, arrival.headers, most=most, within=timeout, room=arrival.gate.room)
    if len(whole) > most:
        raise ContentTooLarge
    return whole


def authenticate(arrival: Arrival, *, body: bytes, now: datetime) -> tuple[Entrance, Verified]:
    """Verify the signature; an unknown source costs the same work and gets the same answer as a wrong key."""
    entrance, scope = arrival.entrance, arrival.scope
    if entrance is None:
        verify_dummy(body)
    verified = verify(
        entrance.source.scheme,
        entrance.keys,
        arrival.headers,
        body,
        now=now,
        tolerance=entrance.tolerance,
        url=request_url(entrance.source.public_url, scope["query_string"]),
        method=scope["method"],
    )
    return entrance, verified


def answer(challenge: Challenge) -> Reply:
    """Answer a handshake; nothing is stored."""
    headers = header_lines(challenge.body, challenge.media_type, dict(challenge.headers))
    return Reply(status=challenge.status, headers=headers, body=challenge.body)


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
    if media == JSON or (media.startswith("application/") and media.endswith("+json")):
        check_json(body)
    elif media not in scheme.media:
        raise MediaTypeUnsupported


def media_type(headers: Headers) -> str:
    """Give the media type in lower case, without its parameters; empty if there is none."""
    return text(headers, b"content-type").partition(";")[0].strip().lower()


def make_event(source: Source, headers: Headers, *, body: bytes, verified: Verified, received_at: datetime) -> Event:
    """Make the immutable event, with a trace of its own: one that the sender named goes on only where it is trusted."""
    event_id = new_event_id(received_at)
    named = read_traceparent(named_trace(headers)) if source.trust_traceparent else None
    return Event(
        id=event_id,
        source=source.name,
        pipeline=source.pipeline,
        received_at=received_at,
        body=body,
        content_type=text(headers, b"content-type"),
        headers=kept_headers(headers),
        traceparent=new_traceparent(event_id, trace=named[0] if named else 0),
        source_event_id=verified.dedupe_id,
    )


def named_trace(headers: Headers) -> str:
    """Give the trace context that a request names; "" if none, or more than one."""
    return text(headers, b"traceparent")


def kept_headers(headers: Headers) -> dict[str, str]:
    """Give the headers that tell about the delivery; never a signature, a token, a cookie."""
    return {kept: value.decode("latin-1") for name, value in headers if (kept := kept_name(name))}


@lru_cache(1024)
def kept_name(name: bytes) -> str:
    """Give the name of a header that is kept with its event; empty if it is not."""
    spelled = name.decode("latin-1")
    return spelled if KEPT.fullmatch(spelled) and not PROOF.search(spelled) else ""


def respond(arrival: Arrival, source: Source, *, event: Event, verdict: Verdict) -> Reply:
    """Answer by the ledger's verdict: accepted, duplicate, or a Rejection."""
    match verdict.outcome:
        case "conflict":
            raise EventIdReused
        case "limited":
            raise RateLimited(retry_after=verdict.retry_after, status=source.limit_status)
        case "full":
            raise Overloaded(retry_after=max(1.0, verdict.retry_after))
    duplicate = verdict.outcome == "duplicate"
    content = {"event_id": verdict.event_id, "state": verdict.state, "duplicate": duplicate}
    headers = {} if duplicate else budget_headers(source, remaining=verdict.remaining)
    if source.reply == "status":
        link = arrival.gate.access.link(verdict.event_id, now=event.received_at, valid=LINK_VALID)
        headers["Location"] = link
        content["status_url"] = public_base(arrival.scope, arrival.gate) + link
    body = to_json(content)
    status = 200 if duplicate else source.success
    return Reply(status=status, headers=header_lines(body, JSON, headers), body=body, event=event, verdict=verdict)


def public_base(scope: Scope, gate: Gate) -> str:
    """Give the scheme and host that the sender used, as far as a trusted proxy tells."""
    base = Request(scope).base_url.replace(scheme=scheme_of(scope, gate.config.door))
    return str(base).rstrip("/")
