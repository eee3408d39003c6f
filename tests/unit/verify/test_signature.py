from __future__ import annotations

import pytest
from fakes.sender import (
    BODY,
    GITHUB,
    MILLIS,
    MOMENT,
    OTHER,
    PLAIN,
    SECRET,
    SLACK,
    STANDARD,
    STRIPE,
    altered,
    judge,
    sent,
    signed_by_hand,
    without,
)

from gateway.errors import HeaderRepeated, Rejection, SignatureInvalid, SignatureMalformed, SignatureMissing


class TestSignature:
    @pytest.mark.parametrize("scheme", PLAIN.values(), ids=list(PLAIN))
    @pytest.mark.parametrize("value", [None, b"", b"  "])
    def test_absent_signature_is_missing(self, scheme, value):
        headers = sent(scheme)
        name = scheme.header.encode()
        with pytest.raises(SignatureMissing):
            judge(scheme, without(headers, name) if value is None else altered(headers, name, value))

    @pytest.mark.parametrize("scheme", PLAIN.values(), ids=list(PLAIN))
    def test_value_without_the_schemes_form_is_malformed(self, scheme):
        with pytest.raises(SignatureMalformed if scheme.prefix else SignatureInvalid):
            judge(scheme, altered(sent(scheme), scheme.header.encode(), b"foo"))

    @pytest.mark.parametrize("scheme", PLAIN.values(), ids=list(PLAIN))
    @pytest.mark.parametrize("junk", [b"\xff\xfe==", "é".encode(), b"\x80"])
    def test_non_ascii_signature_is_invalid(self, scheme, junk):
        with pytest.raises(SignatureInvalid):
            judge(scheme, altered(sent(scheme), scheme.header.encode(), scheme.prefix.encode() + junk))

    def test_empty_signature_after_the_prefix_is_invalid(self):
        with pytest.raises(SignatureInvalid):
            judge(STANDARD, altered(sent(STANDARD), b"webhook-signature", b"v1,"))

    @pytest.mark.parametrize("scheme", PLAIN.values(), ids=list(PLAIN))
    def test_repeated_deciding_header_is_refused(self, scheme):
        headers = sent(scheme)
        for name, value in headers:
            for twin in (value, b"v1,AAAA"):
                with pytest.raises(HeaderRepeated):
                    judge(scheme, [*headers, (name.upper(), twin)])
                with pytest.raises(HeaderRepeated):
                    judge(scheme, [(name.lower(), twin), *headers])

    def test_repeated_header_that_decides_nothing_is_ignored(self):
        judge(STANDARD, [*sent(STANDARD), (b"accept", b"a"), (b"Accept", b"b"), (b"x-hub-signature-256", b"")])

    def test_header_names_are_compared_without_case(self):
        judge(SLACK, [(name.swapcase(), value) for name, value in sent(SLACK)])

    def test_signature_of_another_secret_is_invalid(self):
        for scheme in PLAIN.values():
            with pytest.raises(SignatureInvalid):
                judge(scheme, sent(scheme, secret=OTHER))

    @pytest.mark.parametrize("scheme", [STANDARD, GITHUB, STRIPE, SLACK, MILLIS], ids=lambda scheme: scheme.name)
    @pytest.mark.parametrize("body", [BODY + b" ", b" " + BODY, BODY[:-1], b"", BODY.replace(b" ", b"")])
    def test_changed_body_is_invalid(self, scheme, body):
        with pytest.raises(SignatureInvalid):
            judge(scheme, sent(scheme), body)

    def test_empty_and_binary_bodies_are_signed_like_any_other(self):
        for body in (b"", b"\x00\xff\xfe", bytes(range(256))):
            for scheme in PLAIN.values():
                judge(scheme, sent(scheme, body), body)

    def test_each_flipped_bit_of_each_deciding_header_is_rejected(self):
        for scheme in (STANDARD, SLACK, STRIPE, MILLIS):
            headers = sent(scheme)
            for place, (name, value) in enumerate(headers):
                for at in range(len(value)):
                    flipped = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
                    with pytest.raises(Rejection):
                        judge(scheme, [*headers[:place], (name, flipped), *headers[place + 1 :]])

    def test_each_flipped_byte_of_the_body_is_rejected(self):
        for scheme in (STANDARD, GITHUB, STRIPE, SLACK):
            headers = sent(scheme)
            for at in range(len(BODY)):
                with pytest.raises(SignatureInvalid):
                    judge(scheme, headers, BODY[:at] + bytes([BODY[at] ^ 0x20]) + BODY[at + 1 :])

    def test_bytes_cannot_move_between_the_fields(self):
        headers = signed_by_hand(b"a", MOMENT, b"b")
        moved = [(b"webhook-id", b"a." + MOMENT), (b"webhook-timestamp", b"b"), headers[2]]
        with pytest.raises(Rejection):
            judge(STANDARD, moved, b"")

    def test_base64_is_taken_only_as_an_encoder_writes_it(self):
        headers = sent(STANDARD)
        good = headers[-1][1]
        assert good.endswith(b"=")
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        last = alphabet.index(good[-2])
        same_value = [good[:-2] + alphabet[last ^ bits : (last ^ bits) + 1] + b"=" for bits in (1, 2, 3)]
        junk = [good[:-1], good + b"=", good + b"AAAA", good[:9] + b"\n" + good[9:], good[:9] + b"!" + good[9:],
                good.replace(b",", b", "), good[:9] + b"-" + good[9:]]  # fmt: skip
        for value in same_value + junk:
            with pytest.raises(SignatureInvalid):
                judge(STANDARD, altered(headers, b"webhook-signature", value))

    @pytest.mark.parametrize(
        "change", [bytes.upper, lambda text: text + b"0", lambda text: text[:-2], lambda _: b"0x00"]
    )
    def test_hex_is_taken_in_either_case_and_at_full_length_only(self, change):
        headers = sent(GITHUB)
        digits = dict(headers)[b"X-Hub-Signature-256"].removeprefix(b"sha256=")
        value = altered(headers, b"X-Hub-Signature-256", b"sha256=" + change(digits))
        if change is bytes.upper:
            assert judge(GITHUB, value).nonce == judge(GITHUB, headers).nonce
        else:
            with pytest.raises(SignatureInvalid):
                judge(GITHUB, value)

    def test_hex_with_spaces_inside_is_invalid(self):
        headers = sent(SLACK)
        value = dict(headers)[b"X-Slack-Signature"]
        for spaced in (value[:5] + b" " + value[5:], value + b" ", b"v0= " + value[3:]):
            with pytest.raises(SignatureInvalid):
                judge(SLACK, altered(headers, b"X-Slack-Signature", spaced))


