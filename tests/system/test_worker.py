"""Real worker processes: lanes of their own, steps that compute, records that are broken, pipelines that come later."""

from __future__ import annotations

import json
import os
import time

import pytest
from redis import Redis
from stack import Stack, until

from gateway.ledger.keys import key

SOURCE = """
[sources.{name}]
scheme = "standard"
secrets = ["env:BLOG_SECRET"]
pipeline = "app.py:{pipeline}"
priority = "{priority}"
concurrency = {{concurrency}}
"""
APP = """
import asyncio, os, time
from pathlib import Path
from hookmill import Run, pipeline

async def nap() -> None:
    await asyncio.sleep(0.03)

@pipeline("napping")
async def napping(run: Run) -> dict:
    await run.step("nap", nap)
    return {"at": time.time()}

def spin(seconds: float) -> int:
    Path(f"spinning-{os.getpid()}").touch()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return os.getpid()

@pipeline("spinning")
async def spinning(run: Run) -> int:
    return await run.step("spin", spin, run.event.json["seconds"], where="process")
"""


@pytest.fixture
def start(tmp_path, redis_url):
    """Start a gateway with these sources: name -> (pipeline, priority)."""
    stacks = []

    def begin(sources, *, more="", app=APP, **options):
        (tmp_path / "app.py").write_text(app)
        tables = [SOURCE.format(name=name, pipeline=one, priority=lane) for name, (one, lane) in sources.items()]
        stack = Stack(tmp_path, redis_url, config="".join(tables) + more, **options)
        stacks.append(stack)
        stack.start_gateway()
        return stack

    yield begin
    for stack in stacks:
        stack.__exit__()


def send(stack, source, body=b"{}"):
    return stack.post(body, source=source).json()["event_id"]


def states(stack, ids):
    return [stack.show(one).state for one in ids]


def test_a_worker_works_the_lanes_it_was_given_and_another_one_the_rest(start):
    stack = start({"urgent": ("napping", "high"), "slow": ("napping", "low")})
    stack.start_worker(lanes=("high", "normal"), deliveries=0)
    low, high = send(stack, "slow"), send(stack, "urgent")
    until(lambda: stack.show(high).state == "done")
    time.sleep(1)
    assert stack.show(low).state == "queued"
    stack.start_worker(lanes=("low", "deliveries"))
    until(lambda: stack.show(low).state == "done")


def test_a_flood_in_the_high_lane_does_not_starve_the_low_one(start):
    stack = start({"urgent": ("napping", "high"), "slow": ("napping", "low")}, concurrency=100)
    high = [send(stack, "urgent", b"%d" % number) for number in range(60)]
    low = [send(stack, "slow", b"%d" % number) for number in range(3)]
    stack.start_worker(runs=1)
    until(lambda: set(states(stack, high + low)) == {"done"}, every=0.5)
    last = {name: max(stack.show(one).result["at"] for one in ids) for name, ids in (("high", high), ("low", low))}
    assert last["low"] < last["high"]


def test_steps_that_compute_hold_neither_the_runs_of_others_nor_their_worker(start):
    stack = start({"heavy": ("spinning", "high"), "light": ("napping", "normal")})
    stack.start_worker(runs=2, step_processes=1)
    heavy = [send(stack, "heavy", json.dumps({"seconds": 3, "number": number}).encode()) for number in range(4)]
    until(lambda: list(stack.folder.glob("spinning-*")))
    light = [send(stack, "light", b"%d" % number) for number in range(5)]
    until(lambda: set(states(stack, light)) == {"done"})
    assert "done" not in states(stack, heavy[-1:])
    until(lambda: set(states(stack, heavy)) == {"done"}, within=60)
    assert {stack.show(one).attempts for one in heavy} == {0}


def test_a_process_that_computes_dies_with_its_worker(start):
    stack = start({"heavy": ("spinning", "normal")})
    worker = stack.start_worker(step_processes=1)
    event_id = send(stack, "heavy", b'{"seconds": 600}')
    (mark,) = until(lambda: list(stack.folder.glob("spinning-*")))
    pid = int(mark.name.partition("-")[2])
    os.kill(pid, 0)
    stack.kill(worker)
    until(lambda: not alive(pid))
    assert stack.show(event_id).state in {"running", "queued"}, "it is recovered when its lease is over"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - as short as it gets
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_cannot_be_read_is_set_aside_and_its_neighbours_go_on(start):
    stack = start({"blog": ("napping", "normal")}, concurrency=2)
    ids = [send(stack, "blog", b"%d" % number) for number in range(6)]
    with Redis.from_url(stack.redis_url) as redis:
        redis.hset(key("event", ids[0]), "record", b"\xff\x00 garbage")
        redis.hset(key("work", ids[1]), "timeout", "garbage")
        redis.delete(key("event", ids[2]))
        redis.lpush(key("lane", "normal"), b"\xff\xfe garbage", b"evt_nothing", b"")
    stack.start_worker(runs=2)
    until(lambda: states(stack, ids) == ["dead"] * 3 + ["done"] * 3)
    assert {stack.show(one).error_class for one in ids[:3]} == {"undecodable"}
    after = send(stack, "blog", b"7")
    until(lambda: stack.show(after).state == "done")


def test_an_unknown_pipeline_makes_a_dead_letter_that_can_be_replayed_once_it_is_there(start):
    stack = start({"blog": ("later", "normal")})
    first = stack.start_worker()
    event_id = send(stack, "blog")
    until(lambda: stack.show(event_id).state == "dead")
    assert stack.show(event_id).error_class == "unknown_pipeline"
    assert "has no 'later'" in stack.show(event_id).reason
    stack.kill(first)
    (stack.folder / "app.py").write_text(APP.replace("napping", "later"))
    stack.start_worker()
    assert stack.call(lambda ledger: ledger.replay(event_id)) == "queued"
    until(lambda: stack.show(event_id).state == "done")


def test_two_workers_make_one_event_of_each_due_time(start):
    more = '\n[schedules.pulse]\nsource = "blog"\nevery = "1s"\n'
    stack = start({"blog": ("napping", "normal")}, more=more)
    stack.start_worker()
    stack.start_worker()
    views = until(lambda: len(found := stack.call(lambda ledger: ledger.events())) >= 5 and found)
    until(lambda: set(states(stack, [view.id for view in views])) == {"done"})
    with Redis.from_url(stack.redis_url) as redis:
        records = [json.loads(redis.hget(key("event", view.id), "record")) for view in views]
    dues = [record["source_event_id"] for record in records]
    assert len(set(dues)) == len(dues)
    assert all(due.startswith("schedule:pulse:20") for due in dues)
    assert {view.repeats for view in views} == {0}
