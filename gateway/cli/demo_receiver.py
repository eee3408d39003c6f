"""The receiving end of `hookmill demo`: checks our signature, is down now and then, and remembers every delivery."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Self

from gateway.errors import Rejection
from gateway.verify import SCHEMES, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY = 4  # of each so many deliveries one finds us down at its first try
MOST = 1024 * 1024


class Inbox:
    """What arrived: how often each `webhook-id` was tried and taken, of which event it was, and what was refused."""

    def __init__(self, *, secret: bytes) -> None:
        """Take the secret that deliveries are signed with."""
        self.tries: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.event_of: dict[str, str] = {}
        self.refused: list[str] = []
        self._secret, self._lock = secret, Lock()

    def take(self, headers: Sequence[tuple[bytes, bytes]], body: bytes, now: datetime) -> int:
        """Judge one delivery and give the HTTP status to answer with."""
        try:
            verified = verify(SCHEMES["standard"], [self._secret], headers, body, now=now)
        except Rejection as rejection:
            self.refused.append(rejection.code)
            return rejection.status
        with self._lock:
            return self._count(verified.dedupe_id or "", json.loads(body)["event_id"])

    def _count(self, webhook_id: str, event_id: str) -> int:
        self.tries[webhook_id] += 1
        if self.tries[webhook_id] == 1 and len(self.tries) % EVERY == 0:
            return 503
        self.taken[webhook_id] += 1
        self.event_of[webhook_id] = event_id
        return 204


class Receiver(ThreadingHTTPServer):
    """An HTTP server on a free port of 127.0.0.1, in a thread of its own; use as a context."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, inbox: Inbox) -> None:
        """Take where deliveries go."""
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.inbox = inbox
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def url(self) -> str:
        """Where to deliver to."""
        return f"http://127.0.0.1:{self.server_address[1]}/results"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        """Take one delivery."""
        length = int(self.headers.get("content-length", 0))
        if length > MOST:
            self.send_error(413)
            return
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        status = self.server.inbox.take(headers, self.rfile.read(length), datetime.now(UTC))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Stay silent: the demo's own table says what arrived."""
