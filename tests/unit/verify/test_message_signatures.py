"""HTTP Message Signatures (RFC 9421), signed by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fakes.sender import BODY, MOMENT, NOW, altered, without

from gateway.errors import (
    HeaderRepeated,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    TimestampOutOfTolerance,
)
from gateway.verify import SCHEMES, sign, verify

SCHEME = SCHEMES["rfc9421"]
KEY = b"0123456789abcdef"
SECRET = base64.b64encode(KEY)
URL = "https://Example.com:443/foo?param=Value&Pet=dog"
DIGEST = b"sha-256=:" + base64.b64encode(hashlib.sha256(BODY).digest()) + b":"
CREATED = b";created=" + MOMENT
VALUES = {
    b"content-digest": DIGEST,
    b"@method": b"POST",
    b"@target-uri": URL.encode(),
    b"@authority": b"example.com",
    b"@scheme": b"https",
    b"@path": b"/foo",
    b"@query": b"?param=Value&Pet=dog",
    b"x-two": b"a, b",
}


def signed(*components, params=CREATED, digest=DIGEST, private=None, label=b"sig1", **others):
    text = b"(" + b" ".join(b'"%s"' % name for name in components) + b")" + params
    values = VALUES | {b"content-digest": digest} | {b"@" + name.encode(): text for name, text in others.items()}
    lines = [b'"%s": %s' % (name, values.get(name, b"")) for name in components]
    base = b"\n".join([*lines, b'"@signature-params": ' + text])
    raw = private.sign(base) if private else hmac.digest(KEY, base, "sha256")
    return [
        (b"Content-Digest", digest),
        (b"X-Two", b" a "),
        (b"x-two", b"b"),
        (b"Signature-Input", label + b"=" + text),
        (b"Signature", label + b"=:" + base64.b64encode(raw) + b":"),
    ]


def judge(headers, body=BODY, *, secrets=(SECRET,), now=NOW, url=URL):
    return verify(SCHEME, secrets, headers, body, now=now, url=url)


def test_every_supported_component_is_covered():
    headers = signed(*VALUES)
    verified = judge(headers)
    assert (verified.covers_time, verified.dedupe_id) == (True, None)
    for url in (
        URL + "x",
        URL.replace("https", "http"),
        URL.replace("/foo", "/fox"),
        URL.replace("Example", "example"),
    ):
        with pytest.raises(SignatureInvalid):
            judge(headers, url=url)
    with pytest.raises(SignatureInvalid):
        judge(altered(headers, b"X-Two", b"c"))


def test_what_we_sign_we_verify():
    headers = sign(SCHEME, SECRET, BODY, now=NOW, event_id="1", url=URL)
    assert [name for name, _ in headers] == ["Content-Digest", "Signature-Input", "Signature"]
    judge([(name.encode(), value.encode()) for name, value in headers])


@pytest.mark.parametrize(
    ("url", "derived"),
    [
        ("https://a.example:8443/", {"authority": b"a.example:8443"}),
        ("http://a.example:80/", {"authority": b"a.example", "scheme": b"http"}),
        ("http://a.example:443/", {"authority": b"a.example:443"}),
        ("https://a.example", {"path": b"/", "query": b"?"}),
        ("", {"authority": b"", "path": b"/", "target_uri": b""}),
    ],
)
def test_components_are_derived_from_the_url_as_the_rfc_says(url, derived):
    derived = {name.replace("_", "-"): value for name, value in derived.items()}
    headers = signed(*(b"@" + name.encode() for name in derived), b"content-digest", **derived)
    judge(headers, url=url)


def test_url_beyond_latin_1_is_no_fault_of_the_request():
    with pytest.raises(SignatureInvalid):
        judge(signed(b"@target-uri", b"content-digest"), url="https://example.com/€")


@pytest.mark.parametrize(("dedupe", "event_id"), [("json:/id", "evt_1"), ("header:X-Id", "7")])
def test_id_is_read_from_where_the_source_says(dedupe, event_id):
    headers = [*signed(b"content-digest"), (b"X-Id", b"7")]
    assert verify(replace(SCHEME, dedupe=dedupe), (SECRET,), headers, BODY, now=NOW, url=URL).dedupe_id == event_id


def test_parameters_are_read_after_the_components():
    judge(signed(b"content-digest", params=b';nonce="a)b"' + CREATED))
    judge(signed(b"content-digest", params=CREATED + b';nonce="a)b"'))


@pytest.mark.parametrize("name", [b"Signature", b"Signature-Input", b"Content-Digest"])
def test_only_spaces_may_stand_around_a_member(name):
    headers = signed(b"content-digest")
    value = dict(headers)[name]
    judge(altered(headers, name, b"  " + value + b" "))
    for padded in (b"\t" + value, value + b"\t", b"X" + value, value + b"X"):
        with pytest.raises(SignatureMalformed):
            judge(altered(headers, name, padded))


def test_ed25519_keys_are_pem():
    private = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip()
    judge(signed(b"content-digest", private=private, params=CREATED + b';alg="ed25519"'), secrets=(pem,))
    with pytest.raises(SignatureInvalid):
        judge(signed(b"content-digest"), secrets=(pem,))


def test_changed_body_is_refused_by_its_digest():
    with pytest.raises(SignatureInvalid):
        judge(signed(b"content-digest"), BODY + b" ")


def test_changed_digest_is_refused_by_the_signature():
    other = b"sha-256=:" + base64.b64encode(hashlib.sha256(b"x").digest()) + b":"
    with pytest.raises(SignatureInvalid):
        judge(altered(signed(b"content-digest"), b"Content-Digest", other), b"x")


@pytest.mark.parametrize(
    ("digest", "refusal"),
    [
        (b"sha-512=:" + base64.b64encode(hashlib.sha512(BODY).digest()) + b":, " + DIGEST, None),
        (DIGEST + b", md5=:AAAA:", None),
        (b"md5=:AAAA:", SignatureMalformed),
        (b"sha-512=:AAAA:, " + DIGEST, SignatureInvalid),
        (DIGEST + b", " + DIGEST, SignatureMalformed),
        (DIGEST[:-1], SignatureMalformed),
        (b"", SignatureMissing),
    ],
)
def test_every_known_digest_has_to_be_right(digest, refusal):
    headers = signed(b"content-digest", digest=digest)
    if refusal is None:
        judge(headers)
    else:
        with pytest.raises(refusal):
            judge(headers)


def test_signature_that_does_not_cover_the_body_is_refused():
    with pytest.raises(SignatureMalformed, match="content-digest"):
        judge(signed(b"@method", b"@authority"))


def test_time_is_needed_and_checked():
    with pytest.raises(SignatureMalformed):
        judge(signed(b"content-digest", params=b""))
    for params in (b";created=%d" % (int(MOMENT) - 301), b";created=%d" % (int(MOMENT) + 301)):
        with pytest.raises(TimestampOutOfTolerance):
            judge(signed(b"content-digest", params=params))
    expiring = signed(b"content-digest", params=CREATED + b";expires=%d" % (int(MOMENT) + 10))
    judge(expiring)
    judge(expiring, now=NOW + timedelta(seconds=10))
    with pytest.raises(TimestampOutOfTolerance):
        judge(expiring, now=NOW + timedelta(seconds=11))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Signature-Input", b'sig1=("content-digest";req)' + CREATED),
        (b"Signature-Input", b'sig1=("@query-param";name="a" "content-digest")' + CREATED),
        (b"Signature-Input", b'sig1=("content-digest"  "date")' + CREATED),
        (b"Signature-Input", b'sig1=("content-digest" "content-digest")' + CREATED),
        (b"Signature-Input", b'sig1=("content-digest" "@request-target")' + CREATED),
        (b"Signature-Input", b'sig1=("content-digest" "x-missing")' + CREATED),
        (b"Signature-Input", b'sig1=("content-digest");created=1e9'),
        (b"Signature-Input", b'sig1=("content-digest")' + CREATED + b';alg="rsa-pss-sha512"'),
        (b"Signature-Input", b'sig2=("content-digest")' + CREATED),
        (b"Signature-Input", b", ".join(b's%d=("content-digest")' % n + CREATED for n in range(5))),
        (b"Signature-Input", b'sig1=("content-digest")' + CREATED + b","),
        (b"Signature-Input", b"sig1"),
        (b"Signature", b"sig1=:AAAA"),
        (b"Signature", b"sig1=:AAAA:;x=1"),
        (b"Signature", b"sig1=:AAAA:,sig1=:AAAA:"),
        (b"Signature", b"sig2=:AAAA:"),
    ],
)
def test_what_is_not_understood_is_malformed(name, value):
    with pytest.raises(SignatureMalformed):
        judge(altered(signed(b"content-digest"), name, value))


@pytest.mark.parametrize("name", [b"Signature", b"Signature-Input", b"Content-Digest"])
def test_deciding_header_is_there_once(name):
    headers = signed(b"content-digest")
    with pytest.raises(SignatureMissing):
        judge(without(headers, name))
    with pytest.raises(HeaderRepeated):
        judge([*headers, (name.lower(), b"x")])
    with pytest.raises(SignatureInvalid):
        judge(altered(headers, name, b"sig1=\xff"))


def test_signature_of_a_proxy_beside_it_is_passed_over():
    headers = signed(b"content-digest")
    values = dict(headers)
    headers = altered(headers, b"Signature-Input", b'proxy=("@method")' + CREATED + b", " + values[b"Signature-Input"])
    judge(altered(headers, b"Signature", b"proxy=:AAAA:, " + values[b"Signature"]))
