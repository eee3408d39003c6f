"""What the schemes say of themselves."""

from __future__ import annotations

import pytest

from gateway.verify import SCHEMES
from gateway.verify.promises import exposes, proof, protects


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("standard", ("HMAC-SHA-256, or ed25519", "id, timestamp and body")),
        ("github", ("HMAC-SHA-256", "body")),
        ("slack", ("HMAC-SHA-256", "timestamp and body")),
        ("bearer", ("secret sent as it is", "nothing: whoever has the token can send anything")),
        ("linear", ("HMAC-SHA-256", "timestamp and body")),
        ("mailgun", ("HMAC-SHA-256", "timestamp and id")),
        ("twilio", ("HMAC-SHA-1", "url and form")),
        ("hubspot", ("HMAC-SHA-256", "method, url, body and timestamp")),
        ("hubspot-v1", ("SHA-256 of secret and message", "body")),
        ("discord", ("ed25519", "timestamp and body")),
        ("sendgrid", ("ECDSA P-256, SHA-256", "timestamp and body")),
        ("rfc9421", ("HMAC-SHA-256, or ed25519", "timestamp and what the signer chose, the body among it")),
    ],
)
def test_scheme_says_what_it_protects(name, said):
    assert (proof(SCHEMES[name]), protects(SCHEMES[name])) == said


def having(words):
    return {name for name, scheme in SCHEMES.items() if any(words in line for line in exposes(scheme))}


def test_scheme_says_what_it_does_not_protect():
    assert having("body is not signed") == {"mailgun"}
    assert having("SHA-1") == {"twilio", "intercom"}
    assert having("can be extended") == {"hubspot-v1", "hubspot-v2"}
    assert having("travels with every request") == {"bearer", "gitlab", "okta", "microsoft-graph"}
    assert having("Sentry-Hook-Timestamp is not signed") == {"sentry"}
    assert {"github", "shopify", "linear", "box"} <= having("is not signed: a replay may carry another one")
    assert not having("a replay may carry another one") & having("travels with every request"), "worse is said of it"
    assert having("no time and no id") == {name for name, scheme in SCHEMES.items() if not scheme.covers_time}
    assert {name for name, scheme in SCHEMES.items() if not exposes(scheme)} == {
        "standard", "svix", "gitlab-signing", "slack", "discord", "stripe", "paddle", "twitch",
    }  # fmt: skip


def test_sha_1_only_where_the_provider_defines_it():
    assert {name for name, scheme in SCHEMES.items() if scheme.digest == "sha1"} == {"twilio", "intercom"}
