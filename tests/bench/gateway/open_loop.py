"""An open-loop sender: a fixed schedule of arrivals that no slow answer holds back; prints one JSON object.

PYTHONPATH=tests python -m bench.gateway.open_loop http://127.0.0.1:8420/hooks/blog --rate 500 --seconds 60

Latency runs from the moment a request was to be sent, so what waited for a free connection, or for this program, is
counted: https://github.com/giltene/wrk2#acknowledgements tells why.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import ctypes
import gc
import hashlib
import hmac
import json
import os
import secrets
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import uvloop
from bench.gateway.wrk import ACCEPTED, BODY
from stack import KEY

ROOT = Path(__file__).parents[3]
CONNECTIONS = 256
LEAD = 0.5  # seconds until the first request
DRAIN = 10.0  # seconds that the last answers may take
NUMBER = b"0000000000"
NANO = 1_000_000_000
MONOTONIC, NONBLOCK, ABSOLUTE = 1, 0o4000, 1  # of timerfd_create(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """What came of it; milliseconds. `late` is how far behind its schedule this program was."""

    rate: float
    seconds: float
    due: int
    accepted: int
    errors: dict[str, int]
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float


class Requests:
    """Makes distinct, signed requests, each as the bytes to write."""

    def __init__(self, url: SplitResult) -> None:
        """Take where they go."""
        before, after = BODY.read_bytes().split(NUMBER)
        self._before, self._after = before, after
        length = len(before) + len(NUMBER) + len(after)
        self._head = (
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nUser-Agent: bench/1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\nwebhook-id: "
        ).encode()
        self._name = f"msg_{secrets.token_hex(4)}"
        self._number = 0

    def make(self) -> bytes:
        """Make the next one, signed with the present second."""
        self._number += 1
        number, now = b"%010d" % self._number, str(int(time.time()))
        name = f"{self._name}{number.decode()}"
        body = self._before + number + self._after
        mac = base64.b64encode(hmac.digest(KEY, f"{name}.{now}.".encode() + body, hashlib.sha256)).decode()
        signed = f"{name}\r\nwebhook-timestamp: {now}\r\nwebhook-signature: v1,{mac}\r\n\r\n".encode()
        return self._head + signed + body


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, sender: Sender) -> None:
        """Take whom to tell of answers."""
        self._sender = sender
        self._transport: asyncio.WriteTransport
        self._intended: float | None = None
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = transport  # type: ignore[assignment]

    def send(self, request: bytes, intended: float) -> None:
        """Send a request that was due then."""
        self._intended, self._answer = intended, b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take an answer, and tell when it is whole."""
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if found and self._intended is not None and len(body) >= length_of(head):
            intended, self._intended = self._intended, None
            self._sender.answered(self, head[9:12].decode(), intended)

    def connection_lost(self, _: Exception | None) -> None:
        """Count it as an error, unless we have closed it."""
        if not self._sender.over:
            self._sender.errors["connection lost"] += 1

    def close(self) -> None:
        """Close it."""
        self._transport.close()


def length_of(head: bytes) -> int:
    """Give the Content-Length of an answer."""
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


