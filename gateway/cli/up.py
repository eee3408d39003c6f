"""`hookmill up`: everything on one machine: Redis, the gateway and the workers, started and ended together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.claim import claim, make_signing_key, write_running
from gateway.cli.embedded import Address, EmbeddedServer, find_server
from gateway.cli.faults import Fault
from gateway.cli.supervise import Note, Part, Supervised
from gateway.cli.worker import worker_command, worker_environment
from gateway.ledger import open_ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

    from gateway.settings import Settings

RISE = timedelta(seconds=60)
"""How long everything may take to become ready."""

QUICK_ENDS = 3  # of a part in a row, before we were ready: it will not get better
KILLED = 130  # the exit code when a second signal ended everything at once
LONGEST_SOCKET = 100  # bytes of a Unix socket's path; the kernel's limit is 104 (macOS) or 108 (Linux)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where this `up` runs: its folder, what children inherit, its listener, and the size of the worker."""

    settings: Settings
    env: Mapping[str, str] = field(repr=False)
    host: str
    port: int
    admin_port: int
    workers: int
    threads: int
    delivery_threads: int

    @property
    def folder(self) -> Path:
        """The folder that holds our files."""
        return self.settings.data.resolve()

    @property
    def url(self) -> str:
        """The gateway's address for people and clients on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


async def up(
    settings: Settings,
    *,
    host: str,
    port: int,
    workers: int,
    threads: int,
    on_event: Callable[[Note], None],
    delivery_threads: int = 8,
    admin_port: int = 0,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run everything until SIGINT or SIGTERM, then end it in order; gives the exit code. Fault when it cannot start.

    A second signal ends everything at once. With HOOKMILL_REDIS_URL in the environment that Redis is used. There is no
    admin listener where its port is 0.
    """
    site = Site(
        settings=settings,
        env=os.environ if env is None else env,
        host=host,
        port=port,
        admin_port=admin_port,
        workers=workers,
        threads=threads,
        delivery_threads=delivery_threads,
    )
    with claim(site.folder) as lock, _socket_folder(site.folder) as sockets:
        check_free(host, port)
        (site.folder / "up.json").unlink(missing_ok=True)  # of one that crashed
        if settings.signing_key is None and make_signing_key(site.folder / "signing.key"):
            on_event(Note(part="up", text=f"made {site.folder / 'signing.key'}"))
        return await _live(_Crew(site, lock, sockets, on_event))


def check_free(host: str, port: int) -> None:
    """Raise Fault when we cannot listen there."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise Fault(f"cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}") from None


@contextlib.contextmanager
def _socket_folder(data: Path) -> Iterator[Path]:
    """Give the folder of Redis's socket: beside its file, or a short temporary one where the path would be too long."""
    own = data / "redis"
    own.mkdir(mode=0o700, exist_ok=True)
    if len(os.fsencode(own / "redis.sock")) <= LONGEST_SOCKET:
        yield own
        return
    short = Path(tempfile.mkdtemp(prefix="hookmill-"))
    try:
        yield short
    finally:
        shutil.rmtree(short, ignore_errors=True)