class TestLists:
    def test_one_good_signature_among_unknown_and_broken_ones_is_enough(self):
        headers = sent(STANDARD)
        good = headers[-1][1]
        for value in (
            b"v1a,AAAA " + good,
            b"v1,not!base64 " + good,
            good + b" v2,x junk",
            b"  ".join([b"v1,AAAA", good]),
        ):
            judge(STANDARD, altered(headers, b"webhook-signature", value))

    def test_only_unknown_versions_are_malformed(self):
        with pytest.raises(SignatureMalformed):
            judge(STANDARD, altered(sent(STANDARD), b"webhook-signature", b"v1a,AAAA v2,BBBB"))

    def test_sixteen_items_are_read_and_seventeen_refused(self):
        headers = sent(STANDARD)
        good = headers[-1][1]
        judge(STANDARD, altered(headers, b"webhook-signature", b" ".join([b"v1,AAAA"] * 15 + [good])))
        with pytest.raises(SignatureMalformed):
            judge(STANDARD, altered(headers, b"webhook-signature", b" ".join([good] + [b"v1,AAAA"] * 16)))

    def test_stripe_ignores_v0_even_where_it_is_right(self):
        value = sent(STRIPE)[0][1]
        with pytest.raises(SignatureMalformed):
            judge(STRIPE, [(b"Stripe-Signature", value.replace(b"v1=", b"v0="))])
        judge(STRIPE, [(b"Stripe-Signature", value + b",v0=00")])

    @pytest.mark.parametrize("scheme", [GITHUB, STANDARD, SLACK], ids=lambda scheme: scheme.name)
    def test_prefix_is_taken_as_it_is_written(self, scheme):
        name = scheme.header.encode()
        value = dict(sent(scheme))[name].replace(scheme.prefix.encode(), scheme.prefix.upper().encode())
        with pytest.raises(SignatureMalformed):
            judge(scheme, altered(sent(scheme), name, value))

    def test_only_spaces_may_stand_around_an_item(self):
        value = sent(STRIPE)[0][1]
        judge(STRIPE, [(b"Stripe-Signature", b" " + value.replace(b",", b" , ") + b" ")])
        for padded in (b"\t" + value, b"X" + value):
            with pytest.raises(SignatureMalformed):
                judge(STRIPE, [(b"Stripe-Signature", padded)])

    def test_a_list_is_no_list_where_the_scheme_has_none(self):
        headers = sent(GITHUB)
        value = dict(headers)[b"X-Hub-Signature-256"]
        for listed in (value + b"," + value, value + b" " + value):
            with pytest.raises(SignatureInvalid):
                judge(GITHUB, altered(headers, b"X-Hub-Signature-256", listed))


class TestRotation:
    @pytest.mark.parametrize("scheme", [*PLAIN.values(), MILLIS], ids=lambda scheme: scheme.name)
    def test_any_of_the_secrets_verifies(self, scheme):
        for secret in (SECRET, OTHER):
            judge(scheme, sent(scheme, secret=secret), secrets=(OTHER, SECRET))

    @pytest.mark.parametrize("scheme", PLAIN.values(), ids=list(PLAIN))
    def test_dropped_secret_no_longer_verifies(self, scheme):
        with pytest.raises(SignatureInvalid):
            judge(scheme, sent(scheme, secret=OTHER), secrets=(SECRET,))

    def test_replay_with_the_other_of_two_signatures_has_the_same_nonce(self):
        old, new = (dict(sent(STRIPE, secret=secret))[b"Stripe-Signature"] for secret in (OTHER, SECRET))
        both = new + b"," + old.split(b",")[1]
        nonces = {
            judge(STRIPE, [(b"stripe-signature", value)], secrets=(SECRET, OTHER)).nonce for value in (old, new, both)
        }
        assert nonces == {judge(STRIPE, sent(STRIPE)).nonce}  # the one under the first secret


class TestSecrets:
    @pytest.mark.parametrize("scheme", PLAIN.values(), ids=list(PLAIN))
    @pytest.mark.parametrize("secrets", [(), (b"",), (SECRET, b"")])
    def test_no_request_is_judged_under_an_empty_secret(self, scheme, secrets):
        with pytest.raises(ValueError, match="secrets"):
            judge(scheme, sent(scheme), secrets=secrets)

    def test_request_signed_with_the_empty_key_is_not_accepted_under_a_prefix_alone(self):
        with pytest.raises(ValueError, match="number 1 is empty"):
            judge(STANDARD, sent(STANDARD), secrets=(b"whsec_",))
