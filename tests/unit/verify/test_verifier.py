from __future__ import annotations

import hmac
import json
from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from fakes.sender import (
    BEARER,
    BODY,
    MILLIS,
    NOW,
    OTHER,
    SECRET,
    SLACK,
    STANDARD,
    STRIPE,
    judge,
    sent,
    signed_by_hand,
    without,
)

from gateway.errors import SignatureInvalid, SignatureMalformed, TimestampMalformed, TimestampOutOfTolerance
from gateway.verify import verify_dummy


class TestTime:
    @pytest.mark.parametrize("scheme", [STANDARD, STRIPE, SLACK, MILLIS], ids=lambda scheme: scheme.name)
    @pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
    def test_clock_within_tolerance_is_accepted(self, scheme, seconds):
        judge(scheme, sent(scheme, now=NOW + timedelta(seconds=seconds)))

    @pytest.mark.parametrize("scheme", [STANDARD, STRIPE, SLACK, MILLIS], ids=lambda scheme: scheme.name)
    @pytest.mark.parametrize("seconds", [-10 * 365 * 86400, -301, 301, 10 * 365 * 86400])
    def test_clock_out_of_tolerance_is_rejected_on_both_sides(self, scheme, seconds):
        with pytest.raises(TimestampOutOfTolerance):
            judge(scheme, sent(scheme, now=NOW + timedelta(seconds=seconds)))

    def test_tolerance_of_the_source_replaces_the_schemes(self):
        late = sent(STANDARD, now=NOW - timedelta(seconds=20))
        judge(STANDARD, late, tolerance=timedelta(seconds=20))
        with pytest.raises(TimestampOutOfTolerance):
            judge(STANDARD, late, tolerance=timedelta(seconds=19))

    def test_tolerance_of_zero_does_not_switch_the_check_off(self):
        judge(STANDARD, sent(STANDARD), tolerance=timedelta(0))
        with pytest.raises(TimestampOutOfTolerance):
            judge(STANDARD, sent(STANDARD, now=NOW - timedelta(seconds=1)), tolerance=timedelta(0))

    def test_millisecond_unit_does_not_take_seconds_nor_the_reverse(self):
        seconds = replace(MILLIS, timestamp_unit="s")
        with pytest.raises(TimestampMalformed):
            judge(MILLIS, sent(seconds))
        with pytest.raises(TimestampMalformed):
            judge(seconds, sent(MILLIS))

    def test_clock_of_another_timezone_is_the_same_instant(self):
        judge(STANDARD, sent(STANDARD, now=NOW.astimezone(timezone(timedelta(hours=9)))))

    @pytest.mark.parametrize(
        "literal",
        [b"nan", b"inf", b"1_700_000_000", b"+1700000000", b"-1700000000", b"1e9", b" 1700000000", b"1700000000\n",
         b"1700000000.0", b"170000000", b"17000000000", b"", b"0x65540000", b"9" * 400, b"\xb2700000000",
         b"\xa01700000000", "\N{FULLWIDTH DIGIT ONE}700000000".encode()],
    )  # fmt: skip
    def test_timestamp_that_is_not_ten_digits_is_malformed_even_if_signed(self, literal):
        with pytest.raises(TimestampMalformed):
            judge(STANDARD, signed_by_hand(b"msg_1", literal))

    def test_stale_clock_is_told_only_to_who_has_the_secret(self):
        stale = sent(STANDARD, secret=OTHER, now=NOW - timedelta(days=1))
        with pytest.raises(SignatureInvalid):
            judge(STANDARD, stale)

    def test_missing_timestamp_header_is_named(self):
        with pytest.raises(TimestampMalformed, match="webhook-timestamp"):
            judge(STANDARD, without(sent(STANDARD), b"webhook-timestamp"))

    @pytest.mark.parametrize("extra", [b",t=1700000000", b""])
    def test_stripe_needs_its_time_once(self, extra):
        headers = sent(STRIPE)
        value = headers[0][1] + extra if extra else headers[0][1].split(b",")[1]
        with pytest.raises(SignatureMalformed):
            judge(STRIPE, [(b"Stripe-Signature", value)])


