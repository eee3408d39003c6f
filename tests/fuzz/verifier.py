"""The verifier as a target: a genuine request of any scheme is altered, or invented, and judged.

It must be Verified or a Rejection; and Verified only where a sender that the gateway knows signed it, in time, and what
the signature covers is as it was.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from fuzz.choices import altered
from fuzz.handshakes import check_challenge
from fuzz.senders import ALL, METHODS, NOW, WORDS, secret_of, signed, takes_public

from gateway.errors import EventIdInvalid, Rejection
from gateway.verify import Dated, Verified, request_url, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fuzz.choices import Choices

    from gateway.verify import Scheme
    from gateway.verify.request import Request

BODIES = (
    b'{"id": "evt_1", "event_id": "Ev1", "eventId": "e1", "event": {"id": "e2"}}',
    b"{}",
    b"a=1&b=2&From=%2B1",
    b'{"type": "url_verification", "challenge": "c1"}',
    b'{"type": 1, "id": 7}',
    b'{"event": "endpoint.url_validation", "payload": {"plainToken": "p1"}}',
    b'{"subscription": {"status": "webhook_callback_verification_pending"}, "challenge": "c2"}',
    b'{"id": [], "event_id": {}, "event": 1, "eventId": 1e999}',
    b'{"id": "\\ud800", "event_id": ""}',
    b"1795176000.1795176000:12",
    b"12",
    b"",
)
ORIGINS = ("https://h.example/in", "https://h.example:8443/in?k=v", "http://h.example:80/in", "https://h.example")
QUERIES = (b"", b"a=1", b"bodySHA256=00&x=%3A%2F", b"crc_token=c1", b"hub.mode=subscribe&hub.challenge=1")
EVENT_IDS = ("msg_1", "a", "x" * 128, "0b0e5f60-5a3c-11ee-8c99-0242ac120002")
URL_FIELDS = frozenset({"url", "hubspot_uri", "url_without_port", "url_with_port", "components"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A genuine request, and what became of it on its way."""

    scheme: Scheme
    genuine: Request
    event_id: str
    sent: Request
    secrets: tuple[Dated, ...]
    now: datetime
    tolerance: timedelta | None
    known: bool  # whether the gateway has a secret of its sender that is still valid

    def judged(self, request: Request) -> Verified:
        return verify(
            self.scheme,
            self.secrets,
            request.headers,
            request.body,
            now=self.now,
            tolerance=self.tolerance,
            url=request.url,
            method=request.method,
        )

    @property
    def fresh(self) -> bool:
        """Whether the gateway's clock is near enough to the sender's, where the scheme has one."""
        tolerance = self.scheme.tolerance if self.tolerance is None else self.tolerance
        return not self.scheme.timed or abs(self.now - NOW) <= tolerance


def judge(choices: Choices) -> None:
    """Judge one attempt."""
    attempt = make_attempt(choices)
    try:
        verified = attempt.judged(attempt.sent)
    except Rejection as rejection:
        check_refusal(attempt, rejection)
    else:
        check_verified(attempt, verified)


def make_attempt(choices: Choices) -> Attempt:
    """Sign, alter, and choose the gateway's secrets and clock."""
    scheme = choices.pick(ALL)
    public = takes_public(scheme) and choices.number(1) == 1
    event_id = choices.pick(EVENT_IDS)
    method, body = choices.pick(METHODS), choices.pick((*BODIES, None))
    body = choices.blob(60) if body is None else body
    query = choices.pick((*QUERIES, b"bodySHA256=" + sha256(body).hexdigest().encode(), None))
    url = request_url(choices.pick(ORIGINS), choices.blob(20) if query is None else query)
    try:
        genuine = signed(scheme, "ours", body, url=url, method=method, event_id=event_id, public=public)
    except ValueError:  # Twilio signs forms, or a body whose digest is in the URL
        genuine = signed(scheme, "ours", BODIES[2], url=ORIGINS[0], method=method, event_id=event_id, public=public)
    now = NOW + timedelta(
        seconds=choices.pick((0, 1, -1, 300, 301, -300, -301, 86_401, -86_401, 10**9, -(10**9), 5, 6))
    )
    if choices.number(15) == 15:
        now = choices.pick((datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)))
    secrets = tuple(make_secrets(choices, scheme, public=public, now=now))
    ours = secret_of(scheme, "ours", public=public)
    known = any(one.value == ours and (one.not_after is None or now <= one.not_after) for one in secrets)
    sent = genuine
    for _ in range(choices.number(4)):
        sent = change(choices, scheme, sent)
    return Attempt(
        scheme=scheme,
        genuine=genuine,
        event_id=event_id,
        sent=sent,
        secrets=secrets,
        now=now,
        tolerance=choices.pick((None, timedelta(seconds=1), timedelta(days=2))),
        known=known,
    )


def make_secrets(choices: Choices, scheme: Scheme, *, public: bool, now: datetime) -> Iterator[Dated]:
    """Choose one to three secrets; the first choice is the sender's own."""
    ends = (None, now, NOW + timedelta(days=1), NOW - timedelta(days=1))
    for _ in range(1 + choices.number(2)):
        name, other_kind = choices.pick(("ours", "other", "third")), choices.number(3) == 3
        kind = public != (other_kind and takes_public(scheme))
        yield Dated(value=secret_of(scheme, name, public=kind), not_after=choices.pick(ends))


def change(choices: Choices, scheme: Scheme, request: Request) -> Request:
    """Alter a request in one place."""
    match choices.number(7):
        case 0:
            return replace(request, body=altered(request.body, choices, WORDS))
        case 1:
            return replace(request, url=changed_url(choices, request.url))
        case 2:
            return replace(request, method=choices.pick((*METHODS, "\xdf", "G T")))
        case 3:
            return moved(choices, scheme, request)
        case _:
            return replace(request, headers=changed_headers(choices, list(request.headers)))


