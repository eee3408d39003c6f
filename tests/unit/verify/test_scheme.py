from __future__ import annotations

import hmac
import re
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes.sender import PLAIN

from gateway.errors import EventIdInvalid, SignatureInvalid
from gateway.verify import SCHEMES, Handshake, Scheme, read_keys, sign, template, verify

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

BAD_TEMPLATES = {
    "header-empty": ({"header": ""}, "header: expected the name of a header, got ''"),
    "header-space": ({"header": "X Sig"}, "header: expected the name of a header, got 'X Sig'"),
    "header-number": ({"header": 5}, "header: expected the name of a header, got 5"),
    "prefix": ({"prefix": "é"}, "prefix: expected printable ASCII, got 'é'"),
    "separator": ({"separator": "="}, "separator: expected a space or one of , ; | &, got '='"),
    "separator-in-prefix": ({"separator": ",", "prefix": "v1,"}, "separator: ',' also occurs in the prefix"),
    "digest": ({"digest": "md5"}, "digest: expected one of sha1, sha256, sha512, got 'md5'"),
    "encoding": ({"encoding": "base32"}, "encoding: expected one of hex, base64, got 'base32'"),
    "key": ({"key": "utf8"}, "key: expected one of raw, hex, base64, whsec, spki, pem, got 'utf8'"),
    "unit": ({"timestamp_unit": "us"}, "timestamp_unit: expected one of s, ms, iso, got 'us'"),
    "unhashable": ({"digest": ["sha256"]}, "digest: expected one of sha1, sha256, sha512, got ['sha256']"),
    "signed-unknown": (
        {"signed": "{ts}.{body}"},
        "signed: only {id}, {timestamp}, {body}, {components}, {method}, {url}",
    ),
    "signed-brace": ({"signed": "{body}}"}, "signed: only {id}, {timestamp}, {body}, {components}, {method}, {url}"),
    "signed-opening-brace": ({"signed": "{{body}"}, "signed: only {id}, {timestamp}, {body}, {components}, {method}"),
    "signed-no-body": ({"signed": "{timestamp}"}, "signed: expected {body} exactly once"),
    "signed-two-bodies": ({"signed": "{body}{body}"}, "signed: expected {body} exactly once"),
    "signed-number": ({"signed": 1}, "signed: expected ASCII text, got 1"),
    "signed-touching": ({"signed": "{id}{body}", "event_id": "header:i"}, "signed: {id} and {body} need a separator"),
    "no-clock": ({"signed": "{timestamp}.{body}"}, "timestamp_header: needed where signed has {timestamp}"),
    "unsigned-clock": ({"timestamp_header": "X-T"}, "timestamp_header: signed lacks {timestamp}"),
    "unsigned-item": ({"timestamp_item": "t=", "separator": ","}, "timestamp_item: signed lacks {timestamp}"),
    "item-no-list": ({"signed": "{timestamp}.{body}", "timestamp_item": "t="}, "timestamp_item: needs a separator"),
    "two-clocks": (
        {"signed": "{timestamp}.{body}", "timestamp_item": "t=", "timestamp_header": "X-T", "separator": ","},
        "timestamp_item: the time comes from a header, from an item or from the body, not from two",
    ),
    "id-missing": ({"signed": "{id}.{body}"}, "event_id: signed has {id}, which needs a header"),
    "id-in-body": (
        {"signed": "{id}.{body}", "event_id": "json:/id"},
        "event_id: signed has {id}, which needs a header",
    ),
    "id-form": ({"event_id": "X-Id"}, "event_id: expected 'header:X-Id' or 'json:/pointer', got 'X-Id'"),
    "id-header": ({"event_id": "header:"}, "event_id: expected the name of a header, got ''"),
    "id-pointer": ({"event_id": "json:id"}, "event_id: expected 'header:X-Id' or 'json:/pointer', got 'json:id'"),
    "id-escape": ({"event_id": "json:/a~2"}, "event_id: expected 'header:X-Id' or 'json:/pointer'"),
    "id-number": ({"event_id": 7}, "event_id: expected 'header:X-Id' or 'json:/pointer', got 7"),
    "tolerance": ({"tolerance": timedelta(0)}, "tolerance: expected a duration above zero, got 0:00:00"),
    "tolerance-type": ({"tolerance": 300}, "tolerance: expected a duration above zero, got 300"),
    "one-header-for-two": (
        {"signed": "{timestamp}{body}", "timestamp_header": "x-sig"},
        "header: the signature, the time and the id need a header each",
    ),
}


