"""Providers that sign in a way of their own, signed here by hand, as their documentation reads."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from time import tzset
from urllib.parse import quote_plus

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from fakes.sender import BODY, MOMENT, NOW, altered, without

from gateway.errors import (
    EventIdInvalid,
    HeaderRepeated,
    Rejection,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    TimestampMalformed,
    TimestampOutOfTolerance,
)
from gateway.verify import SCHEMES, read_keys, request_url, sign, verify

SECRET = b"a secret"
URL = "https://hooks.example.com/hooks/shop"
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
ED25519_PUBLIC = ED25519.public_key().public_bytes_raw()
ED25519_PEM = ED25519.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
P256 = ec.derive_private_key(7, ec.SECP256R1())
TIME = MOMENT.decode()
ISO = NOW.strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def judge(name, headers, body=BODY, *, secrets=(SECRET,), now=NOW, url=URL, tolerance=None):
    return verify(SCHEMES[name], secrets, headers, body, now=now, url=url, tolerance=tolerance)


def mac(message, *, key=SECRET, digest="sha256"):
    return hmac.digest(key, message, digest)


def b64(raw):
    return base64.b64encode(raw)


def rejected(*args, **kwargs):
    with pytest.raises(Rejection) as refused:
        judge(*args, **kwargs)
    return type(refused.value)


class TestEd25519:
    PUBLIC = (b"whpk_" + b64(ED25519_PUBLIC),)

    def standard(self, *, listed=b"", prefix=b"v1a,"):
        signature = prefix + b64(ED25519.sign(b"msg_1." + MOMENT + b"." + BODY))
        return [(b"webhook-id", b"msg_1"), (b"webhook-timestamp", MOMENT), (b"webhook-signature", listed + signature)]

    def test_standard_webhooks_takes_v1a_under_a_public_key(self):
        assert judge("standard", self.standard(), secrets=self.PUBLIC).dedupe_id == "msg_1"
        assert rejected("standard", self.standard(), BODY + b" ", secrets=self.PUBLIC) is SignatureInvalid

    def test_a_whsk_with_a_stray_character_signs_nothing(self):
        private = b64(b"\x01" * 32 + ED25519_PUBLIC)
        with pytest.raises(ValueError, match="base64"):
            sign(SCHEMES["standard"], b"whsk_!" + private, BODY, now=NOW, event_id="msg_1")

    def test_what_whsk_signs_its_whpk_half_verifies(self):
        private = b"whsk_" + b64(b"\x01" * 32 + ED25519_PUBLIC)
        signed = sign(SCHEMES["standard"], private, BODY, now=NOW, event_id="msg_1")
        judge("standard", [(name.encode(), value.encode()) for name, value in signed], secrets=self.PUBLIC)

    def test_a_public_key_is_never_taken_for_a_shared_secret(self):
        forged = mac(b"msg_1." + MOMENT + b"." + BODY, key=ED25519_PUBLIC)
        headers = [*self.standard()[:2], (b"webhook-signature", b"v1," + b64(forged))]
        assert rejected("standard", headers, secrets=self.PUBLIC) is SignatureMalformed
        forged = [*self.standard()[:2], (b"webhook-signature", b"v1a," + b64(forged) + b" v1," + b64(forged))]
        assert rejected("standard", forged, secrets=self.PUBLIC) is SignatureInvalid

    def test_both_kinds_of_secret_are_a_rotation(self):
        shared = b"whsec_" + b64(SECRET)
        symmetric = mac(b"msg_1." + MOMENT + b"." + BODY)
        for secrets in ((shared, *self.PUBLIC), (*self.PUBLIC, shared)):
            nonces = {
                judge("standard", headers, secrets=secrets).nonce
                for headers in (
                    self.standard(),
                    self.standard(listed=b"v1," + b64(symmetric) + b" "),
                    [*self.standard()[:2], (b"webhook-signature", b"v1," + b64(symmetric))],
                )
            }
            assert len(nonces) == 1

    def test_more_than_four_public_signatures_are_not_tried(self):
        judge("standard", self.standard(listed=b"v1a,AAAA " * 3), secrets=self.PUBLIC)
        with pytest.raises(SignatureMalformed):
            judge("standard", self.standard(listed=b"v1a,AAAA " * 4), secrets=self.PUBLIC)

    def test_discord(self):
        secrets = (ED25519_PUBLIC.hex().encode(),)
        signature = ED25519.sign(MOMENT + BODY).hex().encode()
        headers = [(b"X-Signature-Ed25519", signature), (b"X-Signature-Timestamp", MOMENT)]
        assert judge("discord", headers, secrets=secrets).dedupe_id == "evt_1"
        assert rejected("discord", headers, BODY + b" ", secrets=secrets) is SignatureInvalid
        assert rejected("discord", headers, secrets=secrets, now=NOW + timedelta(hours=1)) is TimestampOutOfTolerance
        for junk in (b"00", b"zz", signature[:-2], signature + b"00"):
            assert (
                rejected("discord", altered(headers, b"X-Signature-Ed25519", junk), secrets=secrets) is SignatureInvalid
            )

    @pytest.mark.parametrize("name", ["discord", "sendgrid"])
    def test_only_the_provider_can_sign(self, name):
        public = ED25519_PUBLIC.hex().encode() if name == "discord" else p256_public()
        with pytest.raises(ValueError, match="only the provider can sign"):
            sign(SCHEMES[name], public, BODY, now=NOW, event_id="1")

    @pytest.mark.parametrize(
        ("name", "secret", "said"),
        [
            ("standard", b"whpk_AAAA", "is not a public key for ed25519"),
            ("standard", b"whpk_", "is not a public key for ed25519"),
            ("standard", b"whpk_" + b64(ED25519_PUBLIC) + b"!", "is not a public key for ed25519"),
            ("standard", b"whsk_AAAA", "is a private ed25519 key"),
            ("gitlab-signing", b"whpk_AAAA", "is an ed25519 key"),
            ("discord", b"00", "is not a public key for ed25519"),
            ("discord", b"zz", "is not a public key for ed25519"),
            ("discord", b"", "is empty"),
            ("sendgrid", b"AAAA", "is not a public key for ECDSA on P-256"),
            ("sendgrid", ED25519_PEM, "is not a public key for ECDSA on P-256"),
            ("sendgrid", b"", "is empty"),
            ("rfc9421", b"-----BEGIN PUBLIC KEY-----\nAAAA", "is not a public key for ed25519"),
            ("rfc9421", b"no base64!", "is not valid base64, nor a PEM public key"),
        ],
    )
    def test_unusable_key_is_refused_without_showing_it(self, name, secret, said):
        with pytest.raises(ValueError, match=f"^secrets: number 1 {said}") as refused:
            read_keys(SCHEMES[name], [secret])
        assert "AAAA" not in str(refused.value)


def p256_public():
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return b64(P256.public_key().public_bytes(serialization.Encoding.DER, form))


class TestSendGrid:
    NAME = b"X-Twilio-Email-Event-Webhook-Signature"

    def headers(self, body=BODY):
        signature = P256.sign(MOMENT + body, ec.ECDSA(SHA256()))
        return [(self.NAME, b64(signature)), (b"X-Twilio-Email-Event-Webhook-Timestamp", MOMENT)]

    def test_signature_holds_for_its_bytes(self):
        body = BODY + b"\r\n"
        judge("sendgrid", self.headers(body), body, secrets=(p256_public(),))
        assert rejected("sendgrid", self.headers(body), BODY, secrets=(p256_public(),)) is SignatureInvalid

    def test_nonce_does_not_depend_on_the_signature_which_its_sender_can_write_in_many_ways(self):
        nonces = {judge("sendgrid", self.headers(), secrets=(p256_public(),)).nonce for _ in range(3)}
        assert len(nonces) == 1

    def test_key_on_another_curve_is_refused(self):
        other = ec.derive_private_key(7, ec.SECP384R1()).public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        with pytest.raises(ValueError, match="is not a public key for ECDSA on P-256"):
            read_keys(SCHEMES["sendgrid"], [other.public_bytes(serialization.Encoding.PEM, form)])

    def test_key_with_characters_that_are_no_base64_is_refused(self):
        with pytest.raises(ValueError, match="is not a public key for ECDSA on P-256"):
            read_keys(SCHEMES["sendgrid"], [p256_public() + b"\n!"])

    @pytest.mark.parametrize("junk", [b"", b"AAAA", b"!", b64(b"0" * 70)])
    def test_junk_is_no_signature(self, junk):
        assert rejected("sendgrid", altered(self.headers(), self.NAME, junk), secrets=(p256_public(),)) in {
            SignatureInvalid,
            SignatureMissing,
        }


class TestTwilio:
    FORM = b"To=%2B18005551212&Digits=12&From=a+b&Digits=1"

    def headers(self, message, *, digest="sha1"):
        return [(b"X-Twilio-Signature", b64(mac(message, digest=digest)))]

    def test_form_is_signed_sorted_each_once(self):
        headers = self.headers(URL.encode() + b"Digits1Digits12Froma bTo+18005551212")
        judge("twilio", headers, self.FORM)
        judge("twilio", headers, b"Digits=1&" + self.FORM)
        for other in (self.FORM + b"&x=1", self.FORM[:-1] + b"2", b"", b"{}", b"Digits", b"\xff=1", b"a=%ff"):
            assert rejected("twilio", headers, other) is SignatureInvalid
        assert rejected("twilio", headers, self.FORM, url=URL + "?x=1") is SignatureInvalid

    def test_shared_keys_sign_with_sha_256(self):
        headers = self.headers(URL.encode() + b"a1", digest="sha256")
        judge("twilio-shared-key", headers, b"a=1")
        assert rejected("twilio", headers, b"a=1") is SignatureInvalid

    def test_other_bodies_are_covered_by_a_digest_in_the_url(self):
        url = f"{URL}?bodySHA256={hashlib.sha256(BODY).hexdigest()}"
        headers = self.headers(url.encode())
        judge("twilio", headers, BODY, url=url)
        assert rejected("twilio", headers, BODY + b" ", url=url) is SignatureInvalid
        assert rejected("twilio", headers, BODY) is SignatureInvalid
        twice = url + "&bodySHA256=" + hashlib.sha256(b"").hexdigest()
        assert rejected("twilio", self.headers(twice.encode()), BODY, url=twice) is SignatureInvalid

    def test_body_that_is_neither_form_nor_covered_is_refused_though_the_url_is_signed(self):
        for body in (BODY, b"[]", b"a", b"a=1&b", b"&"):
            assert rejected("twilio", self.headers(URL.encode()), body) is SignatureInvalid

    def test_flood_of_parameters_is_refused(self):
        headers = self.headers(URL.encode() + b"a1")
        judge("twilio", headers, b"a=1&" * 999 + b"a=1")
        assert rejected("twilio", headers, b"a=1&" * 1000 + b"a=1") is SignatureInvalid
        url = URL + "?" + "a=1&" * 1000 + "a=1"
        assert rejected("twilio", self.headers(url.encode() + b"a1"), b"a=1", url=url) is SignatureInvalid

    def test_form_that_is_no_utf_8_is_refused_however_it_is_signed(self):
        headers = self.headers(URL.encode() + "a\ufffd".encode())
        assert rejected("twilio", headers, b"a=%ff") is SignatureInvalid

    def test_digest_is_looked_for_in_the_whole_query_and_may_not_be_empty(self):
        url = f"{URL}?a=b?&bodySHA256={hashlib.sha256(BODY).hexdigest()}&c=?"
        judge("twilio", self.headers(url.encode()), BODY, url=url)
        empty = URL + "?bodySHA256="
        assert rejected("twilio", self.headers(empty.encode() + b"a1"), b"a=1", url=empty) is SignatureInvalid

    @pytest.mark.parametrize("other", ["?to=https://other.example:444/", "?or=http://third.example/"])
    def test_url_is_signed_with_or_without_its_own_port_and_no_other(self, other):
        for port in ("", ":443"):
            headers = self.headers(f"https://hooks.example.com{port}/{other}a1".encode())
            for written in ("", ":443"):
                judge("twilio", headers, b"a=1", url=f"https://hooks.example.com{written}/{other}")


class TestHubSpot:
    def test_v3_signs_method_decoded_uri_body_and_milliseconds(self):
        url = URL + "?to=a%2Fb%3Ac%40d&x=%C3%A9%2b"
        message = b"POST" + URL.encode() + b"?to=a/b:c@d&x=%C3%A9%2b" + BODY + MOMENT + b"000"
        headers = [(b"X-HubSpot-Signature-v3", b64(mac(message))), (b"X-HubSpot-Request-Timestamp", MOMENT + b"000")]
        judge("hubspot", headers, url=url)
        assert rejected("hubspot", headers, url=url, now=NOW + timedelta(minutes=6)) is TimestampOutOfTolerance
        assert rejected("hubspot", headers) is SignatureInvalid

    def test_request_url_is_the_configured_one_under_the_requests_query(self):
        assert request_url("https://h/x?old=1", b"a=%2F&b") == "https://h/x?a=%2F&b"
        assert request_url("https://h/x?old=1?", b"a=1") == "https://h/x?a=1"
        assert request_url("https://h:8443/X%20y", b"") == "https://h:8443/X%20y"


class TestMailgun:
    def body(self, *, token="t" * 50, time=TIME, signature=None, **more):
        signature = mac(time.encode() + token.encode()).hex() if signature is None else signature
        return json.dumps({"signature": {"timestamp": time, "token": token, "signature": signature}} | more).encode()

    def test_token_is_the_id_and_covers_no_content(self):
        first, second = (judge("mailgun", [], self.body(event=event)) for event in ("a", "b"))
        assert (first.dedupe_id, first.nonce) == (second.dedupe_id, second.nonce) == ("t" * 50, first.nonce)

    @pytest.mark.parametrize(
        ("changed", "refusal"),
        [
            ({"signature": ""}, SignatureMissing),
            ({"signature": 5}, SignatureInvalid),
            ({"signature": ["x"]}, SignatureMissing),
            ({"signature": "é"}, SignatureInvalid),
            ({"time": "1"}, TimestampMalformed),
            ({"time": str(int(MOMENT) - 301)}, TimestampOutOfTolerance),
            ({"token": "\ud800", "signature": "00" * 32}, SignatureInvalid),
            ({"token": ""}, EventIdInvalid),
            ({"token": "a b"}, EventIdInvalid),
        ],
    )
    def test_what_is_wrong_is_refused(self, changed, refusal):
        assert rejected("mailgun", [], self.body(**changed)) is refusal

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"signature": 1}', b"[" * 9000])
    def test_body_without_a_signature_has_none(self, body):
        assert rejected("mailgun", [], body) is SignatureMissing

    def test_bytes_cannot_move_between_time_and_token(self):
        moved = self.body(time=MOMENT.decode() + "t", token="t" * 49)
        assert rejected("mailgun", [], moved) is TimestampMalformed


class TestLinear:
    def test_time_is_read_from_the_signed_body(self):
        def judged(time):
            body = json.dumps({"webhookTimestamp": time}).encode()
            return judge("linear", [(b"Linear-Signature", mac(body).hex().encode()), (b"Linear-Delivery", b"d1")], body)

        now = int(MOMENT) * 1000
        assert judged(now).dedupe_id == judged(str(now)).dedupe_id == "d1"
        for time, refusal in {now - 61_000: TimestampOutOfTolerance, now // 1000: TimestampMalformed}.items():
            with pytest.raises(refusal):
                judged(time)
        for time in (None, True, 1.5, [now], "\ud800"):
            with pytest.raises(TimestampMalformed):
                judged(time)

    def test_wrong_signature_is_told_before_a_missing_time(self):
        assert rejected("linear", [(b"Linear-Signature", b"00")], b"{}") is SignatureInvalid


class TestTimesInIso:
    @pytest.mark.parametrize(
        ("time", "refusal"),
        [
            (ISO, None),
            (ISO[:-1] + b".123456789Z", None),
            (NOW.replace(hour=14).strftime("%Y-%m-%dT%H:%M:%S+02:00").encode(), None),
            (NOW.replace(hour=5).strftime("%Y-%m-%dT%H:%M:%S-07:00").encode(), None),
            ((NOW - timedelta(minutes=11)).strftime("%Y-%m-%dT%H:%M:%SZ").encode(), TimestampOutOfTolerance),
            ((NOW + timedelta(minutes=11)).strftime("%Y-%m-%dT%H:%M:%SZ").encode(), TimestampOutOfTolerance),
            (b"0001-01-01T00:00:00+23:59", TimestampOutOfTolerance),
            (b"9999-12-31T23:59:59-23:59", TimestampOutOfTolerance),
            *((time, TimestampMalformed) for time in (
                b"", ISO[:-1], ISO.lower(), ISO.replace(b"T", b" "), b" " + ISO, ISO + b"\n", MOMENT,
                b"2026-13-01T00:00:00Z",
                b"0000-01-01T00:00:00Z", b"2026-11-20T24:00:00Z", b"2026-11-20T12:00:00+24:00", b"2026-W47-5T12:00:00Z",
                b"2026-11-20T12:00:00.Z", b"2026-11-20T12:00:00,5Z", b"\xd9\xa2" + ISO[1:],
            )),
        ],
    )  # fmt: skip
    def test_twitch(self, time, refusal):
        signature = b"sha256=" + mac(b"id-1" + time + BODY).hex().encode()
        names = (
            b"Twitch-Eventsub-Message-Id",
            b"Twitch-Eventsub-Message-Timestamp",
            b"Twitch-Eventsub-Message-Signature",
        )
        headers = list(zip(names, (b"id-1", time, signature), strict=True))
        if refusal:
            assert rejected("twitch", headers) is refusal
        else:
            assert judge("twitch", headers).dedupe_id == "id-1"

    def test_time_is_written_in_utc_wherever_the_machine_is(self, monkeypatch):
        with monkeypatch.context() as there:
            there.setenv("TZ", "Asia/Tokyo")
            tzset()
            headers = sign(SCHEMES["twitch"], SECRET, BODY, now=NOW, event_id="1")
        tzset()
        assert dict(headers)["Twitch-Eventsub-Message-Timestamp"] == ISO.decode()

    def test_zendesk_takes_an_empty_body(self):
        headers = [
            (b"X-Zendesk-Webhook-Signature", b64(mac(ISO))),
            (b"X-Zendesk-Webhook-Signature-Timestamp", ISO),
        ]
        judge("zendesk", headers, b"")

    def test_box_signs_under_either_key(self):
        other = b"the other"
        both = [
            (b"box-signature-primary", b64(mac(BODY + ISO))),
            (b"box-signature-secondary", b64(mac(BODY + ISO, key=other))),
            (b"box-delivery-timestamp", ISO),
        ]
        for headers, secret in ((both, SECRET), (both, other), (both[1:], other), ([both[0], both[2]], SECRET)):
            judge("box", headers, secrets=(secret,))
        assert rejected("box", both[1:], secrets=(SECRET,)) is SignatureInvalid
        assert rejected("box", both[2:]) is SignatureMissing
        assert rejected("box", [*both, both[1]]) is HeaderRepeated


class TestTokens:
    def test_gitlab_token_is_the_whole_header(self):
        judge("gitlab", [(b"x-gitlab-token", b"glpat")], secrets=(b"glpat",))
        for token in (b"glpa", b"glpatx", b"Bearer glpat", b"GLPAT"):
            assert rejected("gitlab", [(b"x-gitlab-token", token)], secrets=(b"glpat",)) is SignatureInvalid

    def test_microsoft_graph_has_its_token_in_the_body(self):
        def body(state):
            return json.dumps({"value": [{"clientState": state}]}).encode()

        judge("microsoft-graph", [], body("state"), secrets=(b"state",))
        assert rejected("microsoft-graph", [], body("stat"), secrets=(b"state",)) is SignatureInvalid
        for missing in (body(None), body(""), b'{"value": []}', b"[]"):
            assert rejected("microsoft-graph", [], missing, secrets=(b"state",)) is SignatureMissing

    def test_signature_in_the_body_cannot_be_written_by_us(self):
        with pytest.raises(ValueError, match="stands in the body"):
            sign(SCHEMES["microsoft-graph"], b"state", BODY, now=NOW, event_id="1")


def test_hashes_are_not_macs_and_still_hold():
    plain = hashlib.sha256(SECRET + BODY).hexdigest().encode()
    judge("hubspot-v1", [(b"X-HubSpot-Signature", plain)])
    assert rejected("hubspot-v1", [(b"X-HubSpot-Signature", mac(BODY).hex().encode())]) is SignatureInvalid


def test_square_signs_the_url_byte_for_byte():
    headers = [(b"x-square-hmacsha256-signature", b64(mac(URL.encode() + BODY)))]
    judge("square", headers)
    for url in ("", URL + "/", URL.replace("https", "http"), URL.upper()):
        assert rejected("square", headers, url=url) is SignatureInvalid


def test_adyens_key_is_hex():
    judge("adyen", [(b"HmacSignature", b64(mac(BODY)))], secrets=(SECRET.hex().encode(),))


def test_absent_time_is_named():
    headers = [(b"x-zm-signature", b"v0=00"), (b"x-zm-request-timestamp", MOMENT)]
    with pytest.raises(TimestampMalformed, match="x-zm-request-timestamp"):
        judge("zoom", without(headers, b"x-zm-request-timestamp"))


def test_form_encoding_of_any_text_is_undone():
    value = "é& =+%\n"
    body = f"a={quote_plus(value)}".encode()
    judge("twilio", TestTwilio().headers(URL.encode() + b"a" + value.encode()), body)
