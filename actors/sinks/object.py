"""Writes each result to an object of its own: in a folder, in S3, in any store that fsspec knows."""

from __future__ import annotations

import os
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import fsspec
from fsspec.implementations.local import LocalFileSystem

from actors.sinks.outgoing import Receipt
from actors.sinks.threads import ThreadedSink

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from actors.errors import Failure
    from actors.sinks.outgoing import Outgoing

MOST_THREADS = 16
PERMANENT = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, TypeError)
"""What no other attempt changes: no such bucket, no right to it."""


class ObjectSink(ThreadedSink):
    """Writes an object per delivery: a repeated delivery has the same key, and overwrites its own object.

    In a folder it is written beside its place, forced to disk, and moved there: nobody reads half an object. The
    library resolves and connects by itself, and heeds the proxies of the environment: the address guard does not reach
    that far. Raises ValueError for a URL that it does not know.
    """

    def __init__(
        self, *, name: str, url: str, key: str, options: Mapping[str, Any], timeout: timedelta, concurrency: int
    ) -> None:
        """Prepare; nothing is connected before the first delivery. `key` is a template, `options` the library's own."""
        super().__init__(name=name, timeout=timeout, threads=min(concurrency, MOST_THREADS))
        self._key, self._options = key, options
        self._protocol, mark, root = url.partition("://")
        if not mark:
            raise ValueError("its url must begin with a protocol, such as s3:// or file://")
        self._root = root.rstrip("/")
        try:
            fsspec.get_filesystem_class(self._protocol)
        except ImportError as error:
            raise ValueError(f"{error}") from None
        except ValueError:
            raise ValueError(f"no store is called {self._protocol!r}") from None

    def deliver(self, outgoing: Outgoing) -> Receipt:
        """Write the object."""
        body = outgoing.body()
        path = f"{self._root}/{self._key.format(**key_fields(outgoing))}"
        if isinstance(self._store, LocalFileSystem):
            self._write_locally(self._store, path, body)
        else:
            self._store.pipe_file(path, body)
        return Receipt(detail=f"{len(body)} bytes written")

    def blame(self, error: Exception) -> Failure:
        """Name the kind of error; stores that answer 4xx raise one of Python's own."""
        return self.failure(type(error).__name__, permanent=isinstance(error, PERMANENT))

    def close(self) -> None:
        """Forget the store; the library closes its connections with the process."""
        self.__dict__.pop("_store", None)

    @cached_property
    def _store(self) -> Any:
        return fsspec.filesystem(
            self._protocol, **_bounded(self._protocol, self._options, self.seconds), skip_instance_cache=True
        )

    def _write_locally(self, store: LocalFileSystem, path: str, body: bytes) -> None:
        store.makedirs(path.rpartition("/")[0], exist_ok=True)
        with store.open(path, "wb", autocommit=False) as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        file.commit()


def key_fields(outgoing: Outgoing) -> dict[str, str]:
    """Give what a key template may name: the same for every attempt, and safe as a part of a path."""
    event = outgoing.event
    named = {
        "id": outgoing.delivery_id,
        "event_id": event.id,
        "source": event.source,
        "pipeline": event.pipeline,
        "date": event.received_at.astimezone(UTC).date().isoformat(),
    }
    return {name: quote(value, safe="") for name, value in named.items()}


def _bounded(protocol: str, options: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Add deadlines where the store takes them: S3's client would wait a minute, and try four times more."""
    if protocol not in {"s3", "s3a"} or "config_kwargs" in options:
        return dict(options)
    limits = {"connect_timeout": seconds, "read_timeout": seconds, "retries": {"max_attempts": 1}}
    return {"config_kwargs": limits, **options}
