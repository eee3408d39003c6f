"""A thread waits for what runs in the event loop of its worker."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvloop

from actors.loop import wait_for


@pytest.fixture
def loop():
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=5)
    loop.close()


def test_a_thread_waits_until_it_is_over(loop):
    over = []

    async def work():
        await asyncio.sleep(0.01)
        over.append(threading.get_ident())

    wait_for(work(), loop)
    assert over
    assert over != [threading.get_ident()]


def test_what_it_raises_reaches_the_thread(loop):
    async def work():
        raise LookupError("not there")

    with pytest.raises(LookupError, match="not there"):
        wait_for(work(), loop)


def test_threads_do_not_wait_for_each_other(loop):
    met = asyncio.Barrier(3)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(wait_for, met.wait(), loop) for _ in range(3)]
        assert [one.result(timeout=5) for one in waiting] == [None] * 3
