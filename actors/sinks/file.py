"""Appends results to a file of JSON Lines."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

from actors.errors import ErrorClass, Failure
from actors.sinks.outgoing import Receipt

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from actors.sinks.outgoing import Outgoing

# No FIFO may block us, no symlink lead us elsewhere.
FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
HOPELESS = frozenset(
    {
        errno.EEXIST,
        errno.ELOOP,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENXIO,
        errno.ENAMETOOLONG,
    }
)


class FileSink:
    """Appends a line per delivery, on disk before it counts as delivered; the file is its owner's alone (0600).

    A line is written whole or taken back, also when several processes append. At least once: a crash between the write
    and its record in the ledger writes the line again, with the same `id`.
    """

    def __init__(self, *, name: str, path: Path, timeout: timedelta = timedelta(seconds=15)) -> None:
        """Prepare; the file and its folders are made at the first delivery."""
        self.name = name
        self._path = path
        self._timeout = timeout.total_seconds()
        # Its own: slow steps must not hold up deliveries, and a file takes one line at a time anyway.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sink-{name}")

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Receipt:  # noqa: ARG002 - every sink is handed it
        """Append the line. Raises Failure, permanent where the path is at fault; its text does not show the path."""
        line = outgoing.body() + b"\n"
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.get_running_loop().run_in_executor(self._thread, append, self._path, line)
        except TimeoutError:
            raise Failure(f"sink {self.name}: not on disk within {self._timeout:g} s", klass="transient") from None
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            klass: ErrorClass = "permanent" if error.errno in HOPELESS else "transient"
            raise Failure(f"sink {self.name}: {reason}", klass=klass) from None
        return Receipt(detail=f"{len(line)} bytes appended")

    async def aclose(self) -> None:
        """Drop what is not being written yet, and let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def append(path: Path, line: bytes) -> None:
    """Append one line and force it to disk; blocks. Raises OSError, and then the file ends as before."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(path, FLAGS, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        fcntl.flock(file, fcntl.LOCK_EX)  # freed by close
        size = os.fstat(file).st_size
        _write(file, line, size=size)
        os.fsync(file)
        if not size:
            _sync_folder(path.parent)
    finally:
        os.close(file)


def _write(file: int, line: bytes, *, size: int) -> None:
    # A power cut may have left half a line: it must not swallow this one.
    torn = size and os.pread(file, 1, size - 1) != b"\n"
    whole = b"\n" + line if torn else line
    written = os.write(file, whole)
    if written != len(whole):
        os.ftruncate(file, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # what cuts a write to a file short


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # else a new file's name may be lost, though its content is not
    finally:
        os.close(folder)
