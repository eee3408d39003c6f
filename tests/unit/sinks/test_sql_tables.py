from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, inspect, text

from actors.errors import Failure
from actors.sinks.sql_tables import MIGRATIONS, VERSIONS, migrate, results_of


@pytest.fixture
def engine(tmp_path):
    made = create_engine(f"sqlite:///{tmp_path}/results.db", connect_args={"timeout": 10})
    yield made
    made.dispose()


def versions(engine):
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(VERSIONS.select())]


def test_a_fresh_database_gets_the_newest_tables(engine):
    migrate(engine, results_of("results"))
    assert versions(engine) == [("results", len(MIGRATIONS))]
    assert [index["column_names"] for index in inspect(engine).get_indexes("results")] == [["source", "received_at"]]


def test_a_table_of_an_older_version_is_brought_up_to_date_and_keeps_its_rows(engine):
    migrate(engine, results_of("results"), migrations=MIGRATIONS[:1])
    assert inspect(engine).get_indexes("results") == []
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO results VALUES ('dlv_01', 'r', 'e', 's', 'p', '2026-01-01', '2026-01-01', 0, 0, '1')")
        )
    migrate(engine, results_of("results"))
    assert versions(engine) == [("results", len(MIGRATIONS))]
    assert len(inspect(engine).get_indexes("results")) == 1
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT id FROM results")) == "dlv_01"


def test_a_table_of_a_newer_version_is_left_alone(engine):
    migrate(engine, results_of("results"), migrations=(*MIGRATIONS, lambda *_: None))
    with pytest.raises(Failure, match="newer version") as caught:
        migrate(engine, results_of("results"))
    assert caught.value.klass == "permanent"


def test_a_migration_that_fails_changes_nothing(engine):
    def fail(connection, results):
        connection.execute(text(f"ALTER TABLE {results.name} ADD COLUMN more TEXT"))
        raise RuntimeError

    migrate(engine, results_of("results"))
    with pytest.raises(RuntimeError):
        migrate(engine, results_of("results"), migrations=(*MIGRATIONS, fail))
    assert versions(engine) == [("results", len(MIGRATIONS))]
    assert "more" not in {column["name"] for column in inspect(engine).get_columns("results")}


def test_of_many_that_migrate_at_once_one_does(engine):
    done = []

    def count(_connection, _results):
        done.append(1)

    with ThreadPoolExecutor(8) as threads:
        every = [
            threads.submit(migrate, engine, results_of("results"), migrations=(*MIGRATIONS, count)) for _ in range(8)
        ]
    assert [one.result() for one in every] == [None] * 8
    assert len(done) == 1


def test_two_tables_of_a_database_have_versions_of_their_own(engine):
    migrate(engine, results_of("one"), migrations=MIGRATIONS[:1])
    migrate(engine, results_of("two"))
    assert versions(engine) == [("one", 1), ("two", len(MIGRATIONS))]
