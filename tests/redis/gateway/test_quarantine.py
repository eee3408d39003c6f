"""Signed bodies that cannot be parsed, for sources that keep them."""

from __future__ import annotations

import pytest
from served import BODY, SECRETS, signed_headers

from gateway.ledger import Ledger
from otel.records import EventAccepted

CONFIG = """
[sources.keeper]
scheme = "stripe"
secrets = ["env:PLAIN"]
pipeline = "comment-sentiment"
on_unparsable = "quarantine"
"""
UNPARSABLE = {
    b"{": "json_invalid",
    b"\xff\xfe": "json_invalid",
    b'{"a":1,"a":2}': "json_duplicate_key",
    b"[" * 65 + b"]" * 65: "json_too_deep",
    b'{"a":1e999}': "json_number_range",
}


@pytest.fixture
def keeper(start, redis_url):
    return start(redis_url, config=CONFIG)


def signed(body):
    return signed_headers(body, scheme="stripe", secret=SECRETS["plain"])


@pytest.mark.parametrize("body", UNPARSABLE)
def test_a_signed_body_that_cannot_be_parsed_is_accepted_as_a_dead_letter(keeper, body):
    response = keeper.post("keeper", body, signed(body))
    assert response.status_code == 202
    assert (response.json()["state"], response.json()["duplicate"]) == ("dead", False)
    (letter,) = keeper.ledger(Ledger.dead)
    assert (letter.id, letter.state, letter.reason) == (response.json()["event_id"], "dead", UNPARSABLE[body])
    assert isinstance(keeper.records[-1], EventAccepted)


def test_a_dead_letter_that_is_replayed_keeps_its_body(keeper):
    event_id = keeper.post("keeper", b"{broken", signed(b"{broken")).json()["event_id"]
    assert keeper.ledger(lambda ledger: ledger.replay(event_id)) == "queued"

    async def body(ledger):
        return (await ledger.begin(event_id, fence="f")).work.event.body

    assert keeper.ledger(body) == b"{broken"


def test_a_provider_that_sends_it_again_is_told_that_it_is_known(keeper):
    headers = signed(b"{broken")
    first, again = (keeper.post("keeper", b"{broken", headers) for _ in range(2))
    assert (again.status_code, again.json()) == (200, first.json() | {"duplicate": True})


def test_without_a_valid_signature_nothing_is_kept(keeper):
    refused = keeper.post("keeper", b"{broken", signed(b"{other"))
    assert (refused.status_code, keeper.stored()) == (401, {})


def test_another_media_type_is_refused_all_the_same(keeper):
    refused = keeper.post("keeper", BODY, signed(BODY) | {"content-type": "text/plain"})
    assert (refused.status_code, refused.json()["code"]) == (415, "media_type_unsupported")


def test_a_source_that_forbids_429_is_told_503(gateway):
    accepted, refused = (gateway.post("patient", BODY, signed_headers()) for _ in range(2))
    assert accepted.status_code == 202
    assert (refused.status_code, refused.json()["code"]) == (503, "rate_limited")
    assert refused.json()["status"] == 503
    assert int(refused.headers["retry-after"]) >= 50
    assert refused.headers["ratelimit"].startswith('"patient";r=0;t=')
    assert gateway.records[-1].status == 503
