"""The fields of a signed string that a provider derives from a request in a way of its own, by their names."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.errors import SignatureInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.verify.request import Request

MOST_PARAMS = 1000
ORIGIN = re.compile(r"(https?)://([^/?#:@]+)(:[0-9]+)?")
# Which escapes HubSpot undoes: https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
HUBSPOT_ESCAPES = re.compile(r"%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


def method(request: Request) -> bytes:
    """Give the method in capitals."""
    return request.method.upper().encode()


def url(request: Request) -> bytes:
    """Give the URL as it was configured, byte for byte."""
    return request.url.encode()


def hubspot_uri(request: Request) -> bytes:
    """Give the URL with those escapes undone that HubSpot undoes before it signs."""
    plain = HUBSPOT_ESCAPES.sub(lambda escape: chr(int(escape[0][1:], 16)), request.url)
    return plain.encode()


def url_without_port(request: Request) -> bytes:
    """Give the URL as if it named no port: Twilio signs it so, or with the port, by the product."""
    return ORIGIN.sub(r"\1://\2", request.url, count=1).encode()


def url_with_port(request: Request) -> bytes:
    """Give the URL with its port, be it the default one."""
    return ORIGIN.sub(_ported, request.url, count=1).encode()


def twilio_params(request: Request) -> bytes:
    """Give a form's parameters as Twilio signs them: sorted, each once, name and value without anything between.

    Any other body is covered by its SHA-256 in the URL's query; raises SignatureInvalid where it is not.
    https://www.twilio.com/docs/usage/webhooks/webhooks-security#validating-signatures-from-twilio
    """
    digests = [value for name, value in _pairs(request.url.partition("?")[2]) if name == "bodySHA256"]
    if digests:
        if len(digests) > 1 or not hmac.compare_digest(sha256(request.body).hexdigest().encode(), digests[0].encode()):
            raise SignatureInvalid
        return b""
    try:
        pairs = parse_qsl(
            request.body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(request.body),  # what is no form would be signed as an empty one
            errors="strict",
            max_num_fields=MOST_PARAMS,
        )
    except ValueError:
        raise SignatureInvalid from None
    return "".join(name + value for name, value in sorted(set(pairs))).encode()


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARAMS)
    except ValueError:
        raise SignatureInvalid from None


def _ported(origin: re.Match[str]) -> str:
    return f"{origin[1]}://{origin[2]}{origin[3] or (':443' if origin[1] == 'https' else ':80')}"


DERIVED: Mapping[str, Callable[[Request], bytes]] = MappingProxyType(
    {
        "method": method,
        "url": url,
        "hubspot_uri": hubspot_uri,
        "url_without_port": url_without_port,
        "url_with_port": url_with_port,
        "twilio_params": twilio_params,
    }
)
