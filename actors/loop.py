"""The event loop of a worker process: a thread with uvloop, and threads of Dramatiq that wait for what runs in it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import uvloop
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.middleware.asyncio import AsyncIO

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from dramatiq import Broker


class QuickLoop(AsyncIO):
    """Dramatiq's own middleware, with uvloop in its thread."""

    def before_worker_boot(self, broker: Broker, worker: Any) -> None:
        """Start the thread."""
        del broker, worker
        thread = EventLoopThread(self.logger)
        thread.loop.close()
        thread.loop = uvloop.new_event_loop()
        thread.start(timeout=1.0)
        set_event_loop_thread(thread)


def wait_for(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
    """Run it in that loop and wait, in another thread, until it is over; raises what it raised.

    Dramatiq's way looks ten times a second in each thread whether somebody interrupts it; nobody does: a run ends by
    its deadline, its lease or a drain.
    """
    over = threading.Lock()
    over.acquire()
    begun: list[asyncio.Task[None]] = []

    def begin() -> None:
        begun.append(loop.create_task(coroutine))
        begun[0].add_done_callback(lambda _: over.release())

    loop.call_soon_threadsafe(begin)
    over.acquire()
    begun[0].result()
