"""Standard Webhooks, the sender's side: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec.

And a token beside it, for receivers that check no signature of a body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

LIFE = timedelta(minutes=5)  # of a token: as long as a signature is good for


def read_key(secret: str) -> bytes:
    """Decode `whsec_` (optional) and base64 to the key. ValueError says what is wrong, without showing the secret."""
    if secret.startswith(("whsk_", "whpk_")):
        raise ValueError("is an ed25519 key (whsk_, whpk_); a shared secret (whsec_) is needed")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ValueError("is not whsec_ and base64") from None
    if not key:
        raise ValueError("is empty")  # anyone could sign under it
    return key


def signed_headers(keys: Sequence[bytes], body: bytes, *, message_id: str, now: datetime) -> dict[str, str]:
    """Give webhook-id, webhook-timestamp and, with a signature per key (rotation), webhook-signature."""
    moment = str(int(now.timestamp()))
    headers = {"webhook-id": message_id, "webhook-timestamp": moment}
    if keys:
        signed = f"{message_id}.{moment}.".encode() + body
        headers["webhook-signature"] = " ".join(_signature(key, signed) for key in keys)
    return headers


def bearer(key: bytes, body: bytes, *, message_id: str, now: datetime) -> str:
    """Give a JWT (HS256, https://www.rfc-editor.org/rfc/rfc7519) for 5 minutes.

    n8n's Webhook node checks its signature and `exp` by itself, before a workflow begins. `sha256` is the digest of the
    body, in hex: that it is, the workflow checks. `jti` is the delivery's id.
    """
    moment = int(now.timestamp())
    claims = {
        "iss": "hookmill",
        "iat": moment,
        "exp": moment + int(LIFE.total_seconds()),
        "jti": message_id,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (signed + b"." + _base64url(hmac.digest(key, signed, hashlib.sha256))).decode()


def _base64url(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
