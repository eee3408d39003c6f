"""The files by which `hookmill up` holds its folder: the lock, the signing key, and up.json for other commands."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.cli.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = timedelta(seconds=30)
"""How long to wait for the Redis of an `up` that died: it holds the lock until its file is saved."""


@contextlib.contextmanager
def claim(folder: Path, *, patience: timedelta = PATIENCE) -> Iterator[int]:
    """Hold the folder, made if missing, for as long as the block runs; Fault says who holds it already.

    Yields the descriptor of the lock: a child that inherits it holds the folder too, until it ends.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(lock, folder, patience=patience)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _lock(lock: int, folder: Path, *, patience: timedelta) -> None:
    end = time.monotonic() + patience.total_seconds()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode(errors="replace")
            if _alive(holder) or time.monotonic() > end:
                raise Fault(f"hookmill up is already running in {folder}: process {holder or 'unknown'}") from None
            time.sleep(0.1)
        else:
            return


def _alive(holder: str) -> bool:
    try:
        os.kill(int(holder), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def make_signing_key(path: Path) -> bool:
    """Make the key that signs our capability URLs, 32 random bytes as hex, unless it is there; tell if it was made."""
    if path.exists():
        return False
    write_private(path, secrets.token_hex(32))
    return True


def write_running(path: Path, *, redis_url: str, url: str) -> None:
    """Write where everything is, for the other commands."""
    write_private(path, json.dumps({"redis_url": redis_url, "url": url, "pid": os.getpid()}) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file for the owner's eyes only (0600), whole or not at all."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
