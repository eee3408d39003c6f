"""The published vectors: what official documentation and test suites say is, and is not, a valid signature."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.errors import (
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    TimestampOutOfTolerance,
)
from gateway.verify import SCHEMES, handshake, template, verify

CASES = Path(__file__).parents[2] / "cases"
VECTORS = {vector["id"]: vector for vector in json.loads((CASES / "signature_vectors.json").read_text())}
NAMES = {
    "standard_webhooks": "standard",
    "hubspot_v1": "hubspot-v1",
    "hubspot_v2": "hubspot-v2",
    "hubspot_v3": "hubspot",
    "coinbase_commerce": "coinbase-commerce",
    "adyen_header": "adyen",
    "convoy_simple": "convoy",
    "convoy_advanced": "convoy-advanced",
    "x_crc": "x",
}

# How we refuse what they refuse. Their names say what they look at first; we look at the signature first, so that only
# a sender who has the secret is told of its clock.
REJECTIONS = {
    "bad_signature": SignatureInvalid,
    "malformed_signature": SignatureMalformed,
    "timestamp_too_old": TimestampOutOfTolerance,
    "timestamp_too_new": TimestampOutOfTolerance,
    "malformed_timestamp": SignatureInvalid,
    "missing_header": SignatureMissing,
    "missing_field": SignatureMissing,
    "missing_timestamp": SignatureMalformed,
    "empty_body": SignatureInvalid,
}

# Valid there, refused here, on purpose: (their verdict, how we refuse, why).
DIFFERENCES = {
    "rfc9421-b25": (True, SignatureMalformed, "content-digest is not covered, so anyone could change the body"),
    "rfc9421-b26": (True, SignatureMalformed, "content-digest is not covered, so anyone could change the body"),
    "rfc9421-b22": (True, SignatureMalformed, "@query-param has a parameter, and the key is RSA: neither is taken"),
}
# Refused there and here, but for another reason.
OTHER_REASONS = {
    "openai-too-new": (SignatureInvalid, "its MAC is wrong as well, and the clock is told only to who has the secret"),
    "openai-too-old": (SignatureInvalid, "its MAC is wrong as well, and the clock is told only to who has the secret"),
    "adnanh-sha256-emptysecret": (ValueError, "an empty secret is refused at load time, before any request"),
}


def generic(vector):
    header, digest = vector["params"]["header"], vector["params"]["algo"]
    value = vector["headers"][header]
    prefix = f"{digest}=" if "=" in value else ""
    return template(header=header, digest=digest, prefix=prefix, separator="," if "," in value else "")


def scheme_of(vector):
    if vector["scheme"] == "generic_hmac":
        return generic(vector)
    scheme = SCHEMES[NAMES.get(vector["scheme"], vector["scheme"])]
    params = vector.get("params", {})
    if "encoding" in params:  # Convoy's users choose both
        return replace(scheme, digest=params["algo"], encoding=params["encoding"])
    return scheme


def secrets_of(vector):
    secrets = vector.get("secrets") or [vector.get("public_key") or vector["secret"]]
    return [secret.encode() for secret in secrets]


def headers_of(vector):
    return [(name.encode(), value.encode("latin-1")) for name, value in vector["headers"].items()]


def judge(vector, scheme=None):
    return verify(
        scheme or scheme_of(vector),
        secrets_of(vector),
        headers_of(vector),
        base64.b64decode(vector["body_b64"]),
        now=datetime.fromtimestamp(vector.get("now", int(vector.get("timestamp", "1700000000")[:10])), UTC),
        tolerance=timedelta(seconds=vector["tolerance_s"]) if "tolerance_s" in vector else None,
        url=vector.get("url", ""),
        method=vector.get("method", "POST"),
    )


def ask(vector):
    """Do what the gateway does: first the questions that nobody signs, then the signed ones."""
    scheme = scheme_of(vector)
    url, method = urlsplit(vector["url"]), vector["method"]
    token = vector["secret"].encode() if scheme.name == "meta" else None
    now = datetime.fromtimestamp(vector.get("now", 1_657_322_078), UTC)
    answer = handshake(
        scheme,
        secrets_of(vector),
        method=method,
        query=url.query,
        headers=headers_of(vector),
        now=now,
        verify_token=token,
    )
    return answer or judge(vector | {"now": int(now.timestamp())}).challenge


def named(wanted):
    return [pytest.param(vector, id=name) for name, vector in VECTORS.items() if wanted(vector)]


def agreed(vector):
    return vector["id"] not in DIFFERENCES | OTHER_REASONS


@pytest.mark.parametrize("vector", named(lambda v: v["valid"] and v["kind"] == "signature" and agreed(v)))
def test_published_signature_is_accepted(vector):
    verified = judge(vector)
    assert len(bytes.fromhex(verified.nonce)) == 32
    assert verified.challenge is None or vector["scheme"] == "discord"  # whose vector is a PING


@pytest.mark.parametrize("vector", named(lambda v: not v["valid"] and v["kind"] == "signature" and agreed(v)))
def test_published_forgery_is_rejected(vector):
    with pytest.raises(REJECTIONS[vector["reason"]]):
        judge(vector)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_documented_difference_holds(name):
    valid, refusal, _why = DIFFERENCES[name]
    assert VECTORS[name]["valid"] is valid
    with pytest.raises(refusal):
        judge(VECTORS[name] | {"secret": VECTORS["rfc9421-b25"]["secret"], "public_key": None})


@pytest.mark.parametrize("name", OTHER_REASONS)
def test_documented_reason_holds(name):
    assert not VECTORS[name]["valid"]
    with pytest.raises(OTHER_REASONS[name][0]):
        judge(VECTORS[name])


@pytest.mark.parametrize("name", ["rfc9421-b25", "rfc9421-b26"])
def test_the_rfcs_signatures_hold_once_the_body_need_not_be_covered(name):
    judge(VECTORS[name], replace(SCHEMES["rfc9421"], unsigned_body=True))


def test_rsa_keys_are_refused_at_load_time():
    with pytest.raises(ValueError, match="number 1 is not a public key for ed25519"):
        judge(VECTORS["rfc9421-b22"])


@pytest.mark.parametrize("vector", named(lambda v: v["kind"] == "handshake" and v["valid"]))
def test_published_handshake_is_answered(vector):
    expected, answer = vector["expected_response"], ask(vector)
    assert answer.status == expected["status"]
    if "json" in expected:
        assert (json.loads(answer.body), answer.media_type) == (expected["json"], "application/json")
    else:
        assert (answer.body, answer.media_type) == (expected["body"].encode(), "text/plain")


@pytest.mark.parametrize("vector", named(lambda v: v["kind"] == "handshake" and not v["valid"]))
def test_published_probe_with_a_bad_signature_is_refused(vector):
    with pytest.raises(SignatureInvalid) as refused:
        ask(vector)
    assert refused.value.status == vector["expected_response"]["status"]


def test_all_vectors_are_run():
    assert len(VECTORS) == 112
    assert set(DIFFERENCES) | set(OTHER_REASONS) <= set(VECTORS)
    assert len(named(lambda vector: vector["valid"])) == 67
