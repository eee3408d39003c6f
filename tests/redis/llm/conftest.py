"""LiteLLM imported once, one event loop as in a worker, and a server that misbehaves as scripted."""

from __future__ import annotations

import pytest
from fakes.model_server import serve

from actors.llm import provider


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
async def prepared(anyio_backend):  # noqa: ARG001 - a session's fixture needs a session's loop
    yield provider.prepare()
    await provider.close()


@pytest.fixture
def fake():
    with serve() as server:
        yield server
