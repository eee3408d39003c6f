"""Reading an event, and the probes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from served import TOKEN, link, put_token, signed_headers

from gateway.ledger import Ended, Way


@pytest.fixture
def event_id(gateway):
    return gateway.post("demo", headers=signed_headers()).json()["event_id"]


def test_a_signed_link_shows_the_event(gateway, event_id):
    response = gateway.get(link(event_id))
    assert response.status_code == 200
    assert response.json() == gateway.ledger(lambda ledger: ledger.show(event_id)).json()
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_token_with_the_read_scope_shows_the_event(gateway, event_id):
    put_token(gateway)
    response = gateway.get(f"/events/{event_id}", headers={"authorization": f"Bearer {TOKEN}"})
    assert (response.status_code, response.json()["id"]) == (200, event_id)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda event_id: f"/events/{event_id}",
        lambda event_id: link(event_id, valid=-1),
        lambda event_id: link(event_id, key="another"),
        lambda event_id: link("evt_0").replace("evt_0", event_id),
        lambda event_id: link(event_id).replace("expires=", "expires=9"),
        lambda event_id: link(event_id).replace("expires=", "expires=%D9%A1"),
        lambda event_id: link(event_id)[:-1],
        lambda event_id: link(event_id) + "%FF",
    ],
)
def test_without_a_valid_link_or_token_nobody_learns_anything(gateway, event_id, spoil):
    known, unknown = gateway.get(spoil(event_id)), gateway.get(spoil("evt_00000000000000000000000000"))
    assert (known.status_code, known.json()["code"]) == (401, "unauthorized")
    assert known.content == unknown.content
    assert known.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer hm_unknown", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer hm_\xff"])
def test_another_authorization_is_refused(gateway, event_id, header):
    put_token(gateway)
    response = gateway.get(f"/events/{event_id}", headers={"authorization": header.encode("latin-1")})
    assert response.status_code == 401


def test_a_token_without_the_read_scope_or_past_its_end_is_refused(gateway, event_id):
    headers = {"authorization": f"Bearer {TOKEN}"}
    put_token(gateway, scopes=("admin",))
    assert gateway.get(f"/events/{event_id}", headers=headers).status_code == 401
    put_token(gateway, expires=datetime.now(UTC) - timedelta(seconds=1))
    assert gateway.get(f"/events/{event_id}", headers=headers).status_code == 401


BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_a_browser_gets_a_page_and_every_other_program_json(gateway, event_id):
    page, other = gateway.get(link(event_id), headers=BROWSER), gateway.get(link(event_id))
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert f"<title>Queued: {event_id}</title>" in page.text
    assert other.headers["content-type"] == "application/json"
    assert page.headers["vary"] == other.headers["vary"] == "Accept"


def test_a_browser_without_a_valid_link_learns_nothing_either(gateway, event_id):
    refused = gateway.get(link(event_id, valid=-1), headers=BROWSER)
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    assert refused.content == gateway.get(f"/events/{event_id}").content


@pytest.mark.parametrize("headers", [BROWSER, {}])
def test_a_result_with_half_a_character_is_shown(gateway, event_id, headers):
    work = gateway.ledger(lambda ledger: ledger.begin(event_id, fence="f")).work
    gateway.ledger(lambda ledger: ledger.finish(work, "done", result=b'{"text": "\\ud83d"}'))
    shown = gateway.get(link(event_id), headers=headers)
    assert (shown.status_code, "\\ud83d" in shown.text) == (200, True)


def test_only_the_authorised_learn_that_an_event_does_not_exist(gateway):
    response = gateway.get(link("evt_00000000000000000000000000"))
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_the_probes_answer(gateway):
    assert gateway.get("/live").json() == {"status": "live"}
    ready = gateway.get("/ready")
    assert (ready.status_code, ready.json()["status"], ready.json()["redis"]) == (200, "ready", "ok")
    assert ready.json().keys() == {"status", "redis", "clock_skew_s"}


def test_models_are_told_to_holders_of_a_token_and_readiness_says_nothing_of_them(gateway):
    put_token(gateway)

    async def limited(ledger):
        way, rest = Way(name="gpt", pool="gpt"), timedelta(seconds=30)
        await ledger.slots.acquire(way, token="a", lease=rest)
        await ledger.slots.release(way, token="a", ended=Ended(outcome="limited", rest=rest))

    gateway.ledger(limited)
    ready = gateway.get("/ready")
    assert (ready.status_code, "gpt" in ready.text) == (200, False)
    [model] = gateway.admin("GET", "/models").json()["models"]
    assert (model["name"], model["in_flight"], model["opened"]) == ("gpt", 0, 0)
    assert 0 < model["rests_for"] <= 30
    assert model["left_alone"].startswith("its provider has had enough; asked again in ")


@pytest.mark.parametrize("path", ["/", "/hooks", "/hooks/", "/hooks/demo/", "/events/", "/metrics", "/docs", "/admin"])
def test_there_is_no_other_route(gateway, path):
    response = gateway.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert response.headers["content-type"] == "application/problem+json"