class Sender:
    """Sends by the schedule over connections that are free; what finds none waits its turn, and the clock runs."""

    def __init__(self, requests: Requests, *, rate: float, due: int, settle: float = 0) -> None:
        """Take what to send, how many a second, how many in all, and in how many seconds latencies do not count yet."""
        self._requests, self._gap, self._due, self._settle = requests, 1 / rate, due, settle
        self._free: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._sent = self._early = 0
        self.connections: list[Connection] = []
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.errors: Counter[str] = Counter()
        self.over = False
        self.ended = asyncio.Event()

    async def connect(self, url: SplitResult, connections: int) -> None:
        """Open the connections."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: Connection(self), url.hostname, url.port)
            self.connections.append(connection)
        self._free.extend(self.connections)

    async def run(self) -> None:
        """Keep the schedule until its end, and wait for the answers."""
        loop, self._start = asyncio.get_running_loop(), time.monotonic() + LEAD
        timer = open_timer(self._start, self._gap)
        loop.add_reader(timer, self._tick, timer)
        try:
            async with asyncio.timeout(LEAD + self._due * self._gap + DRAIN):
                await self.ended.wait()
        except TimeoutError:
            self.errors["unanswered"] += self._due - self._over
        finally:
            loop.remove_reader(timer)
            os.close(timer)
            self.over = True
            for connection in self.connections:
                connection.close()

    def _tick(self, timer: int) -> None:
        for _ in range(int.from_bytes(os.read(timer, 8), "little")):
            if self._sent < self._due:
                intended = self._start + self._sent * self._gap
                self._sent += 1
                self.late.append(time.monotonic() - intended)
                self._send(intended)

    def _send(self, intended: float) -> None:
        if self._free:
            self._free.popleft().send(self._requests.make(), intended)
        else:
            self._waiting.append(intended)

    def answered(self, connection: Connection, status: str, intended: float) -> None:
        """Note an answer, and use the connection for what waits."""
        if status == ACCEPTED and intended < self._start + self._settle:
            self._early += 1
        elif status == ACCEPTED:
            self.latencies.append(time.monotonic() - intended)
        else:
            self.errors[status] += 1
        self._free.append(connection)
        if self._waiting:
            self._send(self._waiting.popleft())
        if self._over >= self._due:
            self.ended.set()

    @property
    def _over(self) -> int:
        return self._early + len(self.latencies) + sum(self.errors.values())


def open_timer(start: float, gap: float) -> int:
    """Open a timer of the kernel that fires at `start`, by the monotonic clock, and then every `gap` seconds.

    An event loop's own timers keep whole milliseconds.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    timer = libc.timerfd_create(MONOTONIC, NONBLOCK)
    times = (ctypes.c_long * 4)(*divmod(round(gap * NANO), NANO), *divmod(round(start * NANO), NANO))
    if timer < 0 or libc.timerfd_settime(timer, ABSOLUTE, times, None) < 0:
        raise OSError(ctypes.get_errno(), "no timer")
    return int(timer)


async def run(url: str, *, rate: float, seconds: float, connections: int = CONNECTIONS, settle: float = 0) -> OpenLoop:
    """Send at that rate for so long; the first `settle` seconds of it do not count."""
    parts = urlsplit(url)
    sender = Sender(Requests(parts), rate=rate, due=round(rate * seconds), settle=settle)
    await sender.connect(parts, connections)
    gc.collect()
    gc.disable()
    await sender.run()
    latencies, late = sorted(sender.latencies), sorted(sender.late)
    return OpenLoop(
        rate=round(rate, 1),
        seconds=seconds,
        due=round(rate * seconds),
        accepted=len(latencies),
        errors=dict(sender.errors),
        p50_ms=percentile_ms(latencies, 0.5),
        p99_ms=percentile_ms(latencies, 0.99),
        p999_ms=percentile_ms(latencies, 0.999),
        max_ms=percentile_ms(latencies, 1),
        late_p50_ms=percentile_ms(late, 0.5),
        late_p99_ms=percentile_ms(late, 0.99),
        late_max_ms=percentile_ms(late, 1),
    )


def percentile_ms(values: list[float], share: float) -> float:
    """Give the value of a sorted list below which that share of them lies, in milliseconds."""
    return round(values[min(len(values) - 1, int(len(values) * share))] * 1000, 2) if values else float("nan")


def ask(url: str, *, rate: float, seconds: float, settle: float = 0) -> OpenLoop:
    """Send from a process of its own, and wait for what it prints."""
    command = [sys.executable, "-m", "bench.gateway.open_loop", url]
    command += [f"--rate={rate}", f"--seconds={seconds}", f"--settle={settle}"]
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    told = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, timeout=seconds + 60)
    return OpenLoop(**json.loads(told.stdout))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--settle", type=float, default=0)
    print(json.dumps(asdict(uvloop.run(run(**vars(parser.parse_args()))))))


if __name__ == "__main__":
    main()
