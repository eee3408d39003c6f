"""A lane gives wake-ups in order, several at once where the server can."""

from __future__ import annotations

from datetime import timedelta

import pytest
from redis import Redis

from gateway.ledger.keys import key
from gateway.ledger.lanes import Lanes


@pytest.fixture
def lanes(redis_url):
    opened = Lanes(redis_url, block=timedelta(milliseconds=50))
    yield opened
    opened.close()


@pytest.fixture
def push(redis_url):
    def push(lane, *ids):
        with Redis.from_url(redis_url) as client:
            client.rpush(key("lane", lane), *ids)

    return push


def pop_all(lanes, *names, most):
    popped = []
    while got := lanes.pop(names, most):
        assert len(got) <= most
        popped += got
    return popped


def test_wake_ups_come_in_order_and_the_first_lane_first(lanes, push):
    push("normal", "c", "d", "e")
    push("high", "a", "b")
    popped = pop_all(lanes, "high", "normal", most=2)
    assert popped == [("high", "a"), ("high", "b"), ("normal", "c"), ("normal", "d"), ("normal", "e")]


def test_several_are_taken_in_one_go_by_a_server_that_can(lanes, push, redis_url):
    with Redis.from_url(redis_url) as client:
        can = client.info("server")["redis_version"] >= "7"
    push("normal", "a", "b", "c")
    assert len(lanes.pop(["normal"], 3)) == (3 if can else 1)


def test_an_empty_lane_gives_nothing(lanes):
    assert lanes.pop(["high", "normal"], 4) == []
    assert lanes.pop(["high", "normal"]) == []