class _Crew:
    """The parts of one `up`, in the order in which they start."""

    def __init__(self, site: Site, lock: int, sockets: Path, tell: Callable[[Note], None]) -> None:
        self.site = site
        self.tell = tell
        self.killed = False
        self.redis_url = site.env.get("HOOKMILL_REDIS_URL", "").strip()
        self._address: Address | None = None
        self._parts: list[Supervised] = []
        if not self.redis_url:
            self._address = Address(unix=sockets / "redis.sock")
            self.redis_url = self._address.url
            self._parts.append(Supervised(self._redis_part(self._address, lock), tell))
        env = self._environment()
        self._parts.extend(Supervised(part, tell) for part in (_gateway_part(site, env), _worker_part(site, env)))

    def _redis_part(self, address: Address, lock: int) -> Part:
        binary = find_server()
        if binary.remark:
            self.tell(Note(part="redis", text=binary.remark))
        server = EmbeddedServer(binary=binary, folder=self.site.folder / "redis", address=address)
        return Part(name="redis", command=server.command, env=self.site.env, fds=(lock,))

    def _environment(self) -> dict[str, str]:
        settings = self.site.settings
        return {
            **self.site.env,
            "HOOKMILL_REDIS_URL": self.redis_url,
            "HOOKMILL_CONFIG": str(settings.config.resolve()),
            "HOOKMILL_MODELS": str(settings.models.resolve()),
            "HOOKMILL_DATA": str(self.site.folder),
            "PYTHONUNBUFFERED": "1",
        }

    async def rise(self) -> None:
        """Start everything; wait until the gateway is ready and a worker was seen; Fault when that takes too long."""
        try:
            async with asyncio.timeout(RISE.total_seconds()):
                await self._rise()
        except TimeoutError:
            raise Fault(f"not ready after {RISE.total_seconds():g} s; the lines above tell why") from None
        write_running(self.site.folder / "up.json", redis_url=self.redis_url, url=self.site.url)
        self.tell(Note(part="up", text=f"ready: {self.site.url}"))

    async def _rise(self) -> None:
        parts = list(self._parts)
        if address := self._address:
            parts.pop(0).start()
            await self._until(lambda: asyncio.to_thread(address.answers))
        for part in parts:
            part.start()
        await self._until(lambda: is_ready(self.site))
        await self._until(lambda: has_worker(self.redis_url))

    async def _until(self, answers: Callable[[], Awaitable[bool]]) -> None:
        while not await answers():
            for part in self._parts:
                if part.failures >= QUICK_ENDS:
                    raise Fault(f"{part.part.name} does not start; the lines above tell why")
            await asyncio.sleep(0.05)

    async def drain(self) -> None:
        """End everything in order: the gateway takes no more, the workers finish, Redis saves."""
        (self.site.folder / "up.json").unlink(missing_ok=True)
        order = ("gateway", "worker", "redis")
        for part in sorted(self._parts, key=lambda one: order.index(one.part.name)):
            await part.drain()

    def kill(self) -> None:
        """End everything at once."""
        self.killed = True
        for part in self._parts:
            part.kill()


def _gateway_part(site: Site, env: Mapping[str, str]) -> Part:
    command = [sys.executable, "-m", "gateway.serve", "--host", site.host, "--port", str(site.port)]
    aside = ["--admin-port", str(site.admin_port)] if site.admin_port else []
    return Part(name="gateway", command=[*command, *aside], env=env)


def _worker_part(site: Site, env: Mapping[str, str]) -> Part:
    command = worker_command(threads=site.threads + site.delivery_threads, processes=site.workers)
    shares = worker_environment(run_threads=site.threads, delivery_threads=site.delivery_threads)
    return Part(name="worker", command=command, env={**env, **shares})


async def _live(crew: _Crew) -> int:
    """Start everything, wait for a signal, end everything."""
    async with _signals(crew) as asked:
        rising = asyncio.create_task(crew.rise())
        try:
            await asyncio.wait({rising, asked}, return_when=asyncio.FIRST_COMPLETED)
            if rising.done():
                await rising
                await asked
        finally:
            rising.cancel()
            crew.tell(Note(part="up", text="draining; once more to stop at once"))
            await crew.drain()
    return KILLED if crew.killed else 0


@contextlib.asynccontextmanager
async def _signals(crew: _Crew) -> AsyncIterator[asyncio.Future[None]]:
    """Yield what the first SIGINT or SIGTERM completes; the second kills everything."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def heard() -> None:
        if asked.done():
            crew.kill()
        else:
            asked.set_result(None)

    heeded: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
    for number in heeded:
        loop.add_signal_handler(number, heard)
    try:
        yield asked
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)


async def has_worker(redis_url: str) -> bool:
    """Look whether a worker has begun to sweep: then it takes work."""
    ledger = await open_ledger(redis_url)
    try:
        return bool((await ledger.stats()).workers)
    finally:
        await ledger.close()


async def is_ready(site: Site) -> bool:
    """Ask the gateway's /ready; False while it does not answer 200 within a second."""
    host = site.url.removeprefix("http://").rpartition(":")[0].strip("[]")
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(host, site.port)
            try:
                writer.write(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split(b" ")[1:2] == [b"200"]
