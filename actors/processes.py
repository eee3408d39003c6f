"""Processes for steps that compute: made when first wanted, ended with this worker, each apart from the others."""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from actors.compute import HEAD, Call, Raised, framed
from actors.errors import Failure
from actors.registry import FILE_MODULE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Wait = Callable[[timedelta, str], Awaitable[None]]

PATIENCE = 1.0  # seconds that a step waits in place, before its run is asked to make room
MOST_BYTES = 16 * 1024 * 1024  # of an answer; as JSON it may have 256 KiB
DIED = (asyncio.IncompleteReadError, ConnectionError)


class Processes:
    """At most so many processes; a step that finds none free waits, and does not hold what model calls need."""

    def __init__(self, most: int) -> None:
        """Take how many there may be; none is made yet."""
        self._most = most
        self._room = asyncio.Semaphore(most)
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._took = 1.0  # seconds, a moving mean
        self._promised = 0.0  # when, by the monotonic clock, the last waiter was told to come back

    async def call(self, work: Callable[..., Any], arguments: tuple[Any, ...], *, wait: Wait) -> Any:
        """Call the function in a process and give what it returned; raises what it raised.

        `wait` is told when all processes are busy for long. Failure(transient) if the process dies; a process whose
        caller is cancelled is ended. Failure(permanent) for what cannot be handed over.
        """
        request = framed(pickle.dumps(_call(work, arguments)))
        await self._turn(wait)
        started = time.monotonic()
        try:
            came = await self._ask(request)
        finally:
            self._room.release()
            self._took += 0.2 * (time.monotonic() - started - self._took)
        if isinstance(came, Raised):
            raise came.error()
        return came

    async def close(self) -> None:
        """End all of them at once."""
        for process in list(self._all):
            await self._end(process)

    async def _turn(self, wait: Wait) -> None:
        """Wait for room, in order; after a while in a way that lets the run be suspended."""
        turn = asyncio.ensure_future(self._room.acquire())
        try:
            await asyncio.wait({turn}, timeout=PATIENCE)
            while not turn.done():
                parked = asyncio.ensure_future(wait(self._own_time(), "waiting for a process"))
                try:
                    await asyncio.wait({turn, parked}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    parked.cancel()
        except asyncio.CancelledError:
            if not turn.cancel():
                self._room.release()
            raise

    def _own_time(self) -> timedelta:
        """Give each waiter a time of its own, so that they do not come back in a herd."""
        now = time.monotonic()
        self._promised = max(now + PATIENCE, self._promised + self._took / self._most)
        return timedelta(seconds=self._promised - now)

    async def _ask(self, request: bytes) -> Any:
        process = self._idle.pop() if self._idle else await self._spawn()
        try:
            came = await _exchange(process, request)
        except DIED:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), PATIENCE)
            await self._end(process)
            raise Failure(f"its process ended with code {process.returncode}", klass="transient") from None
        except BaseException:  # cancelled, or past its deadline: the function still runs in there
            await self._end(process)
            raise
        self._idle.append(process)
        return came

    async def _spawn(self) -> Process:
        command = (sys.executable, "-m", "actors.compute", str(os.getpid()))
        # In a session of its own: a signal to the worker's group lets a running step finish within the drain.
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True)
        self._all.add(process)
        return process

    async def _end(self, process: Process) -> None:
        self._all.discard(process)
        if process in self._idle:
            self._idle.remove(process)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)  # its own kill() may take the exit code from who waits for it
        await process.wait()


async def _exchange(process: Process, request: bytes) -> Any:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("made without pipes")
    process.stdin.write(request)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(HEAD), "big")
    if length > MOST_BYTES:
        raise Failure(f"its output is {length} bytes, at most {MOST_BYTES}", klass="permanent")
    return pickle.loads(await process.stdout.readexactly(length))  # noqa: S301 - our own child wrote it


def _call(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Call:
    if not inspect.isfunction(work) or inspect.iscoroutinefunction(work) or "<" in work.__qualname__:
        raise Failure("only a plain function of a module can run in a process", klass="permanent")
    try:
        pickled = pickle.dumps(arguments)
    except Exception as error:  # whatever an object does when it is pickled
        what = f"its arguments cannot be handed to a process ({type(error).__name__})"
        raise Failure(what, klass="permanent") from error
    module = work.__module__
    file = str(sys.modules[module].__file__) if module.startswith(FILE_MODULE) else ""
    return Call(module=module, file=file, name=work.__qualname__, arguments=pickled)
