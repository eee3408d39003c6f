"""The ledger behaves equally on every server we start: these tests run against the one of PATH and the bundled 6.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.cli import embedded
from gateway.cli.embedded import Address, EmbeddedRedis, EmbeddedServer, find_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def bundled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """The server that is found where PATH has none; without persistence, for the whole session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        binary = find_server()
    server = EmbeddedRedis(
        EmbeddedServer(
            binary=binary,
            folder=tmp_path_factory.mktemp("bundled-redis"),
            address=Address(port=embedded.free_port()),
            options={"appendonly": "no"},
        )
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["path", "bundled"])
def server_of(request: pytest.FixtureRequest) -> str:
    """Where the server of this test comes from; apart from `redis_server`, which would start anew for each value."""
    return request.param


@pytest.fixture
def redis_server(server_of: str, redis_server: EmbeddedRedis, bundled_server: EmbeddedRedis) -> EmbeddedRedis:
    """One after the other; `redis_url` empties it."""
    return {"path": redis_server, "bundled": bundled_server}[server_of]
