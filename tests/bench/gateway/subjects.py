"""What is measured: each subject is one server process, started here with a redis-server of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from bench.burst import make_redis
from bench.peers import peers_python
from stack import KEY, SECRET, until

from gateway.cli.embedded import EmbeddedRedis, free_port
from gateway.ledger import open_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
APPS = Path(__file__).parent / "apps"
MODULE = ("-m",)
UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
CONFIG = """
[gateway]
max_backlog = 100_000_000   # no worker runs, so events pile up

[sources.blog]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "comment-sentiment"
sinks = []
max_backlog = 100_000_000
"""
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A server that takes events at `url`; `stored` counts what it has stored, `clear` forgets all of it."""

    name: str
    url: str
    pid: int
    redis: EmbeddedRedis | None = None
    stored: Callable[[], int] | None = None
    clear: Callable[[], None] = lambda: None

    @property
    def cpu(self) -> float:
        """Seconds of CPU, user and system, that the server process has used."""
        return cpu_seconds(self.pid)

    @property
    def system(self) -> float:
        """The part of it that the kernel used."""
        return cpu_seconds(self.pid, fields=slice(12, 15, 2))

    @property
    def redis_cpu(self) -> float:
        """The same of its Redis, with the children that rewrote its file."""
        return cpu_seconds(self.redis.pid) if self.redis else 0.0

    @property
    def memory(self) -> int:
        """Bytes that its Redis uses."""
        return used_memory(self.redis.url) if self.redis else 0


def cpu_seconds(pid: int, *, fields: slice = slice(11, 15)) -> float:
    """Give user and system time of a process and of its children that are over: proc_pid_stat(5)."""
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, told[fields])) / TICK


def used_memory(url: str) -> int:
    """Give the bytes that a Redis uses."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("memory")["used_memory"])


@contextmanager
def bare(folder: Path, *, runner: tuple[str, ...] = MODULE) -> Iterator[Subject]:
    """The bare Starlette route."""
    with _uvicorn((sys.executable, *runner), "bare:app", folder, {}) as (url, pid):
        yield Subject(name="bare route", url=url, pid=pid)


@contextmanager
def hookmill(
    folder: Path,
    *,
    options: dict[str, str] | None = None,
    runner: tuple[str, ...] = MODULE,
    env: dict[str, str] | None = None,
    name: str = "gateway",
) -> Iterator[Subject]:
    """Our gateway as `hookmill gateway` runs it, its log in a file; `options` are of its Redis."""
    with own_redis(folder, options) as server:
        (folder / "hookmill.toml").write_text(CONFIG)
        env = {
            "HOOKMILL_REDIS_URL": server.url,
            "HOOKMILL_CONFIG": str(folder / "hookmill.toml"),
            "HOOKMILL_DATA": str(folder / "data"),
            "BLOG_SECRET": SECRET,
            **(env or {}),
        }
        port = free_port()
        command = [sys.executable, *runner, "gateway.serve", "--host", "127.0.0.1", "--port", str(port)]
        with _serving(command, folder, env, port) as (url, pid):
            yield Subject(
                name=name,
                url=url,
                pid=pid,
                redis=server,
                stored=lambda: asyncio.run(_accepted(server.url)),
                clear=lambda: _flush(server.url),
            )


@contextmanager
def otlp_sink(folder: Path, *, mode: str = "", port: int = 0) -> Iterator[tuple[str, int]]:
    """A collector, well or ill as `apps/otlp_sink.py` tells; gives its URL and the process id."""
    with _uvicorn((sys.executable, *MODULE), "otlp_sink:app", folder, {"BENCH_MODE": mode}, port) as (url, pid):
        yield url.removesuffix("/hooks/blog"), pid


@contextmanager
def usual(folder: Path) -> Iterator[Subject]:
    """The usual design."""
    with own_redis(folder) as server:
        env = {"REDIS_URL": server.url, "BENCH_KEY": KEY.decode()}
        with _uvicorn((str(peers_python()), *MODULE), "usual:app", folder, env) as (url, pid):
            yield Subject(
                name="usual design",
                url=url,
                pid=pid,
                redis=server,
                stored=lambda: _queued(server.url),
                clear=lambda: _purge(server.url),
            )


@contextmanager
def own_redis(folder: Path, options: dict[str, str] | None = None) -> Iterator[EmbeddedRedis]:
    """A Redis with an append-only file written every second, and no bound on its memory."""
    folder.mkdir(parents=True, exist_ok=True)
    server = make_redis(folder / "redis", options)
    server.start()
    try:
        yield server
    finally:
        server.kill()  # what it has stored is thrown away with the folder


@contextmanager
def _uvicorn(
    python: tuple[str, ...], app: str, folder: Path, env: dict[str, str], port: int = 0
) -> Iterator[tuple[str, int]]:
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = [*python, "uvicorn", app, "--app-dir", str(APPS), *UVICORN, "--port", str(port)]
    with _serving(command, folder, env, port) as served:
        yield served


@contextmanager
def _serving(command: list[str], folder: Path, env: dict[str, str], port: int) -> Iterator[tuple[str, int]]:
    """Start it and wait until it listens; gives the URL of the source and the process id."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HOOKMILL_")} | env
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=env | {"PYTHONPATH": str(ROOT)}, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        until(lambda: _listens(process, port, folder), within=60)
        yield f"http://127.0.0.1:{port}/hooks/blog", process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(process: subprocess.Popen[bytes], port: int, folder: Path) -> bool:
    if process.poll() is not None:
        raise SystemExit(f"a subject did not start: {(folder / 'server.log').read_text()[-2000:]}")
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


async def _accepted(url: str) -> int:
    ledger = await open_ledger(url)
    try:
        return (await ledger.stats()).counts.get("accepted", 0)
    finally:
        await ledger.close()


def _flush(url: str) -> None:
    with redis.Redis.from_url(url, socket_timeout=60) as client:
        client.flushall()
        _rewrite(client)


def _queued(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.llen("celery"))


def _purge(url: str) -> None:
    """Forget the events, but not Celery's bindings: it would not make them again."""
    with redis.Redis.from_url(url, db=1, socket_timeout=60) as client:
        client.flushdb()
    with redis.Redis.from_url(url, socket_timeout=60) as client:
        client.delete("celery")
        _rewrite(client)


def _rewrite(client: redis.Redis) -> None:
    """Let the append-only file begin anew, so that it stays small and each round finds it alike."""
    until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], within=60)
    client.bgrewriteaof()
    time.sleep(0.05)
    until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], within=60)
