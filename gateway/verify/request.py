"""A request as the verifier sees it: the bytes that were sent, and where they were sent to."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from gateway.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence


@frozen
class Request:
    """The raw headers and body; `url` is the one the provider was given, with the query that this request came with."""

    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(default="", repr=False)  # its query may hold a token
    method: str = "POST"

    def values(self, name: str) -> list[bytes]:
        """List what a header was sent with, line by line; its name is compared without regard to case."""
        wanted = name.lower().encode()
        return [value for spelled, value in self.headers if spelled.lower() == wanted]


def request_url(public_url: str, query: bytes) -> str:
    """Give the URL that a provider signed: the configured one, byte for byte, under this request's own query."""
    if not query:
        return public_url
    return public_url.partition("?")[0] + "?" + query.decode("latin-1")
