"""Appends results to a file of JSON Lines, which is put aside when it is full or its time is over."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from actors.sinks.outgoing import Receipt
from actors.sinks.threads import ThreadedSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from pathlib import Path

    from actors.errors import Failure
    from actors.sinks.outgoing import Outgoing
    from gateway.config import Rotation

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
LOOKED_AT = 4 * 1024 * 1024  # bytes at the end of the file in which a repeated delivery is looked for
MOST_OPENED = 100  # times, where others put the file aside as fast as we open it


class FileSink(ThreadedSink):
    """Appends a line per delivery, on disk before it counts as delivered; the file is its owner's alone (0600).

    A line is written whole or taken back, also when several processes append and put aside. A line that stands among
    the last 4 MiB of the file, or of the one put aside last, is not written again (a worker died, or a reply was lost,
    after the first time); after more than that it is, with the same `id`.
    """

    def __init__(self, *, name: str, path: Path, timeout: timedelta, rotation: Rotation | None = None) -> None:
        """Prepare; the file and its folders are made at the first delivery."""
        super().__init__(name=name, timeout=timeout, threads=1)  # a file takes one line at a time anyway
        self._path, self._rotation = path, rotation

    def deliver(self, outgoing: Outgoing) -> Receipt:
        """Append the line; its failures do not show the path, and are permanent where that is at fault."""
        line = outgoing.body() + b"\n"
        written = append(self._path, line, rotation=self._rotation)
        return Receipt(detail=f"{len(line)} bytes appended" if written else "its line was there already")

    def blame(self, error: Exception) -> Failure:
        """Name the errno."""
        if not isinstance(error, OSError) or not error.errno:
            return super().blame(error)
        return self.failure(os.strerror(error.errno), permanent=error.errno in HOPELESS)


def append(path: Path, line: bytes, *, rotation: Rotation | None = None) -> bool:
    """Append one line and force it to disk; blocks. False if it stands near the end already.

    Who holds the lock of the file at this path may put it aside; a file whose lock we waited for may have been put
    aside meanwhile, and then the new one is opened. Raises OSError, and then the file is as before.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for _ in range(MOST_OPENED):
        with _locked(path) as file:
            if not _is_at(path, file):
                continue
            if _stands(file, line) or (rotation is not None and _stands_aside(path, line)):
                return False
            if rotation is None or not _is_over(os.fstat(file), rotation, len(line)):
                _force(path, file, line)
                return True
            _put_aside(path, rotation.keep)
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _force(path: Path, file: int, line: bytes) -> None:
    """Write the line and see it on disk."""
    size = os.fstat(file).st_size
    _write(file, line, size=size)
    os.fsync(file)
    if not size:
        _sync_folder(path.parent)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    file = os.open(path, FLAGS, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        fcntl.flock(file, fcntl.LOCK_EX)  # freed by close
        yield file
    finally:
        os.close(file)


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _is_over(found: os.stat_result, rotation: Rotation, coming: int) -> bool:
    """Tell whether the file is full, or was last written to in an earlier period (counted from 1970, in UTC)."""
    if not found.st_size:
        return False
    if rotation.size is not None and found.st_size + coming > rotation.size:
        return True
    every = rotation.every.total_seconds() if rotation.every else None
    return every is not None and found.st_mtime // every < time.time() // every


def _put_aside(path: Path, keep: int) -> None:
    """Make it NAME.1, what was that NAME.2, and so on; the oldest is dropped. The file itself comes last."""
    for number in range(keep, 1, -1):
        with suppress(FileNotFoundError):
            _aside(path, number - 1).replace(_aside(path, number))
    path.replace(_aside(path, 1))
    _sync_folder(path.parent)


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _stands(file: int, line: bytes) -> bool:
    """Tell whether the whole line stands near the end of the file."""
    start = max(0, os.fstat(file).st_size - LOOKED_AT)
    tail = os.pread(file, LOOKED_AT, start)
    return (start == 0 and tail.startswith(line)) or b"\n" + line in tail


def _stands_aside(path: Path, line: bytes) -> bool:
    try:
        file = os.open(_aside(path, 1), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return _stands(file, line)
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
