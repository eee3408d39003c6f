"""The published vectors: what official documentation and test suites say is, and is not, a valid signature."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.errors import SignatureInvalid, SignatureMalformed, TimestampOutOfTolerance
from gateway.verify import SCHEMES, Challenge, template, verify

CASES = Path(__file__).parents[2] / "cases"
VECTORS = json.loads((CASES / "signature_vectors.json").read_text())
NAMES = {"standard_webhooks": "standard", "github": "github", "stripe": "stripe", "slack": "slack"}

REJECTIONS = {
    "bad_signature": SignatureInvalid,
    "malformed_signature": SignatureMalformed,
    "timestamp_too_old": TimestampOutOfTolerance,
    "timestamp_too_new": TimestampOutOfTolerance,
}

# What we decide otherwise, on purpose, and how.
DIFFERENCES = {
    # Their MAC is wrong as well, and only a sender who has the secret is told about its clock.
    "openai-too-new": SignatureInvalid,
    "openai-too-old": SignatureInvalid,
    # An empty secret is refused when configuration is loaded, before any request.
    "adnanh-sha256-emptysecret": ValueError,
    # ed25519 (v1a) is no part of this scheme, so its public key is refused as a secret.
    "stdwh-v1a-ed25519": ValueError,
    "stdwh-spec-example-v1a": ValueError,
}


def scheme_of(vector):
    if vector["scheme"] in NAMES:
        return SCHEMES[NAMES[vector["scheme"]]]
    header, digest = vector["params"]["header"], vector["params"]["algo"]
    value = vector["headers"][header]
    prefix = f"{digest}=" if "=" in value else ""
    return template(header=header, digest=digest, prefix=prefix, separator="," if "," in value else "")


def judge(vector):
    secrets = vector.get("secrets", [vector["secret"]])
    return verify(
        scheme_of(vector),
        [secret.encode() for secret in secrets],
        [(name.encode(), value.encode("latin-1")) for name, value in vector["headers"].items()],
        base64.b64decode(vector["body_b64"]),
        now=datetime.fromtimestamp(vector.get("now", 1_700_000_000), UTC),
        tolerance=timedelta(seconds=vector.get("tolerance_s", 300)),
    )


def named(vectors):
    return [pytest.param(vector, id=vector["id"]) for vector in vectors]


AGREED = [vector for vector in VECTORS if vector["id"] not in DIFFERENCES]


@pytest.mark.parametrize("vector", named(v for v in AGREED if v["valid"] and v["kind"] == "signature"))
def test_published_signature_is_accepted(vector):
    verified = judge(vector)
    assert len(bytes.fromhex(verified.nonce)) == 32
    assert verified.challenge is None


@pytest.mark.parametrize("vector", named(v for v in AGREED if not v["valid"]))
def test_published_forgery_is_rejected(vector):
    with pytest.raises(REJECTIONS[vector["reason"]]):
        judge(vector)


@pytest.mark.parametrize("vector", named(v for v in VECTORS if v["id"] in DIFFERENCES))
def test_documented_difference_holds(vector):
    with pytest.raises(DIFFERENCES[vector["id"]]):
        judge(vector)


@pytest.mark.parametrize("vector", named(v for v in VECTORS if v["kind"] == "handshake"))
def test_published_handshake_is_answered(vector):
    expected = vector["expected_response"]
    answer = Challenge(
        status=expected["status"], media_type=expected["content_type"], body=expected["body"].encode("ascii")
    )
    assert judge(vector).challenge == answer


def test_every_difference_names_a_vector():
    assert set(DIFFERENCES) <= {vector["id"] for vector in VECTORS}
    assert len(VECTORS) == 35