@pytest.mark.parametrize(("keys", "line"), BAD_TEMPLATES.values(), ids=list(BAD_TEMPLATES))
def test_contradictory_template_is_refused_in_one_line_that_names_the_key(keys, line):
    with pytest.raises(ValueError, match="^" + re.escape(line)) as refused:
        template(**{"header": "X-Sig"} | keys)
    assert "\n" not in str(refused.value)


GOOD_TEMPLATES = [
    {},
    {"digest": "sha1", "prefix": "sha1="},
    {"digest": "sha512", "encoding": "base64"},
    {"key": "hex"},
    {"key": "base64"},
    {"key": "whsec"},
    {"signed": "{timestamp}\n{body}", "timestamp_header": "X-T"},
    {"signed": "{body}{timestamp}", "timestamp_header": "X-T", "timestamp_unit": "ms"},
    {"signed": "v0:{timestamp}:{body}", "timestamp_item": "ts=", "separator": ";", "prefix": "h1="},
    {"signed": "{timestamp},{body}", "timestamp_item": "t=", "separator": ",", "prefix": "v1="},
    {"signed": "{id}{timestamp}{body}", "timestamp_header": "X-T", "event_id": "header:X-Id", "prefix": "sha256="},
    {"signed": "{body}|{id}", "event_id": "header:X-Id"},
    {"event_id": "json:/delivery/id"},
    {"event_id": "header:X-Delivery"},
    {"separator": ",", "prefix": "v1="},
]
SECRETS = {"raw": b"\x00any bytes\xff", "hex": b"00ff10", "base64": b"AAEC", "whsec": b"whsec_AAEC"}


@pytest.mark.parametrize("keys", GOOD_TEMPLATES, ids=str)
@pytest.mark.parametrize("body", [b"", b'{"delivery": {"id": "d1"}}', b"\xff\x00"])
def test_what_a_template_signs_it_verifies(keys, body):
    scheme = template(header="X-Sig", **keys)
    signed = sign(scheme, SECRETS[scheme.key], body, now=NOW, event_id="msg_1")
    headers = [(name.lower().encode(), value.encode()) for name, value in signed]
    verified = verify(scheme, [SECRETS[scheme.key]], headers, body, now=NOW)
    assert verified.covers_time == ("{timestamp}" in scheme.signed or "{id}" in scheme.signed)
    if "header:" in keys.get("event_id", ""):
        assert verified.dedupe_id == "msg_1"


@pytest.mark.parametrize("name", SCHEMES)
def test_every_named_scheme_has_its_page(name):
    assert SCHEMES[name].name == name
    assert SCHEMES[name].docs.startswith("https://")


@pytest.mark.parametrize("scheme", PLAIN.values(), ids=list(PLAIN))
def test_every_scheme_with_a_shared_secret_verifies_what_it_signs(scheme):
    headers = sign(scheme, b"whsec_AAEC", b"{}", now=NOW, event_id="msg_1")
    verify(scheme, [b"whsec_AAEC"], [(key.encode(), value.encode()) for key, value in headers], b"{}", now=NOW)


def test_named_schemes_cannot_be_changed():
    with pytest.raises(TypeError):
        SCHEMES["evil"] = SCHEMES["github"]
    with pytest.raises(FrozenInstanceError):
        SCHEMES["github"].prefix = ""


