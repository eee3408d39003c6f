"""Listing events: for holders of a token only, with filters, page by page."""

from __future__ import annotations

import json

import pytest
from served import SECRETS, TOKEN, free_id, link, put_token, signed_headers

AUTH = {"authorization": f"Bearer {TOKEN}"}


def send(gateway, count, *, source="demo", secret=SECRETS["demo"]):
    """Post that many events, and give their ids, newest first."""
    bodies = [json.dumps({"n": free_id()}).encode() for _ in range(count)]
    sent = [gateway.post(source, body, signed_headers(body, secret=secret)).json()["event_id"] for body in bodies]
    return sent[::-1]


def listed(gateway, query=""):
    response = gateway.get(f"/events{query}", headers=AUTH)
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()["events"]], response.json()["cursor"]


@pytest.fixture(autouse=True)
def _token(gateway):
    put_token(gateway)


def test_events_are_listed_newest_first_and_in_brief(gateway):
    ids = send(gateway, 3)
    assert listed(gateway) == (ids, None)
    response = gateway.get("/events", headers=AUTH)
    assert response.headers["cache-control"] == "no-store"
    event = response.json()["events"][0]
    assert (event["source"], event["state"]) == ("demo", "queued")
    assert event.keys().isdisjoint({"result", "steps", "deliveries"})


def test_events_that_were_sent_again_can_be_listed_with_how_often(gateway):
    headers = signed_headers()
    event_id = gateway.post("demo", headers=headers).json()["event_id"]
    send(gateway, 1)
    assert [gateway.post("demo", headers=headers).status_code for _ in range(2)] == [200, 200]
    assert listed(gateway, "?repeated=true") == ([event_id], None)
    assert len(listed(gateway, "?repeated=false")[0]) == 2
    assert gateway.get("/events?repeated=1", headers=AUTH).json()["code"] == "parameter_invalid"
    view = gateway.get(f"/events/{event_id}", headers=AUTH).json()
    assert view["repeats"] == 2
    assert view["repeated_at"] >= view["received_at"]


def test_pages_join_without_a_gap_while_events_arrive(gateway):
    ids = send(gateway, 7)
    first, cursor = listed(gateway, "?limit=3")
    send(gateway, 2)
    second, cursor = listed(gateway, f"?limit=3&cursor={cursor}")
    third, end = listed(gateway, f"?limit=3&cursor={cursor}")
    assert (first + second + third, end) == (ids, None)


def test_a_cursor_holds_when_its_event_is_gone(gateway):
    ids = send(gateway, 4)
    _, cursor = listed(gateway, "?limit=2")

    async def forget(ledger):
        from gateway.ledger.keys import key

        await ledger.redis.zrem(key("index"), cursor)

    gateway.ledger(forget)
    assert listed(gateway, f"?cursor={cursor}") == (ids[2:], None)


def test_events_are_filtered_by_source_and_state(gateway):
    demo = send(gateway, 2)
    other = send(gateway, 2, source="other", secret=SECRETS["other"])
    work = gateway.ledger(lambda ledger: ledger.begin(demo[0], fence="f")).work
    gateway.ledger(lambda ledger: ledger.finish(work, "done"))
    assert listed(gateway, "?source=other")[0] == other
    assert listed(gateway, "?state=done")[0] == [demo[0]]
    assert listed(gateway, "?state=queued&source=demo")[0] == [demo[1]]
    assert listed(gateway, "?source=nobody") == ([], None)


@pytest.mark.parametrize(
    "query",
    [
        "?state=Done", "?state=", "?limit=0", "?limit=201", "?limit=x", "?limit=%D9%A1", "?cursor=dlv_1", "?cursor=",
        "?source=a%20b", "?limit=1&limit=2", "?colour=red", "?cursor=evt_" + "Z" * 26,
    ],
)  # fmt: skip
def test_a_parameter_that_is_not_understood_is_refused(gateway, query):
    refused = gateway.get(f"/events{query}", headers=AUTH)
    assert (refused.status_code, refused.json()["code"]) == (400, "parameter_invalid")


def test_only_a_token_lists_events(gateway):
    (event_id,) = send(gateway, 1)
    assert gateway.get("/events").status_code == 401
    assert gateway.get(link(event_id).replace(f"/{event_id}", "")).status_code == 401
    assert gateway.get("/events", headers={"authorization": "Bearer hm_unknown"}).status_code == 401
