"""The hostile requests of tests/cases/bad_inputs.json, sent over raw sockets; none of them may change what is stored.

Every case and every variant of the file is sent: a case or a variant that this file does not know fails the first test.
"""

from __future__ import annotations

import base64
import gzip
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from served import BODY, CONFIG, PARSERS, RAW_KEYS, SECRETS, free_id, request_bytes, serve, signed_headers, standard_mac

from gateway.config import ConfigError

CASES = {
    case["name"]: case for case in json.loads((Path(__file__).parents[2] / "cases" / "bad_inputs.json").read_text())
}
LIMIT = 256 * 1024
# Cases of two requests, or of a start: each has a test of its own below.
APART = {"same_id_different_body", "replay_with_altered_unsigned_id"}
GENERATED_BODIES = {
    "gzip.compress(b'0'*10_000_000)": gzip.compress(b"0" * 10_000_000),
    "b'['*100000 + b']'*100000": b"[" * 100_000 + b"]" * 100_000,
    "b'{\"a\":'*5000 + b'1' + b'}'*5000": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "b'{\"a\":' + b'9'*5000 + b'}'": b'{"a":' + b"9" * 5000 + b"}",
}


@dataclass
class Sent:
    """One request to send and what must come back; `code` None is the server's own plain refusal, or an acceptance."""

    parts: list[bytes]
    status: int
    code: str | None
    pause: float = 0.0


def lines_of(case):
    return [tuple(line) for line in case["headers"]]


def filled(case, *, lines=None, body=None, event_id=None, shift=0):
    """Fill {{TS}}, {{ID}} and {{SIG}} and give the header lines and the body, signed as the case says."""
    body = body if body is not None else base64.b64decode(case["body_b64"]) if "body_b64" in case else BODY
    event_id, now = event_id or free_id(), int(time.time())
    words = {
        "{{TS}}": str(now + shift), "{{TS-301}}": str(now - 301), "{{ID}}": event_id,
        "{{TS+301}}": str(now + 303),  # it is judged up to two seconds later than it is made, and must be too far then
        "{{A*20000}}": "A" * 20_000, "{{100 x 'v1,AAAA...='}}": " ".join(["v1," + "A" * 43 + "="] * 100),
    }  # fmt: skip
    made = [(name, words.get(value, value)) for name, value in (lines or lines_of(case))]
    named = dict(made)
    mode = case["sign"].partition(":")
    key = RAW_KEYS[{"wrong_key": "wrong", "valid_with_key_of": mode[2]}.get(mode[0], "demo")]
    signature = standard_mac(key, named.get("webhook-id", ""), named.get("webhook-timestamp", ""), body)
    if mode[0] == "valid_then_flip_last_byte":
        body = body[:-1] + bytes([body[-1] ^ 1])
    return [(name, signature if value == "{{SIG}}" else value) for name, value in made], body


def wire(case, lines, body, *, length=True, method=None, path=None):
    declared = [("content-length", str(len(body)))] if length else []
    head = request_bytes(path or case["path_hint"], {}, method=method or case["method"])[:-2]
    return (
        head
        + b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in [*lines, *declared])
        + b"\r\n"
        + body
    )


def plain(case, *, status=None, code="", **changes):
    lines, body = filled(case, **changes)
    return Sent([wire(case, lines, body)], status or case["expect_status"], case["expect_code"] if code == "" else code)


def first_of(case, http):
    """Give the request of the case itself."""
    if "raw_request_b64" in case:
        return Sent([base64.b64decode(case["raw_request_b64"])], case["expect_status"], server_code(case, http))
    match case["name"]:
        case "declared_length_over_limit" | "slow_body":
            lines, _ = filled(case)
            slow = case["name"] == "slow_body"
            parts = [wire(case, lines, b"", length=False), *([b"x"] * 6 if slow else [])]
            return Sent(parts, case["expect_status"], case["expect_code"], pause=0.3 if slow else 0.0)
        case "chunked_body_over_limit":
            body = b" " * (LIMIT + 1)
            lines, _ = filled(case, body=body)
            cuts = [body[at : at + 65536] for at in range(0, len(body), 65536)]
            chunks = [b"%x\r\n%b\r\n" % (len(cut), cut) for cut in cuts]
            return Sent([wire(case, lines, b"", length=False), *chunks, b"0\r\n\r\n"], 413, case["expect_code"])
        case _:
            lines, body = filled(case, body=GENERATED_BODIES.get(case.get("generator", "")))
            return Sent([wire(case, lines, body)], case["expect_status"], case["expect_code"])


def server_code(case, http):
    """Each parser refuses some shapes itself, in its own words, before the application sees them."""
    return None if case["layer"].startswith(f"server({http})") else case["expect_code"]


def variant_of(case, variant):
    """Give the requests of a variant."""
    code = variant.get("expect_code", "")
    if "raw_request_b64" in variant:
        return [Sent([base64.b64decode(variant["raw_request_b64"])], case["expect_status"], None)]
    if "method" in variant or "path_hint" in variant:
        lines, body = filled(case)
        sent = wire(case, lines, body, method=variant.get("method"), path=variant.get("path_hint"))
        return [Sent([sent], case["expect_status"], case["expect_code"])]
    if "headers" in variant:
        return [plain(case, lines=lines_of(variant), code=code)]
    if "body_b64" in variant:
        return [plain(case, body=base64.b64decode(variant["body_b64"]))]
    if variant.get("generator") in GENERATED_BODIES:
        return [plain(case, body=GENERATED_BODIES[variant["generator"]])]
    return [*NOTED[variant.get("note") or variant["generator"]](case)]


