from __future__ import annotations

import json

import httpx
import pytest

from gateway.cli.faults import Fault
from gateway.cli.send import Answer, answer_of, gateway_url, line, running_gateway, with_media_type


def test_an_accepted_event_says_how_to_see_more():
    answer = Answer(status=202, body={"event_id": "evt_1", "state": "queued", "duplicate": False})
    assert line(answer) == "202 queued evt_1  hookmill events show evt_1"


def test_a_duplicate_is_called_one():
    answer = Answer(status=200, body={"event_id": "evt_1", "state": "done", "duplicate": True})
    assert line(answer).startswith("200 duplicate, done evt_1")


def test_a_refusal_shows_its_code_and_when_to_come_again():
    answer = Answer(status=429, body={"code": "rate_limited", "detail": "Too many."}, retry_after="3")
    assert not answer.accepted
    assert line(answer) == "429 rate_limited: Too many.; try again in 3 s"


def test_an_answer_that_is_not_ours_is_still_an_answer():
    assert answer_of(httpx.Response(502, text="<html>")) == Answer(status=502)
    assert answer_of(httpx.Response(200, json=["x"])) == Answer(status=200)


def test_the_running_gateway_is_found(tmp_path):
    state = tmp_path / "up.json"
    assert running_gateway(state) is None
    state.write_text(json.dumps({"url": "http://127.0.0.1:9999/"}))
    assert running_gateway(state) == "http://127.0.0.1:9999"
    state.write_text("[]")
    assert running_gateway(state) is None


def test_a_url_must_be_http():
    assert gateway_url("http://x:1/") == "http://x:1"
    with pytest.raises(Fault, match="--url"):
        gateway_url("ftp://x")


def test_the_media_type_is_added_once():
    assert with_media_type([("Content-Type", "text/plain")]) == [("Content-Type", "text/plain")]
    assert with_media_type([("a", "b")]) == [("a", "b"), ("content-type", "application/json")]