@pytest.mark.parametrize("dedupe", ["", "x", "header:", "header:a b", "json:", "json:x", "query:/id"])
def test_source_cannot_replace_the_id_by_nonsense(dedupe):
    with pytest.raises(ValueError, match=r"^dedupe: "):
        replace(SCHEMES["github"], dedupe=dedupe)


def test_an_id_may_stand_under_a_key_with_a_colon():
    scheme = template(header="s", event_id="json:/a:b")
    headers = [(b"s", hmac.digest(b"key", b'{"a:b": "1"}', "sha256").hex().encode())]
    assert verify(scheme, [b"key"], headers, b'{"a:b": "1"}', now=NOW).dedupe_id == "1"


@pytest.mark.parametrize("place", ["json:/a", "query:a", "header:A"])
def test_handshake_is_asked_in_one_of_three_places(place):
    assert Handshake(challenge=place).places == [place]
    for other in (f"x{place}", place.upper(), place.partition(":")[0], "json:a"):
        with pytest.raises(ValueError, match=r"^handshake: expected json:/pointer, query:name or header:Name"):
            Handshake(when=((other, "1"),))


def test_id_header_without_id_in_the_signed_string_is_refused():
    with pytest.raises(ValueError, match=r"^id_header: "):
        Scheme(name="x", docs="", header="s", id_header="i")


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({}, "header: the signature comes from a header or from the body"),
        ({"header": "s", "pointer": "/s"}, "header: the signature comes from a header or from the body"),
        ({"pointer": "s"}, "pointer: expected a JSON pointer such as /id"),
        ({"header": "s", "spare_header": "S"}, "header: the signature, the time and the id need a header each"),
        ({"header": "s", "proof": "rsa"}, "proof: expected one of hmac, hash, token, ed25519, ecdsa, got 'rsa'"),
        ({"header": "s", "timestamp_header": "X T"}, "timestamp_header: expected the name of a header, got 'X T'"),
        ({"header": "s", "proof": "ed25519"}, "key: proof ed25519 takes hex, got 'raw'"),
        ({"header": "s", "proof": "ecdsa", "key": "hex"}, "key: proof ecdsa takes spki, got 'hex'"),
        ({"header": "s", "key": "spki"}, "key: proof hmac takes raw, hex, base64, whsec, pem, got 'spki'"),
        ({"header": "s", "public_prefix": "v1a,"}, "public_prefix: only whsec keys"),
        ({"header": "s", "signed": "{url}"}, "signed: expected {body} exactly once"),
        ({"header": "s", "signed_else": ("{url}{url}{body}",)}, "signed: expected {body} exactly once"),
        (
            {"header": "s", "signed": "{id}", "id_pointer": "/i", "unsigned_body": True, "timestamp_pointer": "/t"},
            "timestamp_pointer: signed lacks {timestamp}",
        ),
    ],
)
def test_contradictory_row_is_refused_in_one_line_that_names_the_field(keys, line):
    with pytest.raises(ValueError, match="^" + re.escape(line)):
        Scheme(name="x", docs="", **keys)


def test_a_template_has_no_page_and_no_prefix_unless_it_says_so():
    scheme = template(header="s")
    assert (scheme.name, scheme.docs, scheme.prefix) == ("template", "", "")


@pytest.mark.parametrize(
    ("signed", "ends"),
    [
        ("{id}.{body}", "."),
        ("{id}:{timestamp}.{body}", ":"),
        ("{timestamp}-{id}.{body}", "-."),
        ("id{id}={body}", "="),
        ("{timestamp}id{id}={body}", "=d"),
    ],
)
def test_only_what_stands_beside_an_id_and_a_field_may_not_occur_in_it(signed, ends):
    clock = {"timestamp_header": "t"} if "{timestamp}" in signed else {}
    scheme = template(header="s", signed=signed, event_id="header:i", **clock)
    for character in "idabcXYZ019_:@/+=~-.,":
        event_id = f"a{character}b"
        if character in ends or character in ".,":
            with pytest.raises(ValueError, match=r"^event_id: "):
                sign(scheme, b"key", b"{}", now=NOW, event_id=event_id)
        else:
            sent = sign(scheme, b"key", b"{}", now=NOW, event_id=event_id)
            headers = [(name.encode(), value.encode()) for name, value in sent]
            assert verify(scheme, [b"key"], headers, b"{}", now=NOW).dedupe_id == event_id


