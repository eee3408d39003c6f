"""Keeps processes running: starts them again after a growing pause, passes on what they say, and ends them in order."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.cli.tether import tethered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SPARE = timedelta(seconds=2)  # an orphan gets this much more, so that normally we kill, and say so
LONGEST_LINE = 1 << 20  # bytes; what is longer is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A process to keep running: its name for people, command, environment, and how long it may take to end."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    drain: timedelta = timedelta(seconds=30)
    fds: tuple[int, ...] = ()
    """File descriptors it inherits, for example a lock that it must hold as long as it lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something for people: a line that a part printed (`output`), or what happened to it."""

    part: str
    text: str
    output: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before starting a part again: doubling, up to `cap`, from `first` again once it was `calm`."""

    first: timedelta = timedelta(seconds=0.2)
    cap: timedelta = timedelta(seconds=10)
    calm: timedelta = timedelta(seconds=30)

    def delay(self, failures: int) -> timedelta:
        """Give the wait after so many quick ends in a row (1 or more)."""
        return min(self.cap, self.first * 2.0 ** min(failures - 1, 30))


class Supervised:
    """A part that runs, and runs again when it ended, until it is drained or killed."""

    def __init__(self, part: Part, tell: Callable[[Note], None], *, backoff: Backoff | None = None) -> None:
        """Take the part and whom to tell; it runs from `start` on, which wants a running loop in the main thread."""
        self.part = part
        self.failures = 0
        """Quick ends in a row."""
        self._tell = tell
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The id of the process that holds the part (its tether) and leads its group; 0 while it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it and keep it running."""
        self._keeping = asyncio.create_task(self._keep(), name=f"keep {self.part.name}")

    async def drain(self) -> None:
        """Ask it to end (SIGTERM to the process, not its children), wait as long as it may take, then kill it."""
        if self._keeping is None:
            return
        self._stopping.set()
        self._signal(signal.SIGTERM)
        done, _ = await asyncio.wait({self._keeping}, timeout=self.part.drain.total_seconds())
        if not done:
            self._say(f"did not end within {self.part.drain.total_seconds():g} s; killed")
            self.kill()
        await self._keeping

    def kill(self) -> None:
        """End it and all its children at once, for good."""
        self._stopping.set()
        if self._process:
            _kill_group(self._process.pid)

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            code = await self._once()
            lived = timedelta(seconds=asyncio.get_running_loop().time() - began)
            if self._stopping.is_set():
                return
            self.failures = 1 if lived >= self._backoff.calm else self.failures + 1
            await self._pause(code)

    async def _pause(self, code: int) -> None:
        seconds = self._backoff.delay(self.failures).total_seconds()
        self._say(f"ended ({describe(code)}); starting again in {seconds:g} s")
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({stopping}, timeout=seconds)
        stopping.cancel()

    async def _once(self) -> int:
        """Run it once and give its exit code. What it leaves behind is killed: nobody would ever end it."""
        process, speaking = await self._begin()
        self._process = process
        if self._stopping.is_set():
            self._signal(signal.SIGTERM)
        code = await process.wait()
        _kill_group(process.pid)
        self._process = None
        await asyncio.wait({speaking}, timeout=1)
        speaking.cancel()
        return code

    async def _begin(self) -> tuple[asyncio.subprocess.Process, asyncio.Task[None]]:
        # A pipe of our own: with asyncio's, waiting for the process could also wait for its children to let go of it.
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *tethered(self.part.command, drain=self.part.drain + SPARE),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env=dict(self.part.env),
                pass_fds=self.part.fds,
                start_new_session=True,
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        return process, asyncio.create_task(self._pass_on(read_end))

    async def _pass_on(self, read_end: int) -> None:
        reader = asyncio.StreamReader(limit=LONGEST_LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
        )
        try:
            while (line := await _next_line(reader)) is not None:
                self._tell(Note(part=self.part.name, text=line, output=True))
        finally:
            transport.close()

    def _say(self, text: str) -> None:
        self._tell(Note(part=self.part.name, text=text))

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)


async def _next_line(reader: asyncio.StreamReader) -> str | None:
    try:
        line = await reader.readline()
    except ValueError:
        return "(a line too long to show)"
    return line.decode(errors="replace").rstrip("\r\n") if line else None


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # all gone; macOS says it in the second way
        return


def describe(code: int) -> str:
    """Say an exit code: `exit code 2`, `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
