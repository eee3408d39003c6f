"""Streams of bytes for a listener: forged requests, questions and nonsense, altered, and cut into parts."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuzz.choices import altered
from fuzz.json_text import FlawError, read
from fuzz.senders import ALL, NOW, signed
from served import SECRETS, TOKEN, link

from gateway.verify import SCHEMES, sign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fuzz.choices import Choices

FORGER, OWNER = "forger", "ours"  # no source of `served` knows the keys of either
CASES = Path(__file__).parents[1] / "cases" / "bad_inputs.json"
URL = "https://hooks.example/in"
BODY = b'{"type":"demo.created","data":{"n":1}}'
BODIES = (BODY, b"{}", b"", b"not JSON", b'{"a":1,"a":2}', b"a=1&b=2", b"[" * 70, b'{"x":"' + b"x" * 5000 + b'"}')
PATHS = (
    "/live", "/ready", "/openapi.json", "/events", "/events?limit=1&state=queued", "/events?cursor=%00&limit=x",
    "/events?", "/events/evt_0", "/events/evt_0/stream", "/events/%2e%2e/live", "/hooks/", "/hooks/nobody",
    "/hooks/demo%2Flive", "/hooks/fuzz-x?crc_token=c1",
    "/hooks/fuzz-meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=" + SECRETS["plain"],
    "/hooks/fuzz-dropbox?challenge=%0d%0aX:1", "/hooks/fuzz-microsoft-graph?validationToken=v", "//", "*",
    "http://gw/live", "/live#x", "/\xff", "/" + "a" * 3000, "/hooks/demo?" + "q=1&" * 300,
)  # fmt: skip
PARAMETERS = (
    "limit=1", "limit=0", "limit=-1", "limit=1_0", "limit=9999999999999999999999", "limit=\xb2", "limit=", "limit=%31",
    "state=queued", "state=", "state=x", "source=demo", "source=%00", "source=" + "a" * 999, "cursor=evt_0", "cursor=",
    "cursor=%ff", "cursor=1-1", "x=1", "%", "=", "&",
)  # fmt: skip
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "CONNECT", "PRI", "get", "M" * 40)
LINES = (
    b"connection: close", b"connection: keep-alive", b"connection: upgrade\r\nupgrade: websocket",
    b"expect: 100-continue", b"content-length: 5", b"content-length: 0", b"content-length: -1",
    b"content-length: 99999999999", b"content-length: 1e1", b"transfer-encoding: chunked",
    b"transfer-encoding: gzip, chunked", b"transfer-encoding: identity", b"host: other", b"content-encoding: gzip",
    b"content-type: text/plain", b"content-type: application/x-www-form-urlencoded", b"authorization: Bearer hm_0",
    b"authorization: Basic x", b"x-forwarded-for: 1.2.3.4, ::1, \xff", b"x-forwarded-proto: https",
    b'forwarded: for="[::1]:9";proto=https', b"accept: text/event-stream", b"last-event-id: 1", b"cookie: a=b",
    b"x-hook-secret: s", b"x-okta-verification-challenge: c", b"te: trailers", b"x: " + b"y" * 9000,
    b"x: 1\r\n" * 60 + b"x: 2", b" folded", b"no colon", b": empty", b"sp ace: 1", b"nul: a\x00b", b"latin: \xe9\xff",
)  # fmt: skip
WORDS = (
    b"\r\n", b"\n", b"\r", b"\x00", b"\r\n\r\n", b" ", b"\t", b":", b"0\r\n\r\n", b"2\r\n{}\r\n",
    b"ffffffffffffffff\r\n", b"-2\r\n", b"1;ext=1\r\nx\r\n", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9",
    b"HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"\xff", b"GET /live HTTP/1.1\r\n\r\n", b"POST ",
    b"chunked", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"x" * 20_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What one connection sends, and how it ends: stays, waits, closes its half, or resets."""

    parts: Sequence[bytes]
    end: str
    fit: Sequence[bytes] = ()  # the bodies in it that may be stored: genuinely signed, and strict JSON


def make_stream(choices: Choices, *, genuine: bool) -> Stream:
    """Put requests one after the other, alter the bytes, cut them into parts."""
    made = [make_request(choices) for _ in range(1 + choices.number(2))]
    fit = []
    if genuine:
        body = choices.pick((BODY, b'{"n":%d}' % choices.number(200), *BODIES))
        fit += [body] if is_strict(body) else []
        made.insert(choices.number(len(made)), genuine_request(choices, body))
    raw = b"".join(made)
    for _ in range(choices.number(4)):
        raw = altered(raw, choices, WORDS)
    cuts = sorted(choices.number(len(raw)) for _ in range(choices.number(4)))
    parts = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    end = choices.pick(("stay", "half", "stay", "reset", "stay", "half", "stay", "reset", *["stay"] * 7, "wait"))
    return Stream(parts=[part for part in parts if part], end=end, fit=fit)


