"""The lanes as a worker's consumer threads see them: wake-ups are popped, never acknowledged (the lease is that)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.ledger.connection import connect_blocking
from gateway.ledger.errors import LedgerDown, refuses_writes
from gateway.ledger.keys import key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import timedelta

GRACE = 2.0  # seconds beyond the blocking pop after which the connection counts as dead


class Lanes:
    """One connection that blocks on lanes; for one thread."""

    def __init__(self, url: str, *, block: timedelta) -> None:
        """Take the Redis URL and how long a pop blocks at most; connects on first use."""
        self._block = block.total_seconds()
        self._several = True
        self._redis = connect_blocking(url, seconds=self._block + GRACE, to_connect=GRACE)

    def pop(self, lanes: Sequence[str], most: int = 1) -> list[tuple[str, str]]:
        """Take the first wake-ups of the first lane that has any, as (lane, id); none when none came in time.

        A Redis below 7 gives one at a time.
        """
        with self._outages():
            popped = self._pop([key("lane", lane) for lane in lanes], most)
        if not popped:
            return []
        name, ids = popped
        lane = name.decode().removeprefix(key("lane"))
        return [(lane, one.decode("utf-8", "replace")) for one in ids]

    def _pop(self, names: list[str], most: int) -> Any:
        if most > 1 and self._several:
            try:
                return self._redis.blmpop(self._block, len(names), *names, direction="LEFT", count=most)
            except ResponseError as error:
                if "unknown command" not in str(error):
                    raise
                self._several = False
        popped: Any = self._redis.blpop(names, timeout=self._block)
        return popped and (popped[0], popped[1:])

    def push(self, lane: str, ids: Iterable[str]) -> None:
        """Put wake-ups back at the front of their lane."""
        with self._outages():
            self._redis.lpush(key("lane", lane), *ids)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    @contextmanager
    def _outages(self) -> Iterator[None]:
        try:
            yield
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise LedgerDown(f"Redis did not answer ({type(error).__name__})") from error
        except ResponseError as error:
            if refuses_writes(error):
                self._redis.connection_pool.disconnect()  # whoever connects anew may find another primary
                raise LedgerDown("Redis takes no writes") from error
            raise
