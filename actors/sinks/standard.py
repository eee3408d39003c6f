"""Standard Webhooks, the sender's side: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


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


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