def is_strict(body: bytes) -> bool:
    """Tell whether a body is strict JSON, by a reader apart from the gateway's."""
    try:
        read(body)
    except FlawError:
        return False
    return True


def make_request(choices: Choices) -> bytes:
    """Make a forged webhook, a question, a request of the file of bad inputs, or plain bytes."""
    match choices.number(4):
        case 0 | 1:
            return forged_request(choices)
        case 2:
            path = choices.pick((*PATHS, link("evt_0", valid=10**9), link("evt_0", key="wrong")))
            if path.endswith("?"):
                path += "&".join(choices.pick(PARAMETERS) for _ in range(1 + choices.number(3)))
            known = choices.pick(([], [b"authorization: Bearer " + TOKEN.encode()]))
            return framed(choices, choices.pick(METHODS), path, known, choices.pick((b"", BODY)))
        case 3:
            return choices.pick(bad_requests())
        case _:
            return choices.blob(400)


def forged_request(choices: Choices) -> bytes:
    """Sign with a key that the source does not know."""
    scheme = choices.pick(ALL)
    try:
        request = signed(scheme, FORGER, choices.pick(BODIES), url=URL)
    except ValueError:  # Twilio signs forms
        request = signed(scheme, FORGER, b"a=1", url=URL)
    path = f"/hooks/fuzz-{scheme.name}"
    media = choices.pick(("application/json", "application/cloudevents+json", "application/x-www-form-urlencoded", ""))
    lines = [*request.headers, (b"content-type", media.encode())]
    return framed(choices, "POST", path, [name + b": " + value for name, value in lines], request.body)


def genuine_request(choices: Choices, body: bytes) -> bytes:
    """Sign with the source's own key, over id, time and body."""
    key, event_id = SECRETS["demo"].encode(), f"msg_{choices.number(50)}"
    made = sign(SCHEMES["standard"], key, body, now=NOW, event_id=event_id)
    lines = [f"{name}: {value}".encode() for name, value in [*made, ("content-type", "application/json")]]
    return framed(choices, "POST", "/hooks/demo", lines, body)


def framed(choices: Choices, method: str, path: str, lines: list[bytes], body: bytes) -> bytes:
    """Write a request with its body by length, in chunks, or not at all as it should be."""
    lines = [b"host: gw", *lines, *(choices.pick(LINES) for _ in range(choices.number(2)))]
    match choices.number(3):
        case 0:
            lines.append(b"content-length: %d" % len(body))
        case 1:
            cut = choices.number(len(body))
            lines.append(b"transfer-encoding: chunked")
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
            body += choices.pick((b"0\r\n\r\n", b"0\r\nwebhook-id: x\r\n\r\n", b""))
        case 2:
            lines += [b"content-length: %d" % len(body), b"connection: close"]
    first = f"{method} {path} HTTP/{choices.pick(('1.1', '1.0', '1.1'))}".encode("latin-1")
    return b"\r\n".join([first, *lines, b"", body])


@cache
def bad_requests() -> tuple[bytes, ...]:
    """Write the requests of tests/cases/bad_inputs.json; what was to be signed there is signed by a forger here."""
    cases = json.loads(CASES.read_text())
    shapes = [one for case in cases for one in (case, *case.get("variants", ()))]
    raw = [base64.b64decode(one["raw_request_b64"]) for one in shapes if "raw_request_b64" in one]
    return (*raw, *map(filled, cases))


def filled(case: dict[str, Any]) -> bytes:
    """Write the request of a case with its words filled in."""
    body = base64.b64decode(case.get("body_b64", "e30="))
    signature = dict(signed(SCHEMES["standard"], FORGER, body).headers)[b"webhook-signature"].decode()
    moment = str(int(NOW.timestamp()))
    words = {"{{TS}}": moment, "{{ID}}": "msg_1", "{{SIG}}": signature, "{{A*20000}}": "A" * 20_000}
    lines = [f"{name}: {words.get(value, value)}" for name, value in case["headers"]]
    first = f"{case['method']} {case['path_hint']} HTTP/1.1"
    head = "\r\n".join([first, "host: gw", *lines, f"content-length: {len(body)}", "", ""])
    return head.encode("latin-1") + body
