"""The tables of a sql sink, and how older ones become those of today.

A table beside the results says, for each table of results, by which version of ours it was made. Versions are only
added: each is a few statements that take a table from the version before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from actors.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

    Migration = Callable[[Connection, Table], None]

VERSIONS = Table(
    "hookmill_versions",
    MetaData(),
    Column("name", String(63), primary_key=True),
    Column("version", Integer, nullable=False),
)
LOCK = 0x686F6F6B6D696C6C  # "hookmill": so that of many workers one migrates


def results_of(name: str) -> Table:
    """Describe the table of results, as the newest version has it."""
    return Table(
        name,
        MetaData(),
        Column("id", String(64), primary_key=True),
        Column("kind", String(32), nullable=False),
        Column("event_id", String(64), nullable=False),
        Column("source", String(64), nullable=False),
        Column("pipeline", String, nullable=False),
        Column("received_at", DateTime(timezone=True), nullable=False),
        Column("delivered_at", DateTime(timezone=True), nullable=False),
        Column("generation", Integer, nullable=False),
        Column("degraded", Boolean, nullable=False),
        Column("result", JSON().with_variant(JSONB(), "postgresql")),
    )


def _make(connection: Connection, results: Table) -> None:
    results.create(connection, checkfirst=True)


def _index(connection: Connection, results: Table) -> None:
    name = f"{results.name[:40]}_by_source"
    if name not in {index["name"] for index in inspect(connection).get_indexes(results.name)}:
        Index(name, results.c.source, results.c.received_at).create(connection)


MIGRATIONS: Sequence[Migration] = (_make, _index)
"""What makes version 1, what makes 2 of that, and so on; each does nothing where it was done."""


def migrate(engine: Engine, results: Table, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the table to the newest version, in one transaction. Failure (permanent) where it is newer than we are."""
    with engine.connect() as connection:
        _lock(connection)
        VERSIONS.create(connection, checkfirst=True)
        at = connection.scalar(select(VERSIONS.c.version).where(VERSIONS.c.name == results.name))
        if (at or 0) > len(migrations):
            raise Failure(f"table {results.name} was made by a newer version of Hookmill", klass="permanent")
        for migration in migrations[at or 0 :]:
            migration(connection, results)
        if at is None:
            connection.execute(insert(VERSIONS).values(name=results.name, version=len(migrations)))
        elif at < len(migrations):
            found = VERSIONS.c.name == results.name
            connection.execute(update(VERSIONS).where(found).values(version=len(migrations)))
        connection.commit()


def _lock(connection: Connection) -> None:
    """Let nobody else migrate until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
