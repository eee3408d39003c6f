"""A gateway on a loopback port, in a thread, over a real Redis; and the senders that tests play."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
from programs import PATIENT

from gateway.access import digest, sign_link
from gateway.app import build_app, utc_now
from gateway.config import load_config
from gateway.ledger import Ledger, open_ledger
from gateway.serve import listen
from gateway.server import make_server
from gateway.settings import read_settings
from gateway.verify import SCHEMES, sign

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    import uvicorn

    from otel.figures import Figures
    from otel.records import Record

PARSERS = ("httptools", "h11")
BODY = b'{"type":"demo.created","data":{"n":1}}'
RAW_KEYS = {name: hashlib.sha256(name.encode()).digest() for name in ("demo", "other", "wrong")}
SECRETS = {name: "whsec_" + base64.b64encode(key).decode() for name, key in RAW_KEYS.items()} | {
    "plain": "plain-text-secret"
}
SIGNING_KEY = "signing-key-of-the-tests"
TOKEN = "hm_0123456789abcdef"
CONFIG = """
[sources.demo]
scheme = "standard"
secrets = ["env:DEMO"]
pipeline = "comment-sentiment"
body_timeout = "1s"
dedupe = { idempotent = true }

[sources.other]
scheme = "standard"
secrets = ["env:OTHER"]
pipeline = "comment-sentiment"

[sources.demo-github]
scheme = "github"
secrets = ["env:PLAIN"]
pipeline = "comment-sentiment"

[sources.demo-stripe]
scheme = "stripe"
secrets = ["env:PLAIN"]
pipeline = "comment-sentiment"

[sources.demo-slack]
scheme = "slack"
secrets = ["env:PLAIN"]
pipeline = "comment-sentiment"

[sources.demo-bearer]
scheme = "bearer"
secrets = ["env:PLAIN"]
pipeline = "comment-sentiment"

[sources.tight]
scheme = "standard"
secrets = ["env:DEMO"]
pipeline = "comment-sentiment"
limit = "2/minute"

[sources.narrow]
scheme = "standard"
secrets = ["env:DEMO"]
pipeline = "comment-sentiment"
concurrency = 1
max_backlog = 1

[sources.patient]
scheme = "standard"
secrets = ["env:DEMO"]
pipeline = "comment-sentiment"
limit = "1/minute"
limit_status = 503
on_unparsable = "quarantine"

[sources.asker]
scheme = "standard"
secrets = ["env:DEMO"]
pipeline = "comment-sentiment"
reply = "status"
success = 201
"""


def put_token(
    gateway: Served,
    *,
    scopes: Sequence[str] = ("read",),
    expires: datetime | None = None,
    token: str = TOKEN,
    name: str = "t",
) -> None:
    """Let the ledger know TOKEN, or another one."""
    gateway.ledger(lambda ledger: ledger.put_token(digest(token), name=name, scopes=scopes, expires=expires))


def link(event_id: str, *, valid: int = 60, key: str = SIGNING_KEY) -> str:
    """Make a capability URL of that event."""
    expires = int(time.time()) + valid
    return f"/events/{event_id}?expires={expires}&signature={sign_link(key.encode(), event_id, expires)}"


def free_id() -> str:
    """Make a fresh event id."""
    return f"msg_{secrets.token_hex(8)}"


def standard_mac(key: bytes, event_id: str, timestamp: str, body: bytes) -> str:
    """Sign as Standard Webhooks does, over whatever these texts are; written apart from the code under test."""
    signed = b".".join([event_id.encode(), timestamp.encode(), body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed_headers(
    body: bytes = BODY, *, scheme: str = "standard", secret: str = SECRETS["demo"], event_id: str = "", ago: float = 0
) -> dict[str, str]:
    """Give the headers of a genuine request, JSON declared."""
    moment = datetime.now(UTC) - timedelta(seconds=ago)
    made = sign(SCHEMES[scheme], secret.encode(), body, now=moment, event_id=event_id or free_id())
    return {name.lower(): value for name, value in made} | {"content-type": "application/json"}


def request_bytes(path: str, headers: Mapping[str, str], body: bytes = b"", *, method: str = "POST") -> bytes:
    """Write a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "host: gw", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


