"""How many commands a run costs Redis: MONITOR tells those that workers send from those inside scripts."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = re.compile(rb'^\+[\d.]+ \[\d+ (\S+)\] "([^"]+)"', re.MULTILINE)
IN_SCRIPT = b"lua"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Commands by name; `sent` by workers, `inside` scripts."""

    sent: Counter[str] = field(default_factory=Counter)
    inside: Counter[str] = field(default_factory=Counter)


@contextmanager
def watching(url: str, *, but: str) -> Iterator[Seen]:
    """Count what Redis is told until the block ends, except by the client at that address."""
    seen, address = Seen(), urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as monitor:
        monitor.sendall(b"MONITOR\r\n")
        reading = threading.Thread(target=_read, args=(monitor, seen, but.encode()))
        reading.start()
        try:
            yield seen
        finally:
            monitor.shutdown(socket.SHUT_RD)
            reading.join()


def _read(monitor: socket.socket, seen: Seen, but: bytes) -> None:
    rest = b""
    while got := monitor.recv(1 << 20):
        whole, _, rest = (rest + got).rpartition(b"\n")
        for by, command in LINE.findall(whole):
            if by != but:
                (seen.inside if by == IN_SCRIPT else seen.sent)[command.decode().lower()] += 1
