"""Faults of a replicated Redis: its primary dies under load and Sentinels choose another, with WAIT and without."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from faults.world import World
from replicas import Replicas
from stack import until

if TYPE_CHECKING:
    from collections.abc import Iterator

WITH_WAIT = "[gateway]\nwait_replicas = 1\n"
BEHIND = 1.0  # seconds that the replicas are without their primary before it dies
BACK = 30.0  # seconds to the next result: 2 or 3, 6 more for each vote of the Sentinels without a majority, and load


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("watched")
    with Replicas(folder) as replicas, World(folder, replicas=replicas) as opened:
        yield opened


@pytest.fixture(params=[False, True], ids=["without-wait", "with-wait"])
def waits(request, world) -> bool:
    """Gateways that accept an event once the primary has it, or once a replica has it, too."""
    world.configure(WITH_WAIT if request.param else "")
    for port in world.ports:
        world.stop(world.gateways[port])
    return request.param


def test_the_primary_is_killed_under_load(waits, world, play):
    with play.load(rate=10):
        time.sleep(60 if play.long else 2)
        kill_primary(world, play)
    row = play.check(f"kill -9 of Redis' primary, failover {named(waits)}", may_lose=not waits)
    assert row.most <= BACK


@pytest.mark.slow
def test_the_primary_is_killed_while_its_replicas_are_behind(waits, world, play):
    with play.load(rate=10):
        time.sleep(60 if play.long else 2)
        world.replicas.cut()
        time.sleep(BEHIND)
        refused = play.answers[503]
        kill_primary(world, play)
    events = f"senders were told 503 {refused} times in it" if waits else "senders were told 202 of what is lost"
    remark = f"what was saved in that second is gone: its answers are paid for again, and {events}"
    fault = f"kill -9 of Redis' primary, its replicas {BEHIND:.0f} s behind, failover {named(waits)}"
    row = play.check(fault, remark=remark, may_lose=not waits)
    assert row.most <= BACK
    assert bool(row.lost) != waits, "what no replica has is lost, unless it was not accepted"
    assert bool(refused) == waits


def kill_primary(world, play):
    """Kill it; recovered is who has a result that came after another one was chosen."""
    killed, old = time.monotonic(), world.replicas.primary
    old.kill()
    until(lambda: world.replicas.primary is not old, within=BACK)
    play.recovered_since(killed)


def named(waits):
    return "with `wait_replicas = 1`" if waits else "without WAIT"
