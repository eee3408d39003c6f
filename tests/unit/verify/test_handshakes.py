"""Handshakes: answered as each provider wants, never with more than was asked, and by nobody else."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.sender import NOW, sent
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import SignatureInvalid
from gateway.verify import SCHEMES, Challenge, Dated, Handshake, handshake, verify

SECRET = b"a secret"
NOSNIFF = ("X-Content-Type-Options", "nosniff")


def ask(name, *, method="GET", query="", headers=(), secrets=(SECRET,), verify_token=None):
    return handshake(
        SCHEMES[name], secrets, method=method, query=query, headers=headers, now=NOW, verify_token=verify_token
    )


class TestMeta:
    QUERY = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meaty%20hock"

    def test_challenge_is_echoed_to_who_knows_the_token(self):
        answer = ask("meta", query=self.QUERY, verify_token=b"meaty hock")
        assert answer == Challenge(body=b"1158201444")

    @pytest.mark.parametrize("token", [None, b"", b"meaty", SECRET])
    def test_nobody_else_is_answered(self, token):
        assert ask("meta", query=self.QUERY, verify_token=token) is None

    @pytest.mark.parametrize(
        "query",
        [
            QUERY.replace("subscribe", "unsubscribe"),
            QUERY + "&hub.verify_token=meaty%20hock",
            QUERY + "&hub.challenge=2",
            QUERY + "&hub.challenge=",
            QUERY.replace("1158201444", ""),
            QUERY.replace("1158201444", "%0d%0a"),
            QUERY.replace("1158201444", "x" * 1025),
            QUERY + "&a=1" * 60,
            QUERY + "&a=%ff",
            "",
        ],
    )
    def test_question_of_another_form_is_none(self, query):
        assert ask("meta", query=query, verify_token=b"meaty hock") is None

    def test_only_get_asks(self):
        assert ask("meta", method="POST", query=self.QUERY, verify_token=b"meaty hock") is None


class TestX:
    def test_token_is_signed(self):
        answer = ask("x", query="crc_token=abc")
        expected = "sha256=" + base64.b64encode(hmac.digest(SECRET, b"abc", "sha256")).decode()
        assert (json.loads(answer.body), answer.media_type) == ({"response_token": expected}, "application/json")

    @pytest.mark.parametrize(
        "token", ["%7B%7D", "%22a%22", "a%20b", "[]", "x" * 129, "", "1.5", "123", "-1", "1e9", "true", "null", "NaN"]
    )
    def test_nothing_that_could_be_an_event_is_signed(self, token):
        assert ask("x", query=f"crc_token={token}") is None

    def test_secret_that_ended_signs_nothing(self):
        old = Dated(value=b"old", not_after=NOW - timedelta(seconds=1))
        assert ask("x", query="crc_token=abc", secrets=(old, SECRET)) == ask("x", query="crc_token=abc")
        assert ask("x", query="crc_token=abc", secrets=(old,)) is None


def test_dropbox_is_echoed_as_text_that_is_never_taken_for_a_page():
    answer = ask("dropbox", query="challenge=%3Cscript%3E")
    assert (answer.body, answer.media_type, answer.headers) == (b"<script>", "text/plain", (NOSNIFF,))


def test_text_is_echoed_byte_for_byte():
    assert ask("dropbox", query="challenge=a%22b%5Cc").body == b'a"b\\c'


def test_name_in_a_place_may_have_a_colon():
    scheme = replace(SCHEMES["dropbox"], handshake=Handshake(challenge="query:a:b", method="GET"))
    answer = handshake(scheme, (SECRET,), method="GET", query="a%3Ab=1&b=2", headers=(), now=NOW)
    assert answer == Challenge(body=b"1")


def test_okta_asks_by_a_header():
    answer = ask("okta", headers=[(b"x-okta-verification-challenge", b'a"b\\c{mac}')])
    assert json.loads(answer.body) == {"verification": 'a"b\\c{mac}'}


def test_microsoft_graph_asks_by_post():
    answer = ask("microsoft-graph", method="POST", query="validationToken=Validation%3a+Testing+client")
    assert (answer.status, answer.media_type, answer.body) == (200, "text/plain", b"Validation: Testing client")


def test_asana_gets_its_header_back():
    answer = ask("asana", method="POST", headers=[(b"X-Hook-Secret", b"b537207f")])
    assert (answer.status, answer.body, answer.headers) == (200, b"", (NOSNIFF, ("X-Hook-Secret", "b537207f")))
    for value in (b"a\r\nb", b"\xff", b"", b"x" * 1025):
        assert ask("asana", method="POST", headers=[(b"X-Hook-Secret", value)]) is None
    assert ask("asana", method="POST", headers=[(b"X-Hook-Secret", b"a"), (b"x-hook-secret", b"b")]) is None


def signed(name, body, *, secret=SECRET):
    scheme = SCHEMES[name]
    headers = sent(scheme, body, secret=secret)
    return verify(scheme, [SECRET], headers, body, now=NOW).challenge


def test_zoom_gets_its_token_signed():
    body = json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": "q9ibPhGeRZ6ayx5W"}}).encode()
    answer = signed("zoom", body)
    expected = {
        "plainToken": "q9ibPhGeRZ6ayx5W",
        "encryptedToken": hmac.digest(SECRET, b"q9ibPhGeRZ6ayx5W", "sha256").hex(),
    }
    assert (json.loads(answer.body), answer.media_type) == (expected, "application/json")
    with pytest.raises(SignatureInvalid):
        signed("zoom", body, secret=b"other")
    secrets = [Dated(value=b"old", not_after=NOW - timedelta(seconds=1)), SECRET]
    verified = verify(SCHEMES["zoom"], secrets, sent(SCHEMES["zoom"], body, secret=SECRET), body, now=NOW)
    assert (verified.challenge, verified.dedupe_id, verified.covers_time) == (answer, None, True)


def test_twitch_is_known_by_the_signed_status():
    body = {"challenge": "pogchamp-kappa", "subscription": {"status": "webhook_callback_verification_pending"}}
    assert signed("twitch", json.dumps(body).encode()) == Challenge(body=b"pogchamp-kappa")
    assert signed("twitch", json.dumps(body | {"subscription": {"status": "enabled"}}).encode()) is None


@pytest.mark.parametrize("name", ["slack", "zoom", "twitch", "discord"])
def test_signed_questions_are_never_answered_unsigned(name):
    assert SCHEMES[name].handshake.signed
    assert ask(name, method="POST") is None
    assert ask(name) is None


def test_schemes_without_a_handshake_answer_none():
    quiet = [name for name, scheme in SCHEMES.items() if scheme.handshake is None]
    assert "standard" in quiet
    for name in quiet:
        assert ask(name, query="challenge=1&crc_token=1&validationToken=1&hub.challenge=1") is None


@pytest.mark.parametrize("place", ["body:/x", "json:x", "type"])
def test_place_of_another_kind_is_refused(place):
    with pytest.raises(ValueError, match=r"^handshake: expected json:/pointer"):
        Handshake(challenge=place)


texts = st.text(max_size=30) | st.sampled_from(["hub.mode=subscribe", "challenge=a", "crc_token=a%", "a=1&" * 60])


@settings(max_examples=200)
@given(
    st.sampled_from([name for name, scheme in SCHEMES.items() if scheme.handshake]),
    st.sampled_from(["GET", "POST", "get", ""]),
    texts,
    st.lists(st.tuples(st.sampled_from([b"x-hook-secret", b"X-Okta-Verification-Challenge"]), st.binary(max_size=9))),
)
def test_whatever_is_asked_the_answer_is_a_challenge_or_none(name, method, query, headers):
    secrets = (b"ab" * 32,) if name == "discord" else (SECRET,)
    answer = ask(name, method=method, query=query, headers=headers, secrets=secrets, verify_token=b"t")
    assert answer is None or (answer.status == 200 and NOSNIFF in answer.headers)
