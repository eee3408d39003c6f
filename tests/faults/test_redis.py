"""Faults of Redis: SIGKILL, absence, no memory, no disk, slowness, and replies in shreds."""

from __future__ import annotations

import time

import pytest
from stack import until

BACK = 10.0  # seconds after Redis returned: 5 are promised, the rest is for a loaded machine


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_redis_killed_under_load(world, play, fsync):
    with play.load(rate=10):
        for _ in play.times(short=2, long=20):
            world.direct.config_set("appendfsync", fsync)
            time.sleep(1.5)
            world.redis.kill()
            time.sleep(0.5)
            world.redis.start()
            play.recovered_since(time.monotonic())
    row = play.check(
        f"kill -9 of Redis, appendfsync {fsync}, under load", remark="a power loss can cost 1-2 s of everysec"
    )
    assert row.most <= BACK
    assert row.extra_calls == 0, "paid answers are held until Redis is back"


def test_redis_away_for_a_while(world, play):
    with play.load(rate=10):
        time.sleep(1)
        world.redis.kill()
        time.sleep(60 if play.long else 5)
        world.redis.start()
        play.recovered_since(time.monotonic())
    row = play.check(f"Redis down for {60 if play.long else 5} s")
    assert row.most <= BACK
    assert world.slowest_answer() < 4, "the gateways answer 503 in time"
    assert row.extra_calls == 0


def test_redis_at_its_maxmemory(world, play):
    with play.load(rate=10):
        time.sleep(1)
        world.direct.config_set("maxmemory", world.info("memory")["used_memory"])
        until(lambda: play.answers[503], within=10)
        admitted = len(play.acknowledged)
        until(lambda: not play._open(), within=20)
        time.sleep(60 if play.long else 1)
        assert len(play.acknowledged) == admitted, "nothing is accepted that could not be finished"
        world.direct.config_set("maxmemory", 0)
        play.recovered_since(time.monotonic())
    row = play.check(
        "Redis at maxmemory, noeviction", remark="new events get 503; what was accepted was finished meanwhile"
    )
    assert (row.extra_calls, row.dead) == (0, 0)


@pytest.mark.parametrize(
    ("latency", "piece", "fault"),
    [(0.15, 0, "Redis answers 0.3 s late"), (0.0, 3, "requests and replies of Redis arrive 3 bytes at a time")],
)
def test_slow_redis(world, play, latency, piece, fault):
    for proxy in (world.at_gateway, world.at_worker):
        proxy.latency, proxy.piece = latency, piece
    with play.load(rate=8):
        time.sleep(60 if play.long else 3)
    row = play.check(fault)
    assert (row.extra_calls, row.dead) == (0, 0)


def test_a_full_disk(world, play):
    with play.load(rate=10):
        time.sleep(1)
        world.fill_disk()
        until(lambda: play.answers[503], within=20)
        time.sleep(60 if play.long else 3)
        world.clear_disk()
        play.recovered_since(time.monotonic())
    row = play.check(
        "the disk of Redis is full, appendfsync everysec", remark="new events get 503; with always, Redis ends itself"
    )
    assert row.extra_calls == 0, "paid answers are held until there is room"
