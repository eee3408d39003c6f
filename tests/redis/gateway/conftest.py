"""A gateway per test, and what it takes to start one in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from served import Served, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start gateways that end with the test: `start(redis_url, config=..., clock=...)`."""
    started: list[Served] = []

    def begin(redis_url: str, **options: object) -> Served:
        started.append(serve(tmp_path, redis_url, **options))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for served in started:
        served.stop()


@pytest.fixture
def http() -> str:
    """The HTTP parser of `gateway`; a module that is about the wire is run for each of `served.PARSERS`."""
    return "httptools"


@pytest.fixture
def gateway(start: Callable[..., Served], redis_url: str, http: str) -> Served:
    """A gateway over the session's Redis, with the sources of `served.CONFIG`."""
    return start(redis_url, http=http)