def test_what_is_signed_with_one_method_is_not_verified_with_another():
    scheme = template(header="s", signed="{method} {body}")
    headers = [
        (name.encode(), value.encode())
        for name, value in sign(scheme, b"key", b"{}", now=NOW, event_id="", method="PUT")
    ]
    verify(scheme, [b"key"], headers, b"{}", now=NOW, method="PUT")
    with pytest.raises(SignatureInvalid):
        verify(scheme, [b"key"], headers, b"{}", now=NOW)


def test_what_ends_an_id_in_any_of_the_signed_strings_may_not_occur_in_it():
    scheme = Scheme(name="x", docs="", header="s", signed="{id}:{body}", signed_else=("{body}/{id}",), id_header="i")
    for event_id, taken in {"a": True, "a-b": True, "a:b": False, "a/b": False}.items():
        headers = [
            (b"i", event_id.encode()),
            (b"s", hmac.digest(b"key", f"{event_id}:{{}}".encode(), "sha256").hex().encode()),
        ]
        if taken:
            verify(scheme, [b"key"], headers, b"{}", now=NOW)
        else:
            with pytest.raises(EventIdInvalid):
                verify(scheme, [b"key"], headers, b"{}", now=NOW)


def test_template_may_sign_the_url_but_no_components():
    assert template(header="s", signed="{method} {url} {body}").signs_url
    with pytest.raises(ValueError, match=r"^signed: \{components\} belongs to scheme rfc9421"):
        template(header="s", signed="{components}")


@pytest.mark.parametrize(
    ("key", "secret", "line"),
    [
        ("hex", b"zz", "secrets: number 1 is not valid hex"),
        ("hex", b"\xff", "secrets: number 1 is not valid hex"),
        ("base64", b"a-_b", "secrets: number 1 is not valid base64"),
        ("base64", b"AAE", "secrets: number 1 is not valid base64"),
        ("whsec", b"whsec_!!!!", "secrets: number 1 is not valid base64"),
        ("whsec", b"whpk_AAAA", "secrets: number 1 is an ed25519 key"),
        ("whsec", b"whsk_AAAA", "secrets: number 1 is an ed25519 key"),
        ("whsec", b"whsec_", "secrets: number 1 is empty"),
        ("raw", b"", "secrets: number 1 is empty"),
    ],
)
def test_unusable_secret_is_refused_without_showing_it(key, secret, line):
    with pytest.raises(ValueError, match="^" + re.escape(line)) as refused:
        read_keys(template(header="s", key=key), [secret])
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("secret", ["é".encode(), b"a b", b"a\r\nb", b"\x00", b""])
def test_token_that_no_header_can_carry_is_refused(secret):
    with pytest.raises(ValueError, match="secrets: number 1"):
        read_keys(SCHEMES["bearer"], [secret])


def test_stripe_keys_are_the_whole_text():
    assert [key.value for key in read_keys(SCHEMES["stripe"], [b"whsec_AAEC"])] == [b"whsec_AAEC"]
    assert [key.value for key in read_keys(SCHEMES["standard"], [b"whsec_AAEC", b"AAEC"])] == [b"\x00\x01\x02"] * 2


@pytest.mark.parametrize("event_id", ["", "a b", "a.b", "é", "x" * 129])
def test_sender_cannot_sign_an_id_that_the_receiver_would_refuse(event_id):
    with pytest.raises(ValueError, match=r"^event_id: "):
        sign(SCHEMES["standard"], b"AAEC", b"{}", now=NOW, event_id=event_id)
