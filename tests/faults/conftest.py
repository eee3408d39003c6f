"""The options of the fault suite, the one world it plays in, and the table it writes."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults.checker import Row
from faults.play import Play
from faults.table import write
from faults.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.workermanage import WorkerController

ROWS = pytest.StashKey[list["Row"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="play the faults in full length")
    parser.addoption("--write", action="store_true", help="write the table of tests/faults/README.md from this run")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table; one of several processes hands its rows to the one that does."""
    rows = session.config.stash[ROWS]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["rows"] = [asdict(row) for row in rows]
    elif session.config.getoption("--write", default=False):
        write(Path(__file__).parent / "README.md", rows)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Take the rows of a process that has ended."""
    rows = getattr(node, "workeroutput", {}).get("rows", ())
    node.config.stash[ROWS] += [Row(**row) for row in rows]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture
def play(world: World, request: pytest.FixtureRequest) -> Iterator[Play]:
    """A play on the world, which is whole at its beginning; its row goes into the table."""
    world.stand_up()
    name = re.sub(r"[^a-z]", "", request.node.name.removeprefix("test_"))[:24]
    played = Play(world, name, long=request.config.getoption("--long", default=False))
    yield played
    if played.row:
        request.config.stash[ROWS].append(played.row)
