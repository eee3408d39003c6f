from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.sender import (
    BEARER,
    BODY,
    GITHUB,
    MOMENT,
    NOW,
    OTHER,
    PLAIN,
    SECRET,
    STANDARD,
    STRIPE,
    altered,
    judge,
    sent,
    signed_by_hand,
    without,
)

from gateway.errors import EventIdInvalid, SignatureInvalid
from gateway.verify import template


class TestIds:
    @pytest.mark.parametrize(
        "event_id",
        [
            b"",
            b"a.b",
            b"a b",
            b"{tag}",
            b"*",
            b"x" * 129,
            b"\xff",
            "é".encode(),
            b"a\x00",
            b"a\n",
            b"a\r\nb",
            b"\x7f",
            b"\t",
        ],
    )
    def test_id_that_could_be_taken_for_syntax_is_refused_even_if_signed(self, event_id):
        with pytest.raises(EventIdInvalid):
            judge(STANDARD, signed_by_hand(event_id, MOMENT))

    @pytest.mark.parametrize("event_id", [b"a", b"x" * 128, b"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", b"a:b/c@d+e=f~g-h"])
    def test_usual_id_is_the_dedupe_id(self, event_id):
        assert judge(STANDARD, signed_by_hand(event_id, MOMENT)).dedupe_id == event_id.decode()

    def test_id_is_judged_after_the_signature(self):
        with pytest.raises(SignatureInvalid):
            judge(STANDARD, signed_by_hand(b"a.b", MOMENT, secret=OTHER))

    def test_missing_signed_id_is_named(self):
        with pytest.raises(EventIdInvalid, match="webhook-id"):
            judge(STANDARD, without(sent(STANDARD), b"webhook-id"))

    def test_id_must_not_contain_the_literal_that_ends_it(self):
        for signed in ("{id}:{timestamp}{body}", "{body}:{id}", "{timestamp}{body}a:{id}"):
            timed = "{timestamp}" in signed
            scheme = template(header="s", signed=signed, event_id="header:i", timestamp_header="t" if timed else "")
            judge(scheme, sent(scheme, event_id="plain"))
            with pytest.raises(ValueError, match="event_id"):
                sent(scheme, event_id="a:b")

    def test_literal_at_the_start_restricts_no_id(self):
        scheme = template(header="s", signed="v0:{id}.{body}", event_id="header:i")
        assert judge(scheme, sent(scheme, event_id="v0:0")).dedupe_id == "v0:0"

    def test_of_a_literal_only_the_character_beside_the_id_ends_it(self):
        scheme = template(header="s", signed="{id}:ab{body}", event_id="header:i")
        assert judge(scheme, sent(scheme, event_id="ab")).dedupe_id == "ab"

    def test_pointer_may_have_a_colon(self):
        scheme = template(header="s", event_id="json:/a:b")
        body = b'{"a:b": "7"}'
        assert judge(scheme, sent(scheme, body), body).dedupe_id == "7"

    def test_github_delivery_is_the_dedupe_id_and_may_be_absent(self):
        headers = sent(GITHUB, event_id="72d3162e-cc78-11e3")
        assert judge(GITHUB, headers).dedupe_id == "72d3162e-cc78-11e3"
        assert judge(GITHUB, without(headers, b"X-GitHub-Delivery")).dedupe_id is None

    @pytest.mark.parametrize("event_id", [b"", b"\xff", b"x" * 129, b"a\x00b"])
    def test_bad_unsigned_id_is_refused_and_not_ignored(self, event_id):
        with pytest.raises(EventIdInvalid):
            judge(GITHUB, altered(sent(GITHUB), b"X-GitHub-Delivery", event_id))

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b'{"id": "evt_1"}', "evt_1"),
            (b'{"id": 820982911946154508}', "820982911946154508"),
            (b'{"id": null}', None),
            (b'{"other": 1}', None),
            (b'["evt_1"]', None),
            (b"id=evt_1", None),
            (b"", None),
            (b"\xff\xfe{\x00}\x00", None),
            (b"[" * 100_000, None),
            (b'{"id": ' + b"9" * 5000 + b"}", None),
        ],
    )
    def test_id_in_the_body_is_read_where_there_is_one(self, body, expected):
        assert judge(STRIPE, sent(STRIPE, body), body).dedupe_id == expected

    @pytest.mark.parametrize("value", ["", "é", "x" * 129, True, 1.5, [], {}, "a\nb", "\ud800", 10**300])
    def test_id_in_the_body_that_is_no_id_is_refused(self, value):
        body = json.dumps({"id": value}).encode()
        with pytest.raises(EventIdInvalid):
            judge(STRIPE, sent(STRIPE, body), body)

    @pytest.mark.parametrize(
        ("pointer", "expected"),
        [("/a/b", "1"), ("/list/1", "2"), ("/list/01", None), ("/list/9", None), ("/list/-", None), ("/x~1y", "3"),
         ("/m~0n", "4"), ("/a/b/c", None), ("/~01", "5"), ("/", "6")],
    )  # fmt: skip
    def test_pointers_follow_rfc_6901(self, pointer, expected):
        body = json.dumps({"a": {"b": 1}, "list": [1, 2], "x/y": 3, "m~n": 4, "~1": 5, "": 6}).encode()
        scheme = replace(GITHUB, dedupe=f"json:{pointer}")
        assert judge(scheme, sent(scheme, body), body).dedupe_id == expected

    def test_source_may_take_its_dedupe_id_elsewhere(self):
        scheme = replace(STANDARD, dedupe="json:/id")
        assert judge(scheme, sent(scheme)).dedupe_id == "evt_1"
        scheme = replace(STRIPE, dedupe="header:Idempotency-Key")
        assert judge(scheme, [*sent(STRIPE), (b"idempotency-key", b"k")]).dedupe_id == "k"


class TestNonce:
    def test_nonce_is_the_hash_of_the_mac_that_we_computed(self):
        expected = hashlib.sha256(hmac.digest(SECRET, BODY, "sha256")).hexdigest()
        assert judge(GITHUB, sent(GITHUB)).nonce == expected

    def test_altered_unsigned_headers_do_not_change_the_nonce(self):
        first, second = sent(GITHUB, event_id="one"), sent(GITHUB, event_id="two")
        second = altered(second, b"X-Hub-Signature-256", b"sha256=" + dict(second)[b"X-Hub-Signature-256"][7:].upper())
        assert judge(GITHUB, first).nonce == judge(GITHUB, second).nonce

    def test_another_time_or_id_or_body_is_another_nonce(self):
        nonces = {
            judge(STANDARD, sent(STANDARD, body, now=now, event_id=event_id), body).nonce
            for body in (BODY, b"{}")
            for now in (NOW, NOW + timedelta(seconds=1))
            for event_id in ("a", "b")
        }
        assert len(nonces) == 8

    def test_nonce_of_a_token_is_over_the_body(self):
        assert judge(BEARER, sent(BEARER)).nonce == hashlib.sha256(BODY).hexdigest()

    def test_scheme_tells_whether_equal_bodies_share_a_nonce(self):
        assert {name: judge(s, sent(s)).covers_time for name, s in PLAIN.items()} == {
            name: "{timestamp}" in s.signed for name, s in PLAIN.items()
        }