def with_many_headers(case):
    yield plain(case, lines=[*lines_of(case)[:4], *((f"x-{number}", "1") for number in range(200))])


def with_timestamp_twice(case):
    yield plain(case, lines=[*lines_of(case)[:4], ("webhook-timestamp", "{{TS}}")])


def with_signature_in_a_trailer(case):
    lines, body = filled(case, lines=lines_of(case)[:4])
    *others, (name, signature) = lines
    chunks = b"%x\r\n%b\r\n0\r\n%b: %b\r\n\r\n" % (len(body), body, name.encode(), signature.encode())
    head = wire(case, [*others, ("transfer-encoding", "chunked")], b"", length=False)
    yield Sent([head + chunks], 401, "signature_missing")


def altered(change):
    def make(case):
        lines, body = filled(case | {"sign": "valid"})
        yield Sent([wire(case, *change(lines, body))], case["expect_status"], case["expect_code"])

    return make


def swapped(header, value):
    return altered(lambda lines, body: ([(name, value if name == header else kept) for name, kept in lines], body))


def within_tolerance(case):
    lines = [(name, "{{TS}}" if name == "webhook-timestamp" else value) for name, value in lines_of(case)]
    yield plain(case, lines=lines, shift=-298, status=202, code=None)


def with_other_codings(case):
    for coding in ("br", "deflate", "gzip, gzip"):
        lines = [(name, coding if name == "content-encoding" else value) for name, value in lines_of(case)]
        yield plain(case, lines=lines)


def at_the_depth_limit(case):
    yield plain(case, body=b"[" * 65 + b"]" * 65)
    yield plain(case, body=b"[" * 64 + b"]" * 64, status=202, code=None)


def no_secret(case):
    """`test_a_source_without_a_secret_does_not_start` shows it."""
    assert case["name"] == "signature_missing"
    return ()


NOTED = {
    "200 headers x-0..x-199 (limit 100)": with_many_headers,
    "webhook-timestamp twice, second one fresh": with_timestamp_twice,
    CASES["signature_header_twice"]["variants"][1]["note"]: with_signature_in_a_trailer,
    "source configured with empty secret must refuse to start, not accept": no_secret,
    "append one space": altered(lambda lines, body: (lines, body + b" ")),
    "re-serialise with sorted keys": altered(
        lambda lines, body: (lines, json.dumps(json.loads(body), sort_keys=True).encode())
    ),
    "swap webhook-id after signing": swapped("webhook-id", "msg_other"),
    "swap webhook-timestamp after signing": swapped("webhook-timestamp", str(int(time.time()) - 7)),
    "now-299 must be 202 (boundary)": within_tolerance,
    "content-encoding: br / deflate / 'gzip, gzip'": with_other_codings,
    "depth 65 -> 400; depth 64 -> 202": at_the_depth_limit,
}


def test_every_case_of_the_file_is_sent_here():
    assert len(CASES) == 30
    assert CASES.keys() > APART


@pytest.mark.parametrize("http", PARSERS)
@pytest.mark.parametrize("name", sorted(CASES.keys() - APART))
def test_a_hostile_request_is_refused_and_changes_nothing(gateway, http, name):
    case = CASES[name]
    requests = [first_of(case, http), *(sent for one in case.get("variants", []) for sent in variant_of(case, one))]
    for sent in requests:
        before = gateway.stored()
        answer = gateway.send(*sent.parts, pause=sent.pause)
        assert (answer.status, answer.code) == (sent.status, sent.code), sent.parts[0][:300]
        if sent.status >= 400:
            assert gateway.stored() == before
            assert b"Traceback" not in answer.body
        if sent.status == 405:
            assert answer.headers["allow"] == "POST"


def test_same_id_different_body(gateway):
    case = CASES["same_id_different_body"]
    lines, body = filled(case, event_id="msg_1")
    assert gateway.send(wire(case, lines, body)).status == 202
    before = gateway.stored()
    lines, body = filled(case, event_id="msg_1", body=b'{"other":1}')
    refused = gateway.send(wire(case, lines, body))
    assert (refused.status, refused.code) == (case["expect_status"], case["expect_code"])
    assert gateway.stored() == before


def test_replay_with_altered_unsigned_id(gateway):
    case = CASES["replay_with_altered_unsigned_id"]
    headers = signed_headers(scheme="github", secret=SECRETS["plain"], event_id=str(uuid.uuid4()))
    first = gateway.post("demo-github", BODY, headers)
    before = gateway.stored()
    prefix, _, digits = headers["x-hub-signature-256"].partition("=")
    upper = {"x-github-delivery": str(uuid.uuid4()), "x-hub-signature-256": f"{prefix}={digits.upper()}"}
    again = gateway.post("demo-github", BODY, headers | upper)
    assert (first.status_code, again.status_code) == (202, case["expect_status"])
    assert again.json() == {"event_id": first.json()["event_id"], "state": "queued", "duplicate": True}
    assert gateway.stored().keys() == before.keys()


@pytest.mark.parametrize("secret", ["", "  "])
def test_a_source_without_a_secret_does_not_start(tmp_path, redis_url, secret):
    with pytest.raises(ConfigError, match="empty"):
        serve(tmp_path, redis_url, config=CONFIG, DEMO=secret)
