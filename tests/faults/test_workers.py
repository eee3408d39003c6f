"""Faults of workers: SIGKILL at any moment, a wrong clock, poison, and rolling restarts."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest
from stack import until

from gateway.ledger.keys import key
from gateway.ledger.ledger import LEASE, MOST_LIVES

SLACK = 10.0  # seconds: a sweep a second, a renewal just before the kill, and a loaded machine


def test_workers_killed_at_random_moments_under_load(world, play):
    orphans = 0
    with play.load(rate=12):
        for _ in play.times(short=3, long=200):
            time.sleep(random.uniform(0.3, 2.5))
            orphans += play.kill_worker()
            world.start_worker(wait=False)
            until(lambda: len(world.workers) >= 2)
            if len(world.workers) < 3:
                world.ready()
    row = play.check("kill -9 of a worker at random moments, under load", remark=f"{orphans} runs lost their worker")
    assert orphans > 0, "some were killed at work"
    assert row.extra_calls <= orphans, "only what was in flight is paid again"
    assert row.most <= LEASE.total_seconds() + SLACK


@pytest.mark.parametrize(
    ("script", "fault", "extra"),
    [
        ("checkpoint", "kill -9 of a worker between the model's reply and its checkpoint", 1),
        ("finish", "kill -9 of a worker between the checkpoint and the acknowledgement", 0),
    ],
)
def test_a_worker_killed_at_one_moment(world, play, script, fault, extra):
    kills = play.times(short=1, long=10)
    for _ in kills:
        world.stand_up()
        struck = world.at_worker.strike(world.digest(script), do=lambda asked: play.kill_worker(world.owner(asked)))
        play.send(1)
        assert struck.wait(20), "it came to that moment"
        until(lambda: not play._open(), within=60)
    row = play.check(fault)
    assert row.extra_calls == extra * len(kills)
    assert row.most <= LEASE.total_seconds() + SLACK


@pytest.mark.slow
def test_a_worker_whose_clock_is_wrong_by_five_minutes(world, play):
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    path = os.pathsep.join([str(Path(__file__).parent / "clock"), os.environ.get("PYTHONPATH", "")])
    clock = {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "PYTHONPATH": path}
    honest = world.workers
    skewed = [world.start_worker(wait=False, FAKETIME=offset, **clock) for offset in ("+5m", "-5m")]
    world.ready()
    for worker in honest:
        world.stop(worker)
    with play.load(rate=10):
        time.sleep(60 if play.long else 5)
    remark = (
        "leases and waits are by Redis' clock; a receiver that checks our timestamp refuses what such a worker signs"
    )
    row = play.check("a worker's clock is wrong by +5 and by -5 minutes", remark=remark)
    for worker in skewed:
        world.stop(worker)
    assert (row.extra_calls, row.dead) == (0, 0)
    assert row.repetitions <= sum(unheard(world.log(worker)) for worker in skewed)


def unheard(log: str) -> int:
    """Count the posts to the sink whose answer did not come in time: what it took may be posted again."""
    attempts = [line for line in log.splitlines() if '"event":"delivery.attempted"' in line]
    return sum('"error_class":"transient"' in line for line in attempts)


def test_poison_by_exception_ends_as_a_dead_letter_and_hurts_no_neighbour(play):
    play.send(99)
    play.send(1, poison="raise")
    row = play.check("1 % poison: an exception at every attempt", remark="8 attempts, then a dead letter")
    assert (row.dead, row.extra_calls) == (1, 0)


@pytest.mark.slow
def test_poison_that_kills_its_process_ends_as_a_dead_letter(world, play):
    ended = threading.Event()
    deaths = [0]

    def supervise() -> None:
        while not ended.is_set():
            if len(world.workers) < 2:
                deaths[0] += 1
                world.start_worker(wait=False)
            if not play.long:  # what waits for the end of a dead worker's lease need not wait
                _end_leases(world)
            ended.wait(0.2)

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    try:
        play.send(1, poison="exit")
        play.send(99)
        remark = f"buried after {MOST_LIVES} lives" + ("" if play.long else "; the short form ends the leases by hand")
        row = play.check("1 % poison: os._exit at every attempt", within=300, remark=remark)
    finally:
        ended.set()
        supervisor.join()
    assert row.dead == 1
    assert deaths[0] == MOST_LIVES


def _end_leases(world) -> None:
    """End the leases of workers that are dead."""
    alive = {child for worker in world.workers for child in world.children(worker)}
    for run in world.direct.zrange(key("due"), 0, -1):
        state, fence = world.direct.hmget(key("work", run), "state", "fence")
        if state == "running" and fence.partition("/")[0].rpartition("-")[2] not in alive:
            world.direct.zadd(key("due"), {run: 1}, xx=True)


def test_undecodable_wake_ups_hurt_no_neighbour(world, play):
    for _ in play.times(short=2, long=100):
        for lane in ("normal", "deliveries"):
            world.direct.rpush(key("lane", lane), b"\xff\xfe\x00", "evt_nothing", "", "x" * 1000)
    sent = time.monotonic()
    play.send(20)
    play.recovered_since(sent)
    row = play.check("undecodable wake-ups among the others")
    assert (row.dead, row.extra_calls) == (0, 0)


@pytest.mark.slow
def test_everything_is_restarted_one_after_the_other_under_load(world, play):
    with play.load(rate=10):
        for _ in play.times(short=1, long=10):
            for port in world.ports:
                world.stop(world.gateways[port])
                world.start_gateway(port)
            old = world.workers
            for _ in old:
                world.start_worker(wait=False)
            world.ready()
            for worker in old:
                world.stop(worker)
    row = play.check("rolling SIGTERM of every gateway and worker, under load")
    assert (row.extra_calls, row.dead) == (0, 0)