class TestHandshake:
    BODY = json.dumps({"type": "url_verification", "token": "t", "challenge": "3eZbrw1aBm2rZgRNFdxV"}).encode()

    def test_signed_handshake_is_answered_and_has_no_id(self):
        verified = judge(SLACK, sent(SLACK, self.BODY), self.BODY)
        assert verified.dedupe_id is None
        assert verified.challenge is not None
        assert verified.challenge.body == b"3eZbrw1aBm2rZgRNFdxV"
        assert (verified.challenge.status, verified.challenge.media_type) == (200, "text/plain")

    def test_unsigned_handshake_gets_no_answer(self):
        with pytest.raises(SignatureInvalid):
            judge(SLACK, sent(SLACK, self.BODY, secret=OTHER), self.BODY)

    def test_stale_handshake_gets_no_answer(self):
        with pytest.raises(TimestampOutOfTolerance):
            judge(SLACK, sent(SLACK, self.BODY, now=NOW - timedelta(hours=1)), self.BODY)

    @pytest.mark.parametrize("challenge", [None, 1, "", "x" * 1025, "é", "\ud800", "a\r\nb", ["x"]])
    def test_challenge_that_is_no_short_text_is_not_echoed(self, challenge):
        body = json.dumps({"type": "url_verification", "challenge": challenge}).encode()
        assert judge(SLACK, sent(SLACK, body), body).challenge is None

    def test_other_events_are_no_handshake(self):
        verified = judge(SLACK, sent(SLACK))
        assert (verified.challenge, verified.dedupe_id) == (None, "Ev1")

    def test_other_schemes_do_not_echo(self):
        assert judge(STANDARD, sent(STANDARD, self.BODY), self.BODY).challenge is None


class TestBearer:
    @pytest.mark.parametrize("scheme_word", [b"Bearer", b"bearer", b"BEARER"])
    def test_right_token_is_accepted_however_bearer_is_written(self, scheme_word):
        judge(BEARER, [(b"authorization", scheme_word + b" " + SECRET)])

    @pytest.mark.parametrize(
        "token", [b"", b"x", SECRET[:-1], SECRET + b"x", b" " + SECRET, SECRET.lower(), SECRET + b"\x00"]
    )
    def test_any_other_token_is_invalid(self, token):
        with pytest.raises(SignatureInvalid):
            judge(BEARER, [(b"authorization", b"Bearer " + token)])

    @pytest.mark.parametrize("value", [b"Basic " + SECRET, SECRET, b"Bearer", b"Bearer\t" + SECRET])
    def test_another_authorization_is_malformed(self, value):
        with pytest.raises(SignatureMalformed):
            judge(BEARER, [(b"authorization", value)])


class TestUnknownSource:
    @pytest.mark.parametrize("body", [b"", BODY, b"\xff" * 1000])
    def test_unknown_source_is_rejected_as_a_wrong_signature_is(self, body):
        with pytest.raises(SignatureInvalid) as unknown:
            verify_dummy(body)
        with pytest.raises(SignatureInvalid) as wrong:
            judge(STANDARD, sent(STANDARD, body, secret=OTHER), body)
        assert (unknown.value.code, unknown.value.detail) == (wrong.value.code, wrong.value.detail)

    def test_unknown_source_costs_a_mac_over_the_body(self, monkeypatch):
        hashed = []
        real = hmac.digest
        monkeypatch.setattr(
            "gateway.verify.verifier.hmac.digest",
            lambda key, signed, name: hashed.append((len(signed) > len(BODY), name)) or real(key, signed, name),
        )
        with pytest.raises(SignatureInvalid):
            verify_dummy(BODY)
        assert hashed == [(True, "sha256")]


def test_nothing_secret_stands_in_a_repr():
    verified = judge(SLACK, sent(SLACK, TestHandshake.BODY), TestHandshake.BODY)
    assert "3eZbrw1" not in repr(verified)
    assert SECRET.decode() not in repr(STANDARD)