def moved(choices: Choices, scheme: Scheme, request: Request) -> Request:
    """Cut the signed string anew: bytes move from one field to its neighbour, and the signature still holds."""
    headers = {"id": scheme.id_header.lower().encode(), "timestamp": scheme.timestamp_header.lower().encode()}
    now = {name: dict(request.headers).get(header) for name, header in headers.items()} | {"body": request.body}
    names, fences = scheme.pieces[1::2], [text.encode() for text in scheme.pieces[2:-1:2]]
    if any(now.get(name) is None for name in names):
        return request
    rest = b"".join(now[name] + fence for name, fence in zip(names, [*fences, b""], strict=True))
    for name, fence in zip(names, fences, strict=False):
        cuts = [one.start() for one in re.finditer(b"(?=" + re.escape(fence) + b")", rest)]
        cut = choices.pick(cuts or [len(rest)])
        now[name], rest = rest[:cut], rest[cut + len(fence) :]
    now[names[-1]] = rest
    lines = {headers[name]: now[name] for name in headers if name in names}
    return replace(
        request, headers=[(name, lines.get(name, value)) for name, value in request.headers], body=now["body"]
    )


def changed_url(choices: Choices, url: str) -> str:
    """Alter what follows the origin: the origin is configured, and was checked then."""
    start = re.match(r"https?://[^/?#]*", url).end()
    rest = altered(url[start:].encode("latin-1"), choices, WORDS).decode("latin-1")
    return choices.pick((url[:start], "https://h.example", "https://h.example:443")) + (
        rest if rest[:1] in "/?" else "/" + rest
    )


def changed_headers(choices: Choices, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Alter, add, lose, double, rename or reorder header lines."""
    if not headers:
        return [(altered(b"webhook-id", choices, WORDS), choices.blob(40))]
    place = choices.number(len(headers) - 1)
    made = [*headers[:place], *changed_line(choices, headers, *headers[place]), *headers[place + 1 :]]
    return made[::-1] if choices.number(7) == 7 else made


def changed_line(
    choices: Choices, lines: list[tuple[bytes, bytes]], name: bytes, value: bytes
) -> list[tuple[bytes, bytes]]:
    """Give what stands in place of a header line."""
    match choices.number(7):
        case 0:
            return []
        case 1:
            return [(name, value), (name, altered(value, choices, WORDS))]
        case 2:
            return [(altered(name, choices, WORDS), value)]
        case 3:
            return [(choices.pick((name.title(), name.upper())), value)]
        case 4:
            return [(name, value + choices.pick((b",", b" ", b", ", b";", b"")) + choices.pick(lines)[1])]
        case 5:
            return [(name, choices.pick(lines)[1])]
        case 6:
            return [(choices.pick((b"x-other", b"", b"content-digest")), choices.blob(40)), (name, value)]
        case _:
            return [(name, altered(value, choices, WORDS))]


def check_refusal(attempt: Attempt, rejection: Rejection) -> None:
    """A genuine request is refused for its sender, its time or its id only, and a refusal shows nothing secret."""
    for secret in attempt.secrets:
        assert secret.value.decode() not in rejection.detail
    if attempt.sent == attempt.genuine and attempt.known and attempt.fresh:
        assert isinstance(rejection, EventIdInvalid), (rejection, attempt)


def check_verified(attempt: Attempt, verified: Verified) -> None:
    """Check that nothing was believed which its sender did not sign."""
    scheme = attempt.scheme
    assert isinstance(verified, Verified)
    assert re.fullmatch("[0-9a-f]{64}", verified.nonce)
    assert verified.dedupe_id is None or re.fullmatch("[ -~]{1,128}", verified.dedupe_id)
    assert attempt.known, attempt
    lines = Counter(name.lower() for name, _ in attempt.sent.headers)
    assert all(lines[name] <= 1 for name in scheme.deciding), attempt
    if verified.challenge:
        check_challenge(verified.challenge)
    if scheme.proof == "token":
        return
    assert attempt.fresh, attempt
    assert covered(scheme, attempt.sent) == covered(scheme, attempt.genuine), attempt
    if scheme.id_header and not verified.challenge:
        assert verified.dedupe_id == attempt.event_id
    try:
        assert verified.nonce == attempt.judged(attempt.genuine).nonce
    except EventIdInvalid:  # an id that is not signed was repaired on the way
        assert not scheme.id_header


def covered(scheme: Scheme, request: Request) -> tuple[object, ...]:
    """Read plainly what the signature covers, but for time and id.

    A URL and what follows it are signed without anything between them, so they are one.
    """
    url = request.url if scheme.fields & URL_FIELDS else ""
    body = request.body.decode("latin-1") if scheme.covers_body else ""
    if "hubspot_uri" in scheme.fields:
        url = re.sub(
            "%([0-9A-Fa-f]{2})", lambda one: unquote(one[0]) if unquote(one[0]) in ":/?@!$'()*,;" else one[0], url
        )
    if "twilio_params" in scheme.fields:
        url = re.sub(r"^(https?://[^/?:]*):[0-9]+", r"\1", url)
        body = form(request)
    method = request.method.upper() if scheme.fields & {"method", "components"} else ""
    return method, (url + body) if "components" not in scheme.fields else (url, body)


def form(request: Request) -> str:
    """Give a form's parameters as Twilio runs them together; another body stands in the URL, by its digest."""
    if "bodySHA256=" in request.url.partition("?")[2]:
        return request.body.decode("latin-1")
    return "".join(
        name + value for name, value in sorted(set(parse_qsl(request.body.decode(), keep_blank_values=True)))
    )
