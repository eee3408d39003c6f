"""The ledger behaves equally on every server: these tests run on that of PATH, the bundled 6.2, and Valkey if any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from programs import servers

from gateway.cli import embedded
from gateway.cli.embedded import Address, EmbeddedRedis, EmbeddedServer, find_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.embedded import ServerBinary


def bundled() -> ServerBinary:
    """Find the server that is taken where PATH has none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        return find_server()


@pytest.fixture(scope="session")
def each_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, EmbeddedRedis]]:
    """Every server; without persistence, for the whole session."""
    started = {}
    for name, binary in {**servers(), "bundled": bundled()}.items():
        started[name] = EmbeddedRedis(
            EmbeddedServer(
                binary=binary,
                folder=tmp_path_factory.mktemp(f"{name}-redis"),
                address=Address(port=embedded.free_port()),
                options={"appendonly": "no"},
            )
        )
        started[name].start()
    yield started
    for server in started.values():
        server.stop()


@pytest.fixture(params=[*servers(), "bundled"])
def server_of(request: pytest.FixtureRequest) -> str:
    """Where the server of this test comes from; apart from `redis_server`, which would start anew for each value."""
    return request.param


@pytest.fixture
def redis_server(server_of: str, each_server: dict[str, EmbeddedRedis]) -> EmbeddedRedis:
    """One after the other; `redis_url` empties it."""
    return each_server[server_of]
