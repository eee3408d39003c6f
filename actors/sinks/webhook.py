"""Delivers over HTTP: signed as Standard Webhooks say, to an address that the guard has checked."""

from __future__ import annotations

import asyncio
import re
import ssl
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import httpx

from actors.errors import Failure
from actors.sinks.addresses import AddressRefused, guard, resolve
from actors.sinks.answers import read_receipt
from actors.sinks.outgoing import Refusal
from actors.sinks.standard import bearer, read_key, signed_headers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from actors.errors import ErrorClass
    from actors.sinks.addresses import Resolve
    from actors.sinks.outgoing import Outgoing, Receipt

CONNECT = 5.0  # seconds for one address, so that a dead one leaves time for the next
MOST_ADDRESSES = 4
GONE = 410
STARTING = "n8n is starting up"  # what it answers to everything in its first seconds, with status 200
RETRIED = frozenset({404, 408, GONE, 425})
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class WebhookSink:
    """Posts each result to one URL: 2xx is delivered; 404, 408, 425, 429, 5xx and the network's faults are retried.

    404 is, because n8n answers it while a workflow is being published, and so is the 200 of an n8n that starts. 410
    says that the sink is gone: nothing is sent until it is resumed. Anything else, redirects included, is permanent. It
    works on httpx's transport rather than its client: a transport follows no redirect, keeps no cookie, reads no proxy
    from the environment and logs no URL.
    `timeout` covers name, connection, request and status. There are at most `concurrency` connections; that no more
    deliveries are under way, in the whole fleet, is the ledger's matter. Raises ValueError, without secrets, for a URL
    or a secret that cannot work.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        secrets: Sequence[str] = (),
        header: tuple[str, str] | None = None,
        jwt: str | None = None,
        allow_private: bool = False,
        timeout: timedelta = timedelta(seconds=15),
        concurrency: int = 8,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        """Prepare; nothing is resolved or connected before the first delivery."""
        self.name = name
        self._url = _checked(url)
        self._keys = _keys(secrets)
        self._header = header
        self._jwt = jwt.encode() if jwt else None
        self._allow_private = allow_private
        self._timeout = timeout.total_seconds()
        self._resolve = resolve
        self._agent = f"hookmill/{version('hookmill')}"
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency, keepalive_expiry=30)
        verify = tls or _trust(self._url)
        self._transport = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=limits)

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Receipt:
        """Post once, signed afresh under the same webhook-id. Raises Failure; its text has neither URL nor answer."""
        body = outgoing.body()
        headers = self._headers(outgoing, body, now=now)
        response = await self._answer(headers, body)
        try:
            receipt = await read_receipt(response, sent=body, secrets=self._said(headers))
            self._judge(response, receipt, now=now)
            return receipt
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    def _headers(self, outgoing: Outgoing, body: bytes, *, now: datetime) -> httpx.Headers:
        headers = httpx.Headers({"host": self._url.netloc.decode("ascii")})
        if self._header:
            name, value = self._header
            headers[name] = value
        if self._jwt:
            token = bearer(self._jwt, body, message_id=outgoing.delivery_id, now=now)
            headers["authorization"] = f"Bearer {token}"
        headers.update(signed_headers(self._keys, body, message_id=outgoing.delivery_id, now=now))
        headers.update({"content-type": "application/json", "accept": "*/*", "user-agent": self._agent})
        if TRACEPARENT.fullmatch(outgoing.traceparent):
            headers["traceparent"] = outgoing.traceparent
        return headers

    def _said(self, headers: httpx.Headers) -> list[str]:
        """List what authenticates us: no answer that repeats any of it may be kept."""
        names = ("authorization", "webhook-signature", *([self._header[0]] if self._header else []))
        return [headers[name] for name in names if name in headers]

    async def _answer(self, headers: httpx.Headers, body: bytes) -> httpx.Response:
        """Give the answer up to its headers; whoever gets it closes it."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(await self._addresses(), headers, body)
        except TimeoutError:
            raise self._failure(f"no answer within {self._timeout:g} s") from None
        except AddressRefused as refused:
            raise self._failure(f"refused: {refused}", klass="permanent") from None
        except UnicodeError:
            raise self._failure("its host is not a name", klass="permanent") from None
        except OSError as error:
            raise self._failure(f"its name could not be resolved ({type(error).__name__})") from None
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
            raise self._failure(f"cannot be sent ({type(error).__name__})", klass="permanent") from None
        except httpx.HTTPError as error:
            raise self._failure(f"connection failed ({type(error).__name__})") from None

    async def _addresses(self) -> Sequence[str]:
        port = self._url.port or (443 if self._encrypted else 80)
        addresses = await self._resolve(self._host, port)
        guard(addresses, allow_private=self._allow_private, encrypted=self._encrypted)
        return addresses[:MOST_ADDRESSES]

    async def _post(self, addresses: Sequence[str], headers: httpx.Headers, body: bytes) -> httpx.Response:
        """Try one address after the other until one connects: nothing was sent to those before it."""
        connect = min(CONNECT, self._timeout / max(len(addresses), 1))
        failed: httpx.HTTPError = httpx.ConnectError("the name has no address")
        for address in addresses:
            request = self._request(address, headers, body, connect=connect)
            try:
                return await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
        raise failed

    def _request(self, address: str, headers: httpx.Headers, body: bytes, *, connect: float) -> httpx.Request:
        """Aim at the very address that was checked; Host and the certificate's name stay those of the URL."""
        limit = httpx.Timeout(self._timeout, connect=connect).as_dict()
        extensions = {"sni_hostname": self._host, "timeout": limit}
        url = self._url.copy_with(host=address)
        return httpx.Request("POST", url, headers=headers, content=body, extensions=extensions)

    def _judge(self, response: httpx.Response, receipt: Receipt, *, now: datetime) -> None:
        status = response.status_code
        if 200 <= status < 300 and not receipt.answer.startswith(STARTING):
            return
        retried = status < 300 or status >= 500 or status in RETRIED
        klass: ErrorClass = "rate_limited" if status == 429 else "transient" if retried else "permanent"
        wait = None if klass == "permanent" else retry_after(response.headers.get("retry-after", ""), now=now)
        text = f"sink {self.name}: HTTP {status}"
        raise Refusal(text, klass=klass, retry_after=wait, receipt=receipt, gone=status == GONE)

    def _failure(self, text: str, *, klass: ErrorClass = "transient") -> Failure:
        return Failure(f"sink {self.name}: {text}", klass=klass)

    @property
    def _host(self) -> str:
        return self._url.raw_host.decode("ascii")

    @property
    def _encrypted(self) -> bool:
        return self._url.scheme == "https"


def retry_after(text: str, *, now: datetime) -> timedelta | None:
    """Read a Retry-After header: seconds, or an HTTP date, judged by `now`; None where it is neither or is past.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    if SECONDS.fullmatch(text):
        return timedelta(seconds=int(text))
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
    return wait if wait > timedelta() else None


def _checked(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError("its url is not a URL") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("its url must be http:// or https:// and name a host")
    if url.userinfo:
        raise ValueError("its url holds a password; name it as header = {name = ..., value = 'env:...'}")
    return url


def _keys(secrets: Sequence[str]) -> list[bytes]:
    keys = []
    for number, secret in enumerate(secrets, 1):
        try:
            keys.append(read_key(secret))
        except ValueError as error:
            raise ValueError(f"secrets: number {number} {error}") from None
    return keys


def _trust(url: httpx.URL) -> ssl.SSLContext:
    if url.scheme != "https":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; spares reading roots that are not needed
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()  # and the machine's own roots: private CAs are installed there
    return context
