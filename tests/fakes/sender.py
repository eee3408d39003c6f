"""A sender of signed requests: headers as a server hands them over, and ways to spoil them."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime

from gateway.verify import SCHEMES, sign, template, verify

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = b"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = b'{"id": "evt_1", "event_id": "Ev1", "n": 1}'
STANDARD, GITHUB, STRIPE, SLACK, BEARER = (
    SCHEMES[name] for name in ("standard", "github", "stripe", "slack", "bearer")
)
# The schemes that take any text as their secret and any bytes as the body.
PLAIN = {
    name: scheme
    for name, scheme in SCHEMES.items()
    if scheme.key in {"raw", "whsec"} and not (scheme.pointer or scheme.timestamp_pointer)
    if "twilio_params" not in scheme.fields
}
MILLIS = template(
    header="X-Sig", signed="{timestamp}{body}", timestamp_header="X-Time", timestamp_unit="ms", encoding="base64"
)


def sent(scheme, body=BODY, *, secret=SECRET, now=NOW, event_id="msg_1"):
    return [(name.encode(), value.encode()) for name, value in sign(scheme, secret, body, now=now, event_id=event_id)]


def judge(scheme, headers, body=BODY, *, secrets=(SECRET,), now=NOW, tolerance=None):
    return verify(scheme, secrets, headers, body, now=now, tolerance=tolerance)


def altered(headers, name, value):
    return [(key, value if key.lower() == name.lower() else old) for key, old in headers]


def without(headers, name):
    return [(key, value) for key, value in headers if key.lower() != name.lower()]


def signed_by_hand(event_id, timestamp, body=BODY, *, secret=SECRET):
    """Sign as Standard Webhooks does, over the literal header texts, without any check."""
    key = base64.b64decode(secret.removeprefix(b"whsec_"))
    signature = base64.b64encode(hmac.digest(key, b"%s.%s.%s" % (event_id, timestamp, body), "sha256"))
    return [(b"webhook-id", event_id), (b"webhook-timestamp", timestamp), (b"webhook-signature", b"v1," + signature)]


MOMENT = str(int(NOW.timestamp())).encode()
