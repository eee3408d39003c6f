"""A result reaches people through a real n8n: once, and only if it is signed and fresh."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from n8n.place import HEADERS, KEY, PROVIDER, TRACE, new_id, result
from stack import until

PATHS = ["hookmill", "hookmill-data-table"]
each_variant = pytest.mark.parametrize("path", PATHS)


def event() -> str:
    return "evt_" + secrets.token_hex(13).upper()


@each_variant
def test_a_result_is_told_in_the_chat_with_its_trace(place, path):
    one = event()
    answer = place.deliver(result(one, reason="Grüße, 日本"), path=path)
    assert (answer.status_code, answer.json()) == (200, {"status": "notified"})
    [said] = [said for said in place.chat.said if one in said.text]
    assert (said.channel, said.text) == ("team", f"comment-sentiment of blog: Grüße, 日本\n{one}")
    assert said.headers["traceparent"].split("-")[1] == TRACE.split("-")[1]


@each_variant
def test_a_repeated_delivery_is_told_once(place, path):
    one, delivery = event(), new_id()
    answers = [place.deliver(result(one), path=path, delivery=delivery) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[2].json() == {"status": "known"}
    assert len(place.chat.texts(one)) == 1


BAD = {
    "tampered": {"sent": b'{"type":"hookmill.result","event_id":"EVENT","pipeline":"p","source":"s","result":{}}'},
    "another byte": {"sent": b"BODY "},
    "stale": {"age": 400},
    "from the future": {"age": -400},
    "another key": {"key": "not-the-key-not-the-key-not-the-"},
    "no signature": {"signature": ""},
    "only the version": {"signature": "v1,"},
    "another version": {"signature": "v1a{}"},
    "undefined": {"signature": "v1,undefined"},
}


@each_variant
@pytest.mark.parametrize("how", BAD)
def test_what_is_not_signed_or_not_fresh_does_nothing(place, path, how):
    one = event()
    body = json.dumps(result(one)).encode()
    bad = dict(BAD[how])
    if "sent" in bad:
        bad["sent"] = bad["sent"].replace(b"EVENT", one.encode()).replace(b"BODY", body)
    answer = place.deliver(body, path=path, **bad)
    assert (answer.status_code, place.chat.texts(one)) == (401, []), answer.text


@each_variant
def test_a_time_that_is_none_does_nothing(place, path):
    for at in ("", "NaN", "now", "Infinity"):
        one, delivery = event(), new_id()
        raw = json.dumps(result(one)).encode()
        mac = base64.b64encode(hmac.digest(KEY.encode(), f"{delivery}.{at}.".encode() + raw, hashlib.sha256)).decode()
        headers = HEADERS | {"webhook-id": delivery, "webhook-timestamp": at, "webhook-signature": f"v1,{mac}"}
        answer = place.client.post(f"/webhook/{path}", content=raw, headers=headers)
        assert (answer.status_code, place.chat.texts(one)) == (401, [])


@each_variant
def test_who_does_not_know_the_header_starts_nothing(place, path):
    one = event()
    answer = place.deliver(result(one), path=path, headers={"X-Hookmill-Token": "guessed"})
    assert (answer.status_code, place.chat.texts(one)) == (403, [])


@each_variant
def test_one_of_several_signatures_is_enough_while_secrets_rotate(place, path):
    one = event()
    answer = place.deliver(result(one), path=path, signature="v1,bm90IHRoaXMgb25l {}")
    assert (answer.status_code, len(place.chat.texts(one))) == (200, 1)


@each_variant
def test_thirty_copies_at_once_are_told_once(place, path):
    one, delivery = event(), new_id()
    with ThreadPoolExecutor(30) as pool:
        sent = [pool.submit(place.deliver, result(one), path=path, delivery=delivery) for _ in range(30)]
    statuses = Counter(answer.result().status_code for answer in sent)
    assert set(statuses) <= {200, 503}, statuses
    assert statuses[200] >= 1
    assert len(place.chat.texts(one)) == 1
    assert until(lambda: place.deliver(result(one), path=path, delivery=delivery).status_code == 200, every=2)
    assert len(place.chat.texts(one)) == 1


@each_variant
def test_what_could_not_be_told_is_told_at_the_next_try(place, path):
    one, delivery = event(), new_id()
    place.chat.status = 500
    failed = place.deliver(result(one), path=path, delivery=delivery)
    assert (failed.status_code, failed.json()) == (503, {"error": "nobody could be told"})
    place.chat.status = 200
    assert place.deliver(result(one), path=path, delivery=delivery).status_code == 200
    assert len(place.chat.texts(one)) == 1


@each_variant
def test_a_second_try_while_the_first_is_under_way_is_told_to_wait(place, path):
    one, delivery = event(), new_id()
    place.chat.delay = 8
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(place.deliver, result(one), path=path, delivery=delivery) for _ in range(2)]
    first, second = sorted((answer.result() for answer in sent), key=lambda answer: answer.status_code)
    assert (first.status_code, second.status_code) == (200, 503)
    assert second.headers["retry-after"] == "20"
    assert place.deliver(result(one), path=path, delivery=delivery).json() == {"status": "known"}
    assert len(place.chat.texts(one)) == 1


@each_variant
def test_an_urgent_result_goes_to_the_urgent_channel_alone(place, path):
    one = event()
    assert place.deliver(result(one, urgency="high"), path=path).status_code == 200
    assert len(place.chat.texts(one, channel="urgent")) == len(place.chat.texts(one)) == 1
    other = event()
    assert place.deliver(result(other, urgency="HIGH"), path=path).status_code == 200
    assert place.chat.texts(other, channel="urgent") == []


@each_variant
def test_a_pipeline_goes_by_mail(place, path):
    one = event()
    assert place.deliver(result(one, pipeline="letters", urgency="high"), path=path).status_code == 200
    [mail] = [mail for mail in place.mail.mails if one in mail.get_payload()]
    assert (mail["to"], mail["from"]) == ("team@example.com", "hookmill@example.com")
    assert mail["subject"] == "URGENT: letters of blog"
    assert place.chat.texts(one) == []


@each_variant
def test_a_pipeline_goes_to_a_receiver_of_json_with_its_id(place, path):
    one = event()
    body = result(one, pipeline="contracts")
    assert place.deliver(body, path=path).status_code == 200
    [said] = [said for said in place.chat.said if one in said.text]
    assert (said.channel, said.body) == ("generic", body)
    assert said.headers["idempotency-key"] == body["id"]
    assert said.headers["authorization"] == PROVIDER
    for near in ("contract", "invoices,contracts", ""):
        other = event()
        assert place.deliver(result(other, pipeline=near), path=path).status_code == 200
        assert len(place.chat.texts(other, channel="team")) == 1


@each_variant
def test_what_a_stranger_wrote_mentions_nobody_in_the_chat(place, path):
    one = event()
    assert place.deliver(result(one, reason="<!channel> & <http://evil|here>"), path=path).status_code == 200
    [text] = place.chat.texts(one)
    assert "&lt;!channel&gt; &amp; &lt;http://evil|here&gt;" in text


def test_without_redis_nothing_is_told_twice_nor_lost(place):
    one, delivery = event(), new_id()
    place.redis.stop()
    try:
        answer = place.deliver(result(one), delivery=delivery, timeout=90)
    finally:
        place.redis.start()
    assert (answer.status_code, place.chat.texts(one)) != (200, []), answer.text
    assert answer.status_code >= 500
    until(lambda: place.deliver(result(one), delivery=delivery).status_code == 200, within=60, every=2)
    assert len(place.chat.texts(one)) == 1
