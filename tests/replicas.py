"""A primary, its replicas and their Sentinels, of real processes on loopback.

with Replicas(folder) as replicas:
    replicas.url                   # redis+sentinel://…, for whoever is to find the primary by itself
    replicas.cut()                 # the replicas lose their primary, and get nothing more of it
    replicas.primary.kill()        # and in a second or two the Sentinels make one of them the primary
    replicas.heal()                # all are back, and replicate
"""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from programs import example
from redis import Redis
from redis.exceptions import RedisError
from stack import until

from gateway.cli.embedded import DURABLE, Address, EmbeddedRedis, EmbeddedServer, find_server, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.cli.embedded import ServerBinary

NAME = "hookmill"


class Replicas:
    """The servers, the first of which is the primary at first, and the Sentinels; ends by pid what it started."""

    def __init__(self, folder: Path, *, replicas: int = 2, binary: ServerBinary | None = None) -> None:
        self.folder, self.binary = folder, binary or find_server()
        self.servers = [
            EmbeddedRedis(
                EmbeddedServer(
                    binary=self.binary,
                    folder=folder / f"redis{number}",
                    address=Address(port=free_port()),
                    options={**DURABLE, "repl-diskless-sync-delay": "0"},
                )
            )
            for number in range(replicas + 1)
        ]
        self.ports = [free_port() for _ in range(3)]
        self._sentinels: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.start()
            self._follow(self.servers[0])
            for number, port in enumerate(self.ports):
                self._sentinels.append(self._start_sentinel(self.folder / f"sentinel{number}", port))
            until(self._complete, within=20)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for sentinel in self._sentinels:
            sentinel.kill()
            sentinel.wait()
        for server in self.servers:
            server.kill()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+sentinel://{hosts}/{NAME}/0"

    @property
    def primary(self) -> EmbeddedRedis:
        """The primary, as the first Sentinel sees it; it may be dead."""
        with self._client(self.ports[0]) as sentinel:
            _, port = sentinel.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", NAME)
        return next(one for one in self.servers if one.server.address.port == int(port))

    @property
    def replicas(self) -> list[EmbeddedRedis]:
        primary = self.primary
        return [one for one in self.servers if one is not primary]

    def cut(self) -> None:
        """Let the replicas lose the primary, while the Sentinels still see all; a Sentinel mends that after 8 s."""
        nobody = free_port()
        for server in self.replicas:
            with self._client(server.server.address.port) as client:
                client.replicaof("127.0.0.1", str(nobody))

    def heal(self) -> None:
        """Start what is dead, and wait until all replicate from one primary and every Sentinel knows them."""
        for server in self.servers:
            if not server.pid:
                server.start()
        self._follow(self.primary)
        until(self._complete, within=20)

    def _follow(self, primary: EmbeddedRedis) -> None:
        for server in self.servers:
            if server is not primary:
                with self._client(server.server.address.port) as client:
                    client.replicaof("127.0.0.1", str(primary.server.address.port))

    def _start_sentinel(self, folder: Path, port: int) -> subprocess.Popen[bytes]:
        folder.mkdir()
        shown = {
            "port 26379": f"port {port}\nbind 127.0.0.1",
            "/var/lib/redis-sentinel": f'"{folder}"',
            "10.0.0.1 6379": f"127.0.0.1 {self.servers[0].server.address.port}",
            "milliseconds hookmill 5000": "milliseconds hookmill 1000",
            "timeout hookmill 60000": "timeout hookmill 3000",
        }
        (folder / "sentinel.conf").write_text(example("sentinel", shown))
        with (folder / "sentinel.log").open("ab") as log:
            command = [self.binary.path, str(folder / "sentinel.conf"), "--sentinel"]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _complete(self) -> bool:
        """Tell whether every Sentinel sees the others and a whole primary, to which all replicas are linked."""
        with suppress(RedisError, OSError, KeyError):
            with self._client(self.primary.server.address.port) as primary:
                linked = [primary.info("replication")[f"slave{n}"] for n in range(len(self.servers) - 1)]
            return all(one["state"] == "online" and one["lag"] <= 1 for one in linked) and all(
                self._sees_all(port) for port in self.ports
            )
        return False

    def _sees_all(self, port: int) -> bool:
        with self._client(port) as sentinel:
            seen = sentinel.sentinel_master(NAME)
        known = (seen["num-slaves"], seen["num-other-sentinels"])
        return seen["flags"] == "master" and known == (len(self.servers) - 1, len(self.ports) - 1)

    def _client(self, port: int) -> Redis:
        return Redis(port=port, socket_timeout=2, decode_responses=True, protocol=2)
