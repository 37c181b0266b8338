"""The schema of a ledger is compared with orc's own, and what its pages can do is limited."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from orc.ledger import LedgerReader, connect_reader, schema_check
from orc.ledger.connection import storage_errors
from orc.ledger.errors import CorruptLedger
from orc.ledger.schema import MIGRATIONS
from orc.ledger.schema_check import ours_in, schema_of, schema_of_version
from tests.ledger.cycles import make_cycle
from tests.ledger.support import JOB, open_at, raw, skipped, submitted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted(), *(skipped(number) for number in range(2, 400))])
    return tmp_path / "runs.db"


DIGESTS = [
    "5a6920024cc9af844178570b5f90c551eb7372f830310e6c660ed89a88d2ea5d",
    "8449fbb98908e50897bd00ace7ba6a319409ac69c87fc332cc2ce8159ebe81c4",
]


def test_a_released_schema_never_changes() -> None:
    made = [
        sorted((*key, *value) for key, value in schema_of_version(number + 1).items())
        for number in range(len(MIGRATIONS))
    ]
    digests = [hashlib.sha256(json.dumps(rows).encode()).hexdigest() for rows in made]
    assert digests == DIGESTS, "append the digest of a new one"


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_the_schema_of_a_version_is_what_sqlite_has_after_the_migrations(version: int) -> None:
    with closing(sqlite3.connect(":memory:")) as fresh:
        for statements in MIGRATIONS[:version]:
            for statement in statements:
                fresh.execute(statement)
        assert ours_in(schema_of(fresh)) == schema_of_version(version)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DROP TRIGGER events_no_update", "the trigger events_no_update is missing"),
        ("DROP TABLE signals", "the table signals is missing"),
        ("CREATE INDEX extra ON events (hex(data))", "the index extra does not belong to orc"),
        (
            "CREATE TRIGGER extra AFTER INSERT ON tally BEGIN DELETE FROM tally; END",
            "the trigger extra does not belong to orc",
        ),
        (
            "ALTER TABLE orc_meta RENAME TO other",
            "the table orc_meta is missing",
        ),
    ],
)
def test_a_changed_schema_is_refused_by_readers_and_writers(
    path: Path, statement: str, problem: str
) -> None:
    with closing(raw(path)) as connection:
        connection.execute(statement)
    with pytest.raises(CorruptLedger, match=problem):
        LedgerReader.open(path)
    with pytest.raises(CorruptLedger, match=problem):
        open_at(path)


def test_a_view_in_place_of_a_table_is_refused_before_it_is_read(path: Path) -> None:
    with closing(raw(path)) as connection:
        connection.execute("ALTER TABLE blobs RENAME TO hidden")
        connection.execute("CREATE VIEW blobs AS SELECT 1 AS sha256")
    with pytest.raises(CorruptLedger, match="the table blobs is missing: a view has its name"):
        LedgerReader.open(path)


def test_tables_and_views_of_the_user_are_left_alone(path: Path) -> None:
    with closing(raw(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.execute("CREATE INDEX notes_by_text ON notes (text)")
        connection.execute("CREATE VIEW totals AS SELECT count(*) FROM events")
    with LedgerReader.open(path) as ledger:
        assert ledger.head(JOB).version == 399


def test_values_that_are_larger_than_orc_writes_are_not_read(path: Path) -> None:
    with closing(connect_reader(path)) as connection:
        for pragma, value in (("trusted_schema", 0), ("cell_size_check", 1)):
            assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)
        found = connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)
        assert found == schema_check.CELL_BYTES_MAX


def test_rows_that_come_again_end_the_reading_of_events(path: Path) -> None:
    make_cycle(path, "sqlite_autoindex_events_1")
    with LedgerReader.open(path) as ledger, pytest.raises(CorruptLedger, match="comes after event"):
        list(ledger.read_stream(JOB))


def test_a_statement_that_takes_long_is_ended_if_pages_form_a_cycle(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_check, "_STEPS_MAX", 500)
    make_cycle(path, "events")
    with LedgerReader.open(path) as ledger:
        query = "SELECT count(*), max(data) FROM events"
        with (
            pytest.raises(CorruptLedger, match="refer to each other without end"),
            storage_errors(path),
        ):
            ledger.connection.execute(query).fetchone()


def test_a_statement_that_takes_long_goes_on_in_a_sound_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_check, "_STEPS_MAX", 500)
    with LedgerReader.open(path) as ledger:
        assert len(list(ledger.read_all())) == 399


def test_the_check_of_the_schema_costs_less_than_a_millisecond(path: Path) -> None:
    with closing(connect_reader(path)) as connection:
        times = []
        for _ in range(20):
            start = time.perf_counter()
            schema_check.check_file(connection, path, len(MIGRATIONS))
            times.append(time.perf_counter() - start)
    assert min(times) < 0.001
