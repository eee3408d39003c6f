from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from actors.sinks.standard import read_key, signed_headers

# From the test suites of standard-webhooks (Python, Rust) and openai-python: secret, id, timestamp, body, signature.
VECTORS = [
    pytest.param(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        "eyJ0ZXN0IjogMjQzMjIzMjMxNH0=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        id="python",
    ),
    pytest.param(
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        "eyJ0ZXN0IjogMjQzMjIzMjMxNH0=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        id="without-prefix",
    ),
    pytest.param(
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        1649367553,
        "eyJlbWFpbCI6InRlc3RAZXhhbXBsZS5jb20iLCJ1c2VybmFtZSI6InRlc3RfdXNlciJ9",
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        id="rust",
    ),
    pytest.param(
        "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
        "wh_685c059ae39c8190af8c71ed1022a24d",
        1750861210,
        "eyJpZCI6ICJldnRfNjg1YzA1OWFlM2E0ODE5MDliZGM4NjgxOWIwNjZmYjYiLCAib2JqZWN0IjogImV2ZW50IiwgImNyZWF0ZWRfYXQiOiAx"
        "NzUwODYxMjEwLCAidHlwZSI6ICJyZXNwb25zZS5jb21wbGV0ZWQiLCAiZGF0YSI6IHsiaWQiOiAicmVzcF8xMjMifX0=",
        "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=",
        id="openai",
    ),
]


@pytest.mark.parametrize(("secret", "message_id", "timestamp", "body", "signature"), VECTORS)
def test_published_vectors_are_signed_alike(secret, message_id, timestamp, body, signature):
    now = datetime.fromtimestamp(timestamp, UTC)
    headers = signed_headers([read_key(secret)], base64.b64decode(body), message_id=message_id, now=now)
    assert headers == {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }


def test_rotation_signs_with_every_key_separated_by_spaces(now):
    old, new = b"o" * 24, b"n" * 24
    both = signed_headers([new, old], b"{}", message_id="m", now=now)["webhook-signature"].split(" ")
    alone = [signed_headers([key], b"{}", message_id="m", now=now)["webhook-signature"] for key in (new, old)]
    assert both == alone
    assert len(set(both)) == 2


def test_without_keys_nothing_claims_to_be_signed(now):
    assert "webhook-signature" not in signed_headers([], b"{}", message_id="m", now=now)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_not/base64!", "whsec_YWJj\n", "YWJ", "whsk_YWJj", "whpk_YWJj", "gehéim"]
)
def test_unusable_secret_is_refused_without_showing_it(secret):
    with pytest.raises(ValueError, match=r"^is ") as caught:
        read_key(secret)
    assert not secret or secret not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
