"""One n8n for the session: it takes a minute to come up with all workflows."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from fakes.model_server import says, serve
from n8n.place import Place

from gateway.cli import embedded
from gateway.cli.embedded import Address, EmbeddedRedis, EmbeddedServer, find_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def private_redis(folder) -> Iterator[EmbeddedRedis]:
    """A durable server that a test may stop and start."""
    address = Address(port=embedded.free_port())
    server = EmbeddedRedis(EmbeddedServer(binary=find_server(), folder=folder, address=address))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Iterator[Place]:
    """Everything, with all workflows live and a worker."""
    folder = tmp_path_factory.mktemp("place")
    verdict = {"sentiment": "neutral", "urgency": "low", "language": "en", "reason": "Says thanks."}
    with (
        private_redis(tmp_path_factory.mktemp("redis")) as redis,
        serve() as model,
        Place(folder, redis, model_url=model.url) as made,
    ):
        model.default, made.model = says(verdict), model
        print("n8n: pushing the workflows", file=sys.stderr, flush=True)
        made.push()
        made.stack.start_worker()
        yield made


@pytest.fixture(autouse=True)
def _quiet(request) -> Iterator[None]:
    """Let each test begin with a chat that answers."""
    yield
    if "place" in request.fixturenames:
        chat = request.getfixturevalue("place").chat
        chat.status, chat.delay = 200, 0.0
