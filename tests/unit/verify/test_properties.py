"""Properties over generated requests, and a second, plainer verifier to agree with."""

from __future__ import annotations

import base64
import contextlib
import hmac
import re
from datetime import UTC, datetime

from fakes.sender import PLAIN
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Rejection
from gateway.verify import SCHEMES, Verified, sign, template, verify

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
P256 = (
    b"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6w"
    b"EA3F+g=="
)
SECONDS = int(NOW.timestamp())
SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = base64.b64decode(SECRET[6:])
ALL = [
    *PLAIN.values(),
    template(header="s", signed="{body}:{id}", event_id="header:i", encoding="base64", digest="sha512"),
    template(
        header="s", signed="{timestamp}{body}", timestamp_item="t=", separator=";", timestamp_unit="ms", digest="sha1"
    ),
]

schemes = st.sampled_from(ALL)
bodies = st.binary(max_size=60) | st.sampled_from(
    [
        b'{"id": "a"}',
        b'{"id": []}',
        b'{"type": "url_verification", "challenge": "\\ud800"}',
        b"[" * 3000,
        b'{"event_id": 1e999}',
    ]
)
junk = st.binary(max_size=40) | st.sampled_from(
    [
        b"v1,",
        b"v1=",
        b"t=1",
        b"t=,v1=",
        b"v0=",
        b"sha256=",
        b"Bearer ",
        b"nan",
        b"v1,===",
        b",".join([b"v1=00"] * 20),
        b"\xff\xfe",
    ]
)


def names(scheme):
    return st.sampled_from([*scheme.deciding, b"x-other", b"", b"\xff"]) | st.binary(max_size=8)


@st.composite
def requests(draw):
    """Draw a scheme and any headers: invented, or truly signed ones of which some are altered, lost or doubled."""
    scheme, body = draw(schemes), draw(bodies)
    headers = draw(st.lists(st.tuples(names(scheme), junk), max_size=5))
    if draw(st.booleans()):
        signed = sign(scheme, SECRET, body, now=NOW, event_id="msg_1")
        headers = [(name.encode(), value.encode()) for name, value in signed]
        for _ in range(draw(st.integers(0, 2))):
            place = draw(st.integers(0, len(headers)))
            change = draw(st.tuples(names(scheme), junk))
            headers[place : place + draw(st.integers(0, 1))] = [change] if draw(st.booleans()) else []
    return scheme, headers, body


@settings(max_examples=300)
@given(requests())
def test_whatever_is_sent_the_answer_is_verified_or_a_rejection(request):
    scheme, headers, body = request
    with contextlib.suppress(Rejection):
        assert isinstance(verify(scheme, (SECRET,), headers, body, now=NOW), Verified)


@settings(max_examples=100)
@given(schemes, st.binary(max_size=200), st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True))
def test_what_is_signed_verifies_with_any_body_and_id(scheme, body, event_id):
    headers = [
        (name.encode(), value.encode()) for name, value in sign(scheme, SECRET, body, now=NOW, event_id=event_id)
    ]
    with contextlib.suppress(Rejection):  # of an id in the body, at most
        verify(scheme, (SECRET,), headers, body, now=NOW)
        return
    assert (scheme.dedupe or "").startswith("json:")


@settings(max_examples=100)
@given(schemes.filter(lambda scheme: scheme.proof != "token"), *[st.binary(max_size=8).map(b"not JSON ".__add__)] * 2)
def test_a_signature_holds_for_its_own_body_only(scheme, body, other):
    headers = [(name.encode(), value.encode()) for name, value in sign(scheme, SECRET, body, now=NOW, event_id="msg_1")]
    assert accepted(scheme, headers, other) == (other == body)


def fitting(scheme):
    """Give a secret that the scheme can use."""
    if scheme.proof == "ecdsa":
        return P256
    return {"hex": b"ab" * 32, "pem": base64.b64encode(KEY)}.get(scheme.key, SECRET)


odd_bodies = bodies | st.sampled_from(
    [
        b'{"signature": {"timestamp": "1795176000", "token": "t", "signature": "00"}}',
        b'{"signature": {"timestamp": 1e999, "token": [], "signature": "\\ud800"}}',
        b'{"signature": {"timestamp": {}, "token": 1, "signature": 0}, "value": [{"clientState": "whsec"}]}',
        b'{"webhookTimestamp": 179517600000' + b"0" * 5000 + b"}",
        b'{"value": [{"clientState": null}]}',
        b"a=1&b=%ff",
        b"a=%",
    ]
)
odd_junk = junk | st.sampled_from(
    [
        b'sig=("content-digest");created=1795176000',
        b'sig=("content-digest" "@path" "@query" "x-other");created=1795176000;expires=1',
        b"sig=:AAAA:",
        b"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        b"2026-11-20T12:00:00Z",
        b"1795176000",
        b"1795176000000",
        b"00" * 64,
        b"MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
    ]
)


