"""Webhooks over real HTTP into the real ledger."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import httpx
import pytest
from served import BODY, SECRETS, free_id, signed_headers

from gateway.ledger import Ledger
from gateway.ledger.event import received_ms
from otel.records import EventAccepted, EventRejected

PLAIN = SECRETS["plain"]
BODIES = {
    "standard": BODY,
    "github": BODY,
    "stripe": b'{"id":"evt_1","type":"charge.succeeded"}',
    "slack": b'{"event_id":"Ev1","type":"event_callback"}',
    "bearer": BODY,
}
SOURCES = {"standard": "demo"} | {name: f"demo-{name}" for name in ("github", "stripe", "slack", "bearer")}


def signed(scheme, body=None, **more):
    secret = SECRETS["demo"] if scheme == "standard" else PLAIN
    return signed_headers(BODIES[scheme] if body is None else body, scheme=scheme, secret=secret, **more)


@pytest.mark.parametrize("scheme", SOURCES)
def test_a_genuine_request_is_accepted_and_stored(gateway, scheme):
    response = gateway.post(SOURCES[scheme], BODIES[scheme], signed(scheme))
    assert response.status_code == 202
    answer = response.json()
    assert answer == {"event_id": answer["event_id"], "state": "queued", "duplicate": False}
    view = gateway.ledger(lambda ledger: ledger.show(answer["event_id"]))
    assert (view.source, view.state, view.size) == (SOURCES[scheme], "queued", len(BODIES[scheme]))


@pytest.mark.parametrize("scheme", SOURCES)
def test_a_signature_under_another_key_is_rejected(gateway, scheme):
    secret = SECRETS["wrong"] if scheme == "standard" else "another-secret"
    before = gateway.stored()
    headers = signed_headers(BODIES[scheme], scheme=scheme, secret=secret)
    response = gateway.post(SOURCES[scheme], BODIES[scheme], headers)
    assert (response.status_code, response.json()["code"]) == (401, "signature_invalid")
    assert gateway.stored().keys() == before.keys()


@pytest.mark.parametrize("scheme", SOURCES)
def test_the_same_request_again_is_a_duplicate_of_the_first_event(gateway, scheme):
    headers = signed(scheme)
    first = gateway.post(SOURCES[scheme], BODIES[scheme], headers)
    before = gateway.stored()
    again = gateway.post(SOURCES[scheme], BODIES[scheme], headers)
    assert again.status_code == 200
    assert again.json() == {"event_id": first.json()["event_id"], "state": "queued", "duplicate": True}
    assert gateway.stored().keys() == before.keys()


@pytest.mark.parametrize("scheme", ["standard", "stripe", "slack"])
def test_a_retry_signed_afresh_is_a_duplicate_by_its_id(gateway, scheme):
    first = gateway.post(SOURCES[scheme], BODIES[scheme], signed(scheme, event_id="msg_1", ago=60))
    again = gateway.post(SOURCES[scheme], BODIES[scheme], signed(scheme, event_id="msg_1"))
    assert (again.status_code, again.json()["event_id"]) == (200, first.json()["event_id"])


@pytest.mark.parametrize("scheme", ["standard", "stripe", "slack"])
def test_a_stale_timestamp_is_rejected(gateway, scheme):
    response = gateway.post(SOURCES[scheme], BODIES[scheme], signed(scheme, ago=301))
    assert (response.status_code, response.json()["code"]) == (401, "timestamp_out_of_tolerance")


def test_an_unknown_source_cannot_be_told_from_a_wrong_key(gateway):
    headers = signed_headers(secret=SECRETS["wrong"])
    wrong, unknown = (gateway.post(name, BODY, headers) for name in ("demo", "nosuchsource"))
    assert wrong.content == unknown.content
    assert wrong.status_code == unknown.status_code == 401
    without_date = [[one for one in each.headers.raw if one[0] != b"date"] for each in (wrong, unknown)]
    assert without_date[0] == without_date[1]


@pytest.mark.parametrize("length", [10, 200_000])
def test_an_unknown_source_costs_the_time_of_a_wrong_key(gateway, length):
    body = b"x" * length
    headers = signed_headers(body, secret=SECRETS["wrong"])
    taken = {"demo": [], "nosuchsource": []}
    with httpx.Client(base_url=gateway.url) as client:
        for _ in range(150):
            for name, times in taken.items():
                began = time.perf_counter()
                client.post(f"/hooks/{name}", content=body, headers=headers)
                times.append(time.perf_counter() - began)
    known, unknown = (sorted(times)[len(times) // 4] for times in taken.values())
    assert abs(known - unknown) < max(0.1 * known, 150e-6)


def test_a_source_over_its_limit_is_told_when_to_try_again(gateway):
    responses = [gateway.post("tight", BODY, signed_headers()) for _ in range(3)]
    assert [one.status_code for one in responses] == [202, 202, 429]
    assert [one.headers["ratelimit-policy"] for one in responses] == ['"tight";q=2;w=60'] * 3
    left = [re.fullmatch(r'"tight";r=(\d+);t=(\d+)', one.headers["ratelimit"]).groups() for one in responses]
    assert [int(remaining) for remaining, _ in left] == [1, 0, 0]
    refused = responses[-1]
    assert refused.json()["code"] == "rate_limited"
    assert 25 <= int(refused.headers["retry-after"]) <= 30
    assert refused.headers["retry-after"] == left[-1][1]


def test_a_retry_of_an_accepted_event_is_never_limited(gateway):
    headers = signed_headers()
    gateway.post("tight", BODY, headers)
    gateway.post("tight", BODY, signed_headers())
    assert gateway.post("tight", BODY, headers).status_code == 200


def test_a_forged_request_does_not_spend_the_budget_of_its_source(gateway):
    for _ in range(5):
        gateway.post("tight", BODY, signed_headers(secret=SECRETS["wrong"]))
    assert gateway.post("tight", BODY, signed_headers()).status_code == 202


def test_a_full_backlog_is_answered_503_and_stores_nothing(gateway):
    accepted = [gateway.post("narrow", BODY, signed_headers()).status_code for _ in range(2)]
    before = gateway.stored()
    refused = gateway.post("narrow", BODY, signed_headers())
    assert accepted == [202, 202]
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert gateway.stored().keys() == before.keys()


def test_a_source_without_a_limit_sends_no_budget(gateway):
    assert "ratelimit" not in gateway.post("demo").headers


def test_an_id_used_for_another_body_is_refused_where_ids_are_idempotency_keys(gateway):
    gateway.post("demo", BODY, signed_headers(event_id="msg_1"))
    other = b'{"n":2}'
    refused = gateway.post("demo", other, signed_headers(other, event_id="msg_1"))
    assert (refused.status_code, refused.json()["code"]) == (422, "event_id_reused")


def post_all_at_once(gateway, requests):
    """Post them from fifty threads; like any sender, send again what a busy machine answers with 503."""

    def post(headers):
        while (response := client.post("/hooks/demo", content=BODY, headers=headers, timeout=20)).status_code == 503:
            time.sleep(int(response.headers["retry-after"]))
        return response

    with httpx.Client(base_url=gateway.url) as client, ThreadPoolExecutor(50) as pool:
        return list(pool.map(post, requests))


def test_fifty_equal_posts_at_once_make_one_event(gateway):
    responses = post_all_at_once(gateway, [signed_headers()] * 50)
    assert sorted(one.status_code for one in responses) == [200] * 49 + [202]
    assert len({one.json()["event_id"] for one in responses}) == 1
    assert gateway.ledger(Ledger.stats).counts["accepted"] == 1


def test_two_hundred_events_at_once_are_all_stored(gateway):
    responses = post_all_at_once(gateway, [signed_headers() for _ in range(200)])
    assert {one.status_code for one in responses} <= {200, 202}
    assert len({one.json()["event_id"] for one in responses}) == 200
    assert gateway.ledger(Ledger.stats).counts["accepted"] == 200


def test_a_handshake_is_answered_and_nothing_is_stored(gateway):
    body = b'{"type":"url_verification","challenge":"abc123"}'
    response = gateway.post("demo-slack", body, signed("slack", body))
    assert (response.status_code, response.text) == (200, "abc123")
    assert gateway.stored() == {}
    assert gateway.records == []


def test_a_form_is_taken_from_a_scheme_that_sends_forms(gateway):
    body = urlencode({"command": "/triage", "text": "hello"}).encode()
    headers = signed("slack", body) | {"content-type": "application/x-www-form-urlencoded"}
    assert gateway.post("demo-slack", body, headers).status_code == 202


@pytest.mark.parametrize("media", ["application/x-www-form-urlencoded", "text/plain", "application/jsonp", ""])
def test_another_media_type_is_refused(gateway, media):
    headers = signed_headers() | {"content-type": media}
    refused = gateway.post("demo", BODY, headers)
    assert (refused.status_code, refused.json()["code"]) == (415, "media_type_unsupported")


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "Application/CloudEvents+JSON"])
def test_every_kind_of_json_is_taken_and_checked(gateway, media):
    headers = signed_headers() | {"content-type": media}
    assert gateway.post("demo", BODY, headers).status_code == 202
    broken = b'{"a":1,"a":2}'
    refused = gateway.post("demo", broken, signed_headers(broken) | {"content-type": media})
    assert (refused.status_code, refused.json()["code"]) == (400, "json_duplicate_key")


def test_a_source_may_set_its_success_code_and_give_a_status_link(gateway):
    response = gateway.post("asker")
    assert response.status_code == 201
    location = response.headers["location"]
    assert response.json()["status_url"] == gateway.url + location
    shown = gateway.get(location)
    assert (shown.status_code, shown.json()["id"]) == (200, response.json()["event_id"])


def test_the_event_keeps_what_tells_of_the_delivery_and_nothing_that_proves_it(gateway):
    proof = {"cookie": "a=b", "x-slack-signature": "v0=1", "x-github-token": "t", "x-hub-signature-256": "sha256=0"}
    told = {"x-github-event": "push", "user-agent": "sender/1", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    response = gateway.post(
        "demo", BODY, signed_headers(event_id="msg_1") | proof | told | {"authorization": "Bearer x"}
    )

    async def fetch(ledger):
        return (await ledger.begin(response.json()["event_id"], fence="f")).work.event

    event = gateway.ledger(fetch)
    assert {name: event.headers[name] for name in ("x-github-event", "user-agent", "webhook-id")} == {
        "x-github-event": "push",
        "user-agent": "sender/1",
        "webhook-id": "msg_1",
    }
    assert event.headers.keys() <= {"x-github-event", "user-agent", "webhook-id", "webhook-timestamp"}
    assert event.source_event_id == "msg_1"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", event.traceparent)
    assert "a" * 32 not in event.traceparent
    assert received_ms(event.id) == int(event.traceparent[3:15], 16), "an event's id tells its trace"


def test_listeners_hear_of_every_admission_and_every_refusal(gateway):
    headers = signed_headers()
    accepted = gateway.post("demo", BODY, headers)
    gateway.post("demo", BODY, headers)
    gateway.post("demo", BODY, signed_headers(secret=SECRETS["wrong"]))
    gateway.post("made-up-name", BODY, headers)
    gateway.get("/live")
    first, again, forged, unknown = gateway.records
    assert isinstance(first, EventAccepted)
    assert (first.source, first.event_id, first.size) == ("demo", accepted.json()["event_id"], len(BODY))
    assert (again.duplicate, again.event_id) == (True, first.event_id)
    assert isinstance(forged, EventRejected)
    assert (forged.source, forged.code, forged.status) == ("demo", "signature_invalid", 401)
    assert unknown.source == ""
    assert all(record.took.total_seconds() > 0 for record in gateway.records)


def test_a_pointer_into_the_signed_body_can_be_the_id(start, redis_url):
    config = """
[sources.demo]
scheme = "standard"
secrets = ["env:DEMO"]
pipeline = "comment-sentiment"
dedupe = { by = "json:/order/id" }
"""
    gateway = start(redis_url, config=config)
    bodies = [json.dumps({"order": {"id": 7}, "attempt": number}).encode() for number in range(2)]
    first, again = (gateway.post("demo", body, signed_headers(body, event_id=free_id())) for body in bodies)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["event_id"] == again.json()["event_id"]