@dataclass
class Answer:
    """A response read from a raw socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The code of a problem, if it is one."""
        is_problem = self.headers.get("content-type") == "application/problem+json"
        return json.loads(self.body)["code"] if is_problem else None


@dataclass
class Served:
    """A running gateway."""

    port: int
    redis_url: str
    server: uvicorn.Server
    thread: threading.Thread
    admin_port: int
    records: list[Record] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def post(self, source: str, body: bytes = BODY, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post one webhook."""
        made = signed_headers(body) if headers is None else headers
        return httpx.post(f"{self.url}/hooks/{source}", content=body, headers=dict(made), timeout=10)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Get a path."""
        return httpx.get(self.url + path, timeout=10, **options)

    @property
    def admin_url(self) -> str:
        """Where its admin listener listens."""
        return f"http://127.0.0.1:{self.admin_port}"

    def admin(self, method: str, path: str, *, token: str | None = TOKEN, **options: Any) -> httpx.Response:
        """Ask the admin listener, with a token."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.request(method, self.admin_url + path, headers=headers, timeout=10, **options)

    def send(self, *parts: bytes, pause: float = 0.0, within: float = 5.0) -> Answer:
        """Send bytes as they are, with a pause between the parts, and read one response."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=within) as client:
            for part in parts:
                try:
                    client.sendall(part)
                except (BrokenPipeError, ConnectionResetError):
                    break
                time.sleep(pause)
            return read_answer(client)

    def ledger(self, question: Callable[[Ledger], Awaitable[Any]]) -> Any:
        """Ask the ledger something, over a connection of our own."""

        async def ask() -> Any:
            ledger = await open_ledger(self.redis_url, deadline=PATIENT)
            try:
                return await question(ledger)
            finally:
                await ledger.close()

        return asyncio.run(ask())

    def stored(self) -> dict[str, str]:
        """Give every key that only an admission may change."""

        async def keys(ledger: Ledger) -> dict[str, str]:
            found = await ledger.redis.keys("*")
            kept = [one for one in found if b":rate:" not in one and not one.endswith(b":counts")]
            return {one.decode(): (await ledger.redis.dump(one)).hex() for one in sorted(kept)}

        stored: dict[str, str] = self.ledger(keys)
        return stored

    def stop(self) -> None:
        """Shut it down as a signal would."""
        self.server.should_exit = True
        self.thread.join(20)


def read_answer(client: socket.socket) -> Answer:
    """Read one response with a Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = client.recv(65536)
        if not part:
            raise ConnectionError(f"closed after {received!r}")
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += client.recv(65536)
    return Answer(int(first.split()[1]), headers, body)


def serve(
    folder: Path,
    redis_url: str,
    *,
    config: str = CONFIG,
    clock: Callable[[], datetime] = utc_now,
    http: str = "httptools",
    figures: Figures | None = None,
    **env: str,
) -> Served:
    """Start a gateway and wait until it listens."""
    (folder / "hookmill.toml").write_text(config)
    variables = {name.upper(): value for name, value in SECRETS.items()} | {
        "HOOKMILL_REDIS_URL": redis_url,
        "HOOKMILL_CONFIG": str(folder / "hookmill.toml"),
        "HOOKMILL_DATA": str(folder),
        "HOOKMILL_SIGNING_KEY": SIGNING_KEY,
        **env,
    }
    settings = read_settings(variables)
    records: list[Record] = []
    read = load_config(settings.config, variables)
    app = build_app(
        read,
        settings,
        ledger_factory=lambda: open_ledger(settings.redis_url, wait=read.door.wait),
        listeners=(records.append,),
        figures=figures,
        clock=clock,
    )
    listener, admin = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
    server = make_server(app, http=http, admin=admin)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started and thread.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    assert server.started, "the gateway did not start"
    ports = [one.getsockname()[1] for one in (listener, admin)]
    return Served(ports[0], redis_url, server, thread, ports[1], records)
