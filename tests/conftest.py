"""Fixtures over real parts: a real Redis, started by the code that `hookmill up` uses."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import hypothesis
import pytest

from gateway.cli import embedded
from gateway.cli.embedded import Address, EmbeddedRedis, EmbeddedServer, find_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# A run in the background of a shell inherits an ignored SIGINT, and so would every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


# A busy machine is no failure: how long an example takes is for `tests/bench/` to tell.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


class OwnRedis(EmbeddedRedis):
    """A private server that a test may crash (`kill`), end (`stop`) and bring back (`restart`) at the same URL."""

    def restart(self) -> None:
        """Start it again; what comes back is what its append-only file holds."""
        self.stop()
        self.start()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """One server without persistence for the whole session."""
    server = EmbeddedRedis(
        EmbeddedServer(
            binary=find_server(),
            folder=tmp_path_factory.mktemp("redis"),
            address=Address(port=embedded.free_port()),
            options={"appendonly": "no"},
        )
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of the session's server, emptied for this test."""
    with socket.create_connection(("127.0.0.1", redis_server.server.address.port), timeout=5) as client:
        client.sendall(b"FLUSHALL\r\n")
        assert client.recv(64) == b"+OK\r\n"
    return redis_server.url


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., OwnRedis]]:
    """Start private, durable servers: `own_redis(maxmemory="8mb", appendfsync="always")`, `_` standing for `-`."""
    started: list[OwnRedis] = []

    def start(**options: str) -> OwnRedis:
        over = {name.replace("_", "-"): value for name, value in options.items()}
        server = OwnRedis(
            EmbeddedServer(
                binary=find_server(),
                folder=tmp_path_factory.mktemp("own-redis"),
                address=Address(port=embedded.free_port()),
                options={**embedded.DURABLE, **over},
            )
        )
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def module_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A durable server for the tests of one module, whose processes keep it open."""
    folder = tmp_path_factory.mktemp("module-redis")
    server = EmbeddedRedis(
        EmbeddedServer(binary=find_server(), folder=folder, address=Address(port=embedded.free_port()))
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody listens on."""
    return embedded.free_port()
