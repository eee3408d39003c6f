"""Sinks over calls that block: each has threads of its own, so that slow steps and other sinks do not hold it up."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from actors.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from actors.sinks.outgoing import Outgoing, Receipt


class ThreadedSink:
    """A sink whose `deliver` runs in a thread, for `timeout` at most.

    A thread cannot be cancelled: what is under way when the time is over, or the worker stops, goes on and may still
    take effect. That is why a sink must make nothing of the same id again.
    """

    def __init__(self, *, name: str, timeout: timedelta, threads: int) -> None:
        """Prepare; nothing is opened before the first delivery."""
        self.name = name
        self.seconds = timeout.total_seconds()
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=f"sink-{name}")

    def deliver(self, outgoing: Outgoing) -> Receipt:
        """Deliver once; blocks. Raises Failure, or what `blame` makes one of."""
        raise NotImplementedError

    def blame(self, error: Exception) -> Failure:
        """Say what an exception of the library means; its text may hold content, or a password."""
        return self.failure(type(error).__name__)

    def close(self) -> None:
        """Let go of what is open; blocks."""

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Receipt:  # noqa: ARG002 - every sink is handed it
        """Deliver once. Raises Failure."""
        try:
            async with asyncio.timeout(self.seconds):
                return await self._in_thread(lambda: self._delivered(outgoing))
        except TimeoutError:
            raise self.failure(f"not done within {self.seconds:g} s") from None

    async def aclose(self) -> None:
        """Drop what has not begun, and let go of what is open."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self.close)

    def failure(self, text: str, *, permanent: bool = False) -> Failure:
        """Make a failure of this sink."""
        return Failure(f"sink {self.name}: {text}", klass="permanent" if permanent else "transient")

    def _delivered(self, outgoing: Outgoing) -> Receipt:
        try:
            return self.deliver(outgoing)
        except Failure:
            raise
        except Exception as error:  # noqa: BLE001 - libraries raise what they like
            raise self.blame(error) from None

    async def _in_thread(self, call: Callable[[], Receipt]) -> Receipt:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
