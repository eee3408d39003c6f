"""Steps that compute: in processes apart, whose end is the trouble of one step; and the time a step may take."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from otel.records import LoopBlocked, StepFinished

pytestmark = pytest.mark.anyio

APP = """
import asyncio, os, pickle, time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from hookmill import Discard, Retry, RetryAfter, Run, pipeline

@dataclass(frozen=True)
class Box:
    number: int

class Odd(Exception):
    def __init__(self, *, number):
        super().__init__("a secret")
        self.number = number

def double(box: Box) -> Box:
    print("printed", flush=True)
    return Box(2 * box.number)

def whoami(number: int) -> int:
    return os.getpid()

def spin(seconds: float) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return os.getpid()

def die(place: str) -> str:
    path = Path(place)
    path.write_text(str(os.getpid()))
    os._exit(3)

def odd(number: int) -> None:
    raise Odd(number=number)

def drop(number: int) -> None:
    raise RetryAfter(60, "later")

def unpicklable(number: int) -> object:
    return lambda: number

@pipeline("doubled")
async def doubled(run: Run) -> int:
    return (await run.step("double", double, Box(21), where="process")).number

@pipeline("apart")
async def apart(run: Run) -> list:
    return await run.map("whoami", whoami, [1, 2, 3, 4], where="process") + [os.getpid()]

@pipeline("spinning")
async def spinning(run: Run) -> int:
    return await run.step("spin", spin, 1.5, where="process")

@pipeline("once", retry=Retry(attempts=9, transient=1))
async def once(run: Run) -> str:
    raise OSError("a secret")

@pipeline("dying")
async def dying(run: Run) -> str:
    return await run.step("die", die, run.event.json["place"], where="process")

@pipeline("odd")
async def raising(run: Run) -> None:
    try:
        await run.step("odd", odd, 7, where="process")
    except Odd as error:
        raise Discard(f"odd {error.number}") from None

@pipeline("later")
async def later(run: Run) -> None:
    await run.step("drop", drop, 7, where="process")

@pipeline("stuck")
async def stuck(run: Run) -> None:
    await run.step("unpicklable", unpicklable, 7, where="process")

@pipeline("local")
async def local(run: Run) -> None:
    await run.step("lambda", lambda: 1, where="process")

@pipeline("slow")
async def slow(run: Run) -> str:
    return await run.step("sleep", asyncio.sleep, 30, timeout=0.1)

@pipeline("endless")
async def endless(run: Run) -> int:
    return await run.step("spin", spin, 60.0, where="process", timeout=1.5)

async def blocking() -> str:
    time.sleep(1.8)
    return "done"

@pipeline("blocked")
async def blocked(run: Run) -> str:
    return await run.step("hold", blocking)
"""


async def work(bench, event_id):
    await bench.runner.run(event_id)
    return await bench.ledger.show(event_id)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_types_of_the_file_beside_the_configuration_go_to_a_process_and_back(make_bench, admit):
    async with make_bench(APP, "doubled") as bench:
        view = await work(bench, await admit(bench, "doubled"))
    assert (view.state, view.result) == ("done", 42)


async def test_processes_are_not_this_one_and_are_used_again(make_bench, admit):
    async with make_bench(APP, "apart") as bench:
        *seen, own = (await work(bench, await admit(bench, "apart"))).result
    assert own == os.getpid() not in seen
    assert len(seen) == 4
    assert len(set(seen)) <= 2, "there are two of them"
    assert not any(alive(pid) for pid in seen), "they ended with the worker"


async def test_what_a_process_raises_is_raised_here(make_bench, admit):
    async with make_bench(APP, "raising", "later") as bench:
        odd = await work(bench, await admit(bench, "raising"))
        later = await work(bench, await admit(bench, "later"))
    assert (odd.state, odd.reason) == ("discarded", "odd 7")
    assert (later.state, later.reason) == ("waiting", "later")


@pytest.mark.parametrize(("name", "says"), [("stuck", "cannot leave the process"), ("local", "only a plain function")])
async def test_what_cannot_be_handed_over_is_a_dead_letter(make_bench, admit, name, says):
    async with make_bench(APP, name) as bench:
        view = await work(bench, await admit(bench, name))
    assert (view.state, view.error_class) == ("dead", "permanent")
    assert says in view.reason


async def test_a_process_that_dies_fails_its_own_step_and_no_other(make_bench, admit, tmp_path):
    async with make_bench(APP, "dying", "spinning", "apart") as bench:
        neighbour = await admit(bench, "spinning")
        running = asyncio.create_task(bench.runner.run(neighbour))
        await asyncio.sleep(0.3)
        body = b'{"place": "%s"}' % str(tmp_path / "pid").encode()
        view = await work(bench, await admit(bench, "dying", body))
        assert (view.state, view.attempts, view.error_class) == ("waiting", 1, "transient")
        assert view.reason == "its process ended with code 3"
        await running
        assert (await bench.ledger.show(neighbour)).state == "done"
        assert (await work(bench, await admit(bench, "apart"))).state == "done", "there is another one in its place"
    assert not alive(int((tmp_path / "pid").read_text()))


async def test_a_pipeline_says_how_its_runs_are_retried_where_its_source_does_not(make_bench, admit):
    async with make_bench(APP, "once") as bench:
        view = await work(bench, await admit(bench, "once"))
    assert (view.state, view.reason) == ("dead", "OSError was raised (gave up after 1 attempt)")


async def test_a_step_ends_at_its_own_deadline(make_bench, admit):
    async with make_bench(APP, "slow") as bench:
        view = await work(bench, await admit(bench, "slow"))
    assert (view.state, view.attempts) == ("waiting", 1)
    assert view.reason == "step sleep took longer than 0.1 s"


async def test_a_process_is_ended_at_the_deadline_of_its_step(make_bench, admit):
    async with make_bench(APP, "endless", "apart") as bench:
        started = time.monotonic()
        view = await work(bench, await admit(bench, "endless"))
        assert time.monotonic() - started < 20
        assert view.reason == "step spin took longer than 1.5 s"
        assert (await work(bench, await admit(bench, "apart"))).state == "done"


async def test_a_run_that_finds_no_process_free_gives_its_thread_up(make_bench, admit):
    async with make_bench(APP, "spinning") as bench:
        ids = [await admit(bench, "spinning") for _ in range(5)]
        await asyncio.gather(*(bench.runner.run(one) for one in ids))
        views = [await bench.ledger.show(one) for one in ids]
        waiting = [view for view in views if view.state != "done"]
        assert len(waiting) < len(ids)
        assert {view.attempts for view in views} == {0}
        assert {view.reason for view in waiting if view.state == "waiting"} <= {"waiting for a process"}
        assert waiting


async def test_a_step_that_holds_the_loop_is_named(make_bench, admit):
    async with make_bench(APP, "blocked") as bench:
        event_id = await admit(bench, "blocked")
        view = await work(bench, event_id)
        (told,) = bench.of(LoopBlocked)
        assert [step.step for step in bench.of(StepFinished)] == ["hold"]
    assert view.state == "done"
    assert (told.event_id, told.step) == (event_id, "hold")
    assert told.at.startswith("app.py:")
    assert told.late.total_seconds() > 1
