"""The lanes as a worker's consumer threads see them: wake-ups are popped, never acknowledged (the lease is that)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.ledger.connection import connect_blocking
from gateway.ledger.errors import LedgerDown, refuses_writes
from gateway.ledger.keys import key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

GRACE = 2.0  # seconds beyond the blocking pop after which the connection counts as dead


class Lanes:
    """One connection that blocks on lanes; for one thread."""

    def __init__(self, url: str, *, block: timedelta) -> None:
        """Take the Redis URL and how long a pop blocks at most; connects on first use."""
        self._block = block.total_seconds()
        self._redis = connect_blocking(url, seconds=self._block + GRACE, to_connect=GRACE)

    def pop(self, lanes: Sequence[str]) -> tuple[str, str] | None:
        """Take the first wake-up of the first lane that has one, as (lane, id); None when none came in time."""
        try:
            popped: Any = self._redis.blpop([key("lane", lane) for lane in lanes], timeout=self._block)
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise LedgerDown(f"Redis did not answer ({type(error).__name__})") from error
        except ResponseError as error:
            if refuses_writes(error):
                self._redis.connection_pool.disconnect()  # whoever connects anew may find another primary
                raise LedgerDown("Redis takes no writes") from error
            raise
        if not popped:
            return None
        name, work_id = popped
        return name.decode().removeprefix(key("lane")), work_id.decode("utf-8", "replace")

    def push(self, lane: str, ids: Iterable[str]) -> None:
        """Put wake-ups back at the front of their lane."""
        try:
            self._redis.lpush(key("lane", lane), *ids)
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise LedgerDown(f"Redis did not answer ({type(error).__name__})") from error

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()
