"""Who may do what: the holder of a signed link that has not expired, or of a token with the right scope."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from gateway.body import text
from gateway.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from starlette.requests import Request

    from gateway.ledger import Ledger

LONGEST_EXPIRES = 12  # digits: some 30,000 years
TOKEN = "hm_"  # noqa: S105 - how a token begins, not a token


def sign_link(key: bytes, event_id: str, expires: int) -> str:
    """Sign "id.expires" (seconds since 1970): HMAC-SHA256 in hex."""
    return hmac.new(key, f"{event_id}.{expires}".encode(), hashlib.sha256).hexdigest()


def check_link(key: bytes, event_id: str, *, expires: str, signature: str, now: datetime) -> bool:
    """Tell whether the link was signed with this key and has not expired."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= LONGEST_EXPIRES):
        return False
    genuine = hmac.compare_digest(sign_link(key, event_id, int(expires)).encode(), signature.encode("utf-8", "replace"))
    return genuine and now.timestamp() < int(expires)


def digest(token: str) -> str:
    """Give what the ledger keeps of a token: its sha256, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


class Access:
    """Makes and checks capability URLs, and checks tokens against the ledger."""

    def __init__(self, ledger: Ledger, *, key: bytes | None) -> None:
        """Take the signing key; without one there are no links, only tokens."""
        self._ledger = ledger
        self._key = key

    def link(self, event_id: str, *, now: datetime, valid: timedelta) -> str:
        """Make the path and query of a capability URL; raises Unauthorized where there is no signing key."""
        if self._key is None:
            raise Unauthorized
        expires = int((now + valid).timestamp())
        return f"/events/{event_id}?expires={expires}&signature={sign_link(self._key, event_id, expires)}"

    async def check(self, request: Request, *, event_id: str, now: datetime) -> None:
        """Let the request pass to this event, or raise Unauthorized."""
        query = request.query_params
        expires, signature = query.get("expires", ""), query.get("signature", "")
        if self._key and check_link(self._key, event_id, expires=expires, signature=signature, now=now):
            return
        await self.check_token(request, now=now)

    async def check_token(self, request: Request, *, now: datetime) -> None:
        """Let the holder of a token that may read pass, or raise Unauthorized."""
        if "read" not in await self._scopes(request, now):
            raise Unauthorized

    async def permit(self, request: Request, *, scope: str, now: datetime) -> str:
        """Give the name of the token that the request carries.

        Raises Unauthorized where it carries none that is valid, Forbidden where that has not this scope.
        """
        name, scopes = await self._holder(request, now) or ("", None)
        if scopes is None:
            raise Unauthorized
        if scope not in scopes:
            raise Forbidden
        return name

    async def _scopes(self, request: Request, now: datetime) -> tuple[str, ...]:
        _, scopes = await self._holder(request, now) or ("", ())
        return scopes

    async def _holder(self, request: Request, now: datetime) -> tuple[str, tuple[str, ...]] | None:
        scheme, _, token = text(request.scope["headers"], b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not token.startswith(TOKEN):
            return None
        return await self._ledger.holder(digest(token), now=now)
