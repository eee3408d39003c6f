"""The listener as a target: streams of bytes, broken as a network and an attacker break them, at a real gateway.

Each answer must be well-formed HTTP and no 5xx, the server must live on and log no error, and nothing may be stored but
what was signed.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from fuzz.senders import ALL, NOW, secret_of
from fuzz.streams import OWNER, URL, make_stream
from redis import Redis
from served import CONFIG, Served, put_token, read_answer, serve

from gateway.ledger.keys import KEYS

if TYPE_CHECKING:
    from pathlib import Path

    from fuzz.choices import Choices
    from fuzz.streams import Stream

STATUS = re.compile(r"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*")
LINE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\t -~\x80-\xff]*")


class Errors(logging.Handler):
    """Keeps what is logged as an error, wherever in the process: a traceback, an exception in a protocol."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))

    def check(self) -> None:
        """Fail if an error was logged since the last time."""
        seen, self.seen = self.seen, []
        assert not seen, "\n".join(seen)


class Front:
    """A running gateway with the sources of `served.CONFIG` and one for every scheme, and what watches it."""

    def __init__(self, served: Served, *, redis_url: str, errors: Errors, fit: set[bytes]) -> None:
        self.served, self.errors = served, errors
        self.redis = Redis.from_url(redis_url)
        self.before = set(self.redis.keys("*"))
        self.fit = fit  # bodies that may be stored
        self.line: socket.socket | None = None

    def judge(self, choices: Choices, *, genuine: bool = False) -> None:
        """Send one stream and check all that came of it; without a genuine request in it, nothing may be stored."""
        stream = make_stream(choices, genuine=genuine)
        received, whole = self.send(stream)
        assert b"Traceback" not in received
        check_answers(received, whole=whole, head=b"HEAD" in b"".join(stream.parts))
        self.ping()
        self.errors.check()
        self.fit.update(stream.fit)
        if genuine:
            assert self.stored_bodies() <= self.fit
        else:
            assert set(self.redis.keys("*")) == self.before

    def send(self, stream: Stream) -> tuple[bytes, bool]:
        """Send the parts, each read before the next; give what came back, and whether it must be whole."""
        with socket.create_connection(("127.0.0.1", self.served.port), timeout=5) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in stream.parts:
                with suppress(BrokenPipeError, ConnectionResetError):
                    client.sendall(part)
                self.ping()
            if stream.end == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return b"", False
            if stream.end == "half":
                with suppress(OSError):
                    client.shutdown(socket.SHUT_WR)
            self.ping()
            self.ping()
            received, ended = receive(client, wait=0.2 if stream.end == "wait" else 0)
            return received, ended and stream.end != "half"

    def ping(self) -> None:
        """Wait until the server has answered on another connection: it lives, and has read what came before."""
        for _ in range(2):
            try:
                if self.line is None:
                    self.line = socket.create_connection(("127.0.0.1", self.served.port), timeout=5)
                self.line.sendall(b"GET /live HTTP/1.1\r\nhost: gw\r\n\r\n")
                assert read_answer(self.line).status == 200
            except ConnectionError:  # it was idle for too long
                self.line.close()
                self.line = None
            else:
                return
        raise AssertionError("the server does not answer any more")

    def stored_bodies(self) -> set[bytes]:
        return {self.redis.hget(name, "body") for name in self.redis.scan_iter(KEYS["event"] + "*")}

    def close(self) -> None:
        """End it, and check that it ends."""
        if self.line:
            self.line.close()
        self.served.stop()
        self.redis.close()
        logging.getLogger().removeHandler(self.errors)
        assert not self.served.thread.is_alive()
        self.errors.check()


def open_front(folder: Path, redis_url: str, *, http: str, fit: set[bytes]) -> Front:
    """Start a gateway whose clock stands still; `fit` is where the bodies are noted that may be stored."""
    errors = Errors()
    logging.getLogger().addHandler(errors)
    secrets = {f"FUZZ_{number}": secret_of(scheme, OWNER).decode() for number, scheme in enumerate(ALL)}
    config = CONFIG + "".join(source(number) for number in range(len(ALL)))
    served = serve(folder, redis_url, config=config, clock=lambda: NOW, http=http, **secrets)
    put_token(served)
    return Front(served, redis_url=redis_url, errors=errors, fit=fit)


def source(number: int) -> str:
    """Write a source for one scheme."""
    scheme = ALL[number]
    lines = [f"[sources.fuzz-{scheme.name}]", f'scheme = "{scheme.name}"', f'secrets = ["env:FUZZ_{number}"]']
    lines += ['pipeline = "comment-sentiment"', 'body_timeout = "100ms"']
    lines += [f'public_url = "{URL}"'] if scheme.signs_url else []
    lines += ['verify_token = "env:PLAIN"'] if scheme.handshake and scheme.handshake.verify_token else []
    return "\n" + "\n".join(lines) + "\n"


def receive(client: socket.socket, *, wait: float) -> tuple[bytes, bool]:
    """Read what is there, or what comes within `wait` seconds; tell whether the server ended it in order."""
    received = b""
    client.settimeout(wait)
    try:
        while part := client.recv(65536):
            received += part
    except (TimeoutError, BlockingIOError, ConnectionResetError):
        return received, False
    return received, True


def check_answers(received: bytes, *, whole: bool, head: bool) -> None:
    """Read a stream of answers, strictly; unless it must be `whole`, the last one may be cut off."""
    while received:
        top, end, rest = received.partition(b"\r\n\r\n")
        if not end:
            assert not whole, received
            return
        first, *lines = top.decode("latin-1").split("\r\n")
        status = STATUS.fullmatch(first)
        assert status, received
        assert int(status[1]) < 500, received
        assert all(LINE.fullmatch(line) for line in lines), received
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        received = check_body(int(status[1]), headers, rest, whole=whole, head=head)


def check_body(status: int, headers: list[tuple[str, str]], rest: bytes, *, whole: bool, head: bool) -> bytes:
    """Check the body that follows a head; gives what follows the body."""
    named, framing = dict(headers), [name for name, _ in headers if name in {"content-length", "transfer-encoding"}]
    if status < 200 or status == 204:
        return rest
    assert len(framing) <= 1, headers
    if head and framing and (not rest or rest.startswith(b"HTTP/1.1 ")):
        return rest  # the answer to a HEAD
    if "transfer-encoding" in named:
        return after_chunks(rest, whole=whole)
    if "content-length" not in named:
        assert named.get("connection") == "close", headers
        return b""
    length = int(named["content-length"])
    assert len(rest) >= length or not whole, rest
    if named.get("content-type") == "application/problem+json" and len(rest) >= length:
        problem = json.loads(rest[:length])
        assert problem["status"] == status
        assert re.fullmatch("[a-z_]+", problem["code"])
    return rest[length:]


def after_chunks(rest: bytes, *, whole: bool) -> bytes:
    """Give what follows a body in chunks."""
    while chunk := re.match(rb"([0-9a-f]+)\r\n", rest):
        size, rest = int(chunk[1], 16), rest[chunk.end() :]
        ended, rest = rest[size : size + 2], rest[size + 2 :]
        assert ended == b"\r\n" or not whole, rest
        if size == 0:
            return rest
    assert not whole, rest
    return b""
