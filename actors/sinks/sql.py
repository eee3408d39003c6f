"""Writes each result to a row of a database: SQLite or PostgreSQL, through SQLAlchemy."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from actors.sinks.outgoing import Receipt
from actors.sinks.sql_tables import migrate, results_of
from actors.sinks.threads import ThreadedSink

if TYPE_CHECKING:
    from datetime import timedelta

    from actors.errors import Failure
    from actors.sinks.outgoing import Outgoing

MOST_THREADS = 16
TRANSIENT = (OperationalError, InterfaceError, PoolTimeoutError)
INSERTS = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class SqlSink(ThreadedSink):
    """Upserts a row per event and delivery, by the delivery's id: a repeated one changes nothing but `delivered_at`.

    The tables are made, and brought up to date, at the first delivery of a process. The driver resolves and connects by
    itself: the address guard does not reach that far. U+0000, which PostgreSQL cannot hold, becomes U+FFFD. Raises
    ValueError, without the password, for a URL that cannot work.
    """

    def __init__(self, *, name: str, url: str, table: str, timeout: timedelta, concurrency: int) -> None:
        """Prepare; nothing is connected before the first delivery."""
        self._size = min(concurrency, MOST_THREADS)
        super().__init__(name=name, timeout=timeout, threads=self._size)
        try:
            self._url = make_url(url)
            self._url.get_dialect()
        except (ArgumentError, NoSuchModuleError, ValueError):
            raise ValueError("its url is not one of SQLAlchemy, such as postgresql+psycopg://...") from None
        if self._url.get_backend_name() not in INSERTS:
            raise ValueError(f"its url must be one of {', '.join(INSERTS)}")
        self._results, self._migrating = results_of(table), threading.Lock()
        self._ready = False

    def deliver(self, outgoing: Outgoing) -> Receipt:
        """Upsert the row."""
        row = row_of(outgoing)
        insert: Any = INSERTS[self._url.get_backend_name()](self._results).values(row)
        changed = {name: insert.excluded[name] for name in row if name != "id"}
        with self._migrated.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=changed))
        return Receipt(detail=f"1 row of {self._results.name}")

    def blame(self, error: Exception) -> Failure:
        """Name the kind of error and its SQLSTATE; its text holds the statement, and so the result."""
        state = getattr(getattr(error, "orig", None), "sqlstate", None)
        text = type(error).__name__ + (f" ({state})" if state else "")
        lost = isinstance(error, DBAPIError) and error.connection_invalidated
        return self.failure(text, permanent=not lost and not isinstance(error, TRANSIENT))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @property
    def _migrated(self) -> Engine:
        """Give the engine once its tables are up to date; one thread sees to that."""
        with self._migrating:
            if not self._ready:
                migrate(self._engine, self._results)
                self._ready = True
        return self._engine

    @cached_property
    def _engine(self) -> Engine:
        return create_engine(
            self._url,
            connect_args=_deadlines(self._url.get_backend_name(), self.seconds),
            hide_parameters=True,
            max_overflow=0,
            pool_pre_ping=True,
            pool_size=self._size,
            pool_timeout=self.seconds,
            json_serializer=_json,
        )


def row_of(outgoing: Outgoing) -> dict[str, Any]:
    """Make the row of a delivery: what its body says, and when it was written."""
    told: dict[str, Any] = json.loads(outgoing.body())
    received = datetime.fromisoformat(told.pop("timestamp"))
    told["kind"] = told.pop("type")
    return told | {"received_at": received, "delivered_at": datetime.now(UTC)}


def _json(value: Any) -> str:
    return json.dumps(_without_nul(value), ensure_ascii=False)


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case list():
            return [_without_nul(one) for one in value]
        case dict():
            return {_without_nul(name): _without_nul(one) for name, one in value.items()}
        case _:
            return value


def _deadlines(backend: str, seconds: float) -> dict[str, Any]:
    if backend == "sqlite":
        return {"timeout": seconds, "check_same_thread": False}
    limit = round(seconds * 1000)
    return {
        "connect_timeout": max(2, round(seconds)),
        "options": f"-c statement_timeout={limit} -c lock_timeout={limit}",
    }