@settings(max_examples=400)
@given(
    st.sampled_from(list(SCHEMES.values())),
    st.lists(st.tuples(st.integers(0, 6), odd_junk), max_size=6),
    odd_bodies,
    st.sampled_from(["", "https://h/x", "https://h:8443/x?bodySHA256=00", "https://h/x?a=%ff&[", "no url"]),
)
def test_whatever_any_scheme_is_sent_the_answer_is_verified_or_a_rejection(scheme, drawn, body, url):
    names = [*sorted(scheme.deciding), b"content-digest", b"x-other"]
    headers = [(names[place % len(names)], value) for place, value in drawn]
    with contextlib.suppress(Rejection):
        assert isinstance(verify(scheme, (fitting(scheme),), headers, body, now=NOW, url=url), Verified)


def plain_standard(headers, body):
    """Standard Webhooks as its specification reads, strictly, for one secret."""
    wanted = ("webhook-id", "webhook-timestamp", "webhook-signature")
    values = [[value for name, value in headers if name.lower() == want.encode()] for want in wanted]
    if any(len(found) != 1 for found in values):
        return False
    event_id, moment, signatures = (found[0] for found in values)
    good = b"v1," + base64.b64encode(hmac.digest(KEY, event_id + b"." + moment + b"." + body, "sha256"))
    listed = signatures.split(b" ")
    if good not in listed or len(listed) > 16 or not signatures.isascii():
        return False
    in_time = re.fullmatch(rb"[0-9]{10}", moment) and abs(int(moment) - SECONDS) <= 300
    return bool(in_time and re.fullmatch(rb"[A-Za-z0-9_:@/+=~-]{1,128}", event_id))


def plain_stripe(headers, body):
    """Stripe's scheme as its documentation reads, strictly, for one secret."""
    values = [value for name, value in headers if name.lower() == b"stripe-signature"]
    if len(values) != 1 or not values[0].isascii():
        return False
    items = [item.strip(b" ").split(b"=", 1) for item in values[0].split(b",")]
    times = [item[1] for item in items if item[0] == b"t" and len(item) == 2]
    if len(items) > 16 or len(times) != 1:
        return False
    good = hmac.digest(SECRET, times[0] + b"." + body, "sha256").hex().encode()
    listed = [item[1].lower() for item in items if item[0] == b"v1" and len(item) == 2]
    return good in listed and bool(re.fullmatch(rb"[0-9]{10}", times[0]) and abs(int(times[0]) - SECONDS) <= 300)


moments = st.integers(-302, 302).map(lambda away: str(SECONDS + away).encode()) | st.sampled_from(
    [b"nan", b"", b"%d.0" % SECONDS, b"+%d" % SECONDS, b"%d " % SECONDS]
)
ids = st.sampled_from([b"msg_1", b"a.b", b"", b"x" * 128, b"x" * 129, b"a b", b"\xff"])
extras = st.lists(st.sampled_from([b"v1,AAAA", b"v1a,AAAA", b"", b"junk", b"v1,\xff"]), max_size=16)


@settings(max_examples=150)
@given(ids, moments, extras, st.binary(max_size=20), st.booleans(), st.integers(0, 12))
def test_standard_agrees_with_a_plain_verifier(event_id, moment, extra, body, tampered, lost):
    mac = hmac.digest(KEY, event_id + b"." + moment + b"." + body, "sha256")
    listed = b" ".join([*extra[:7], b"v1," + base64.b64encode(mac), *extra[7:]])
    headers = [(b"webhook-id", event_id), (b"Webhook-Timestamp", moment), (b"webhook-signature", listed)]
    if lost < 3:
        del headers[lost]
    elif lost < 6:
        headers.append(headers[lost - 3])
    body += b"x" if tampered else b""
    assert accepted(SCHEMES["standard"], headers, body) == plain_standard(headers, body)


stripe_items = st.lists(
    st.sampled_from([b"t=1", b"v0=00", b"v1=00", b"v1=zz", b"", b"t", b"v1", b" v1=00"]), max_size=3
)


@settings(max_examples=150)
@given(moments, stripe_items, st.binary(max_size=20), st.booleans(), st.sampled_from([bytes.upper, bytes.lower]))
def test_stripe_agrees_with_a_plain_verifier(moment, extra, body, tampered, case):
    mac = hmac.digest(SECRET, moment + b"." + body, "sha256").hex().encode()
    headers = [(b"Stripe-Signature", b",".join([b"t=" + moment, *extra, b"v1=" + case(mac)]))]
    body += b"x" if tampered else b""
    assert accepted(SCHEMES["stripe"], headers, body) == plain_stripe(headers, body)


def accepted(scheme, headers, body):
    try:
        verify(scheme, (SECRET,), headers, body, now=NOW)
    except Rejection:
        return False
    return True
