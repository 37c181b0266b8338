"""The row classes declare the tables, and everything else is derived from them."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Annotated, Any, NamedTuple

import pytest

from orc.ledger.schema import migrate
from orc.ledger.schema_check import schema_of
from orc.ledger.tables import LEDGER_TABLES, Table
from orc.projections.money.prices import NO_PRICES
from orc.projections.tables import rows, writer
from orc.projections.tables.binding import Insert, Update, bind
from orc.projections.tables.columns import Row, column, table_of
from orc.projections.tables.columns import table as table_called
from orc.projections.tables.flow import NOT_ENDED
from orc.projections.tables.own_schema import STATEMENTS
from orc.projections.tables.rows import ROWS, AttemptRow, JobRow
from orc.projections.tables.schema import TABLES, create_tables, render_statements
from orc.projections.tables.version import VERSION
from orc.projections.tables.writer import Writer
from tests.histories.as_ledger import write_histories
from tests.histories.recorder import FOLDER


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("histories") / "runs.db"
    write_histories(path)
    with closing(sqlite3.connect(path)) as connection:
        yield connection


@pytest.fixture
def empty() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection)
        create_tables(connection)
        yield connection


def unfilled(connection: sqlite3.Connection, row_types: Sequence[type[Row]]) -> set[str]:
    """The declared columns that have no value in any row of the ledger."""
    found = set()
    for table in map(table_of, row_types):
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")}
        for name in (each.name for each in table.columns):
            query = f"SELECT 1 FROM {table.name} WHERE {name} IS NOT NULL LIMIT 1"
            if name not in known or connection.execute(query).fetchone() is None:
                found.add(f"{table.name}.{name}")
    return found


def test_the_tables_are_those_of_a_ledger_that_this_version_of_them_was_recorded_from(
    empty: sqlite3.Connection,
) -> None:
    recorded = FOLDER / f"read_model_{VERSION}.sql"
    with closing(sqlite3.connect(":memory:")) as old:
        old.executescript(recorded.read_text("utf-8"))
        now = {key: text for key, text in schema_of(empty).items() if _table_of(empty, key)}
        assert now == schema_of(old), "raise VERSION, and run python -m tests.histories.recorder"


def test_the_statements_of_the_tables_are_those_that_sqlite_utils_makes_from_the_rows() -> None:
    assert STATEMENTS.read_text("utf-8") == render_statements(), "run python docs/generate.py"


def _table_of(connection: sqlite3.Connection, key: tuple[str, str]) -> bool:
    query = "SELECT tbl_name FROM sqlite_schema WHERE type = ? AND name = ?"
    return connection.execute(query, key).fetchone()[0] in TABLES


def test_every_row_class_is_a_table_and_every_column_has_a_meaning() -> None:
    classes = {
        value for name, value in vars(rows).items() if name.endswith("Row") and name != "Row"
    }
    assert set(ROWS) == classes
    for table in (*map(table_of, ROWS), *LEDGER_TABLES):
        assert table.title, table.name
        assert table.about.endswith("."), table.name
        for each in table.columns:
            assert each.meaning.endswith("."), f"{table.name}.{each.name}"
            assert len(each.meaning) > len("The job"), f"{table.name}.{each.name}"


def test_the_ledgers_own_tables_are_declared_as_they_are(empty: sqlite3.Connection) -> None:
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = {name for (name,) in empty.execute(query)}
    assert names == {table.name for table in LEDGER_TABLES} | set(TABLES)
    for table in LEDGER_TABLES:
        found = [
            (name, kind, not is_required and not key, bool(key))
            for _, name, kind, is_required, _, key in empty.execute(
                f"PRAGMA table_info({table.name})"
            )
        ]
        declared = [(each.name, each.type, each.is_nullable, each.is_key) for each in table.columns]
        assert found == declared, table.name


def test_every_reference_leads_to_a_key() -> None:
    tables = {table.name: table for table in (*map(table_of, ROWS), *LEDGER_TABLES)}
    for table in tables.values():
        for each in table.columns:
            if each.refers is not None:
                name, _, key = each.refers.partition(".")
                assert tables[name].key == key


def test_every_column_is_filled_by_a_handler(histories: sqlite3.Connection) -> None:
    assert unfilled(histories, ROWS) == set()


def test_a_column_that_no_handler_fills_is_noticed(histories: sqlite3.Connection) -> None:
    @table_called("files", "Files", "One row for each file.")
    class Wider(NamedTuple):
        path: Annotated[str, column("The path.")]
        colour: Annotated[str | None, column("The colour of the file.")]

    assert unfilled(histories, [Wider]) == {"files.colour"}


def test_only_columns_that_may_be_null_are(histories: sqlite3.Connection) -> None:
    for table in map(table_of, ROWS):
        for each in table.columns:
            query = f"SELECT count(*) FROM {table.name} WHERE {each.name} IS NULL"
            (missing,) = histories.execute(query).fetchone()
            assert each.is_nullable or not missing, f"{table.name}.{each.name}"


@table_called("pets", "Pets", "One row for each pet.", (("name", "legs"),))
class PetRow(NamedTuple):
    pet_id: Annotated[str, column("The key.", key=True)]
    name: Annotated[str, column("Its name.", indexed=True)]
    legs: Annotated[int, column("The number of legs.", start=4)]
    slept_s: Annotated[float | None, column("How long it slept.", indexed=True, sparse=True)]


def test_a_declaration_has_type_null_key_start_unit_and_index() -> None:
    table = table_of(PetRow)
    assert table.key == "pet_id"
    found = [(each.name, each.type, each.is_nullable, each.start) for each in table.columns]
    assert found == [
        ("pet_id", "TEXT", False, None),
        ("name", "TEXT", False, None),
        ("legs", "INTEGER", False, 4),
        ("slept_s", "REAL", True, None),
    ]
    assert [each.unit for each in table.columns] == [None, None, None, "seconds"]
    assert table.columns[-1].description == "How long it slept. In seconds."


def test_a_statement_has_the_columns_that_the_handler_names() -> None:
    insert = bind(Insert(PetRow, {"slept_s": None}), {"name": "Rex", "pet_id": 1})
    assert insert.sql == "INSERT INTO pets (legs, slept_s, name, pet_id) VALUES (4, NULL, ?, ?)"
    again = Insert(PetRow, on_conflict={"legs": "legs + 1"})
    assert bind(again, {"pet_id": 1, "name": "Rex"}).sql.endswith(
        "ON CONFLICT (pet_id) DO UPDATE SET name = excluded.name, legs = legs + 1"
    )
    update = bind(Update(PetRow, {"legs": 3}), {"pet_id": 1, "name": "Rex"})
    assert update.sql == "UPDATE pets SET legs = 3, name = ? WHERE pet_id = ?"


@pytest.mark.parametrize(
    ("statement", "given"),
    [
        (Insert(PetRow), {"pet_id": 1, "colour": "red"}),
        (Update(PetRow), {"pet_id": 1, "colour": "red"}),
        (Update(PetRow), {"name": "Rex"}),
        ("DELETE FROM pets WHERE name = :name", {"name": "Rex", "legs": 4}),
    ],
    ids=["insert", "update", "no key", "not used"],
)
def test_a_name_that_a_statement_misses_or_does_not_know_is_refused(
    statement: Any, given: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"colour|pet_id|legs"):
        bind(statement, given)


def test_values_are_bound_by_name_in_whatever_order_they_are_given(
    empty: sqlite3.Connection,
) -> None:
    empty.execute("PRAGMA foreign_keys = OFF")
    place = {
        "job_id": "j",
        "step_id": "j/a",
        "started_at": "then",
        "cache_key": None,
        "executor": None,
        **NOT_ENDED,
    }
    with_writer = Writer(empty, NO_PRICES)
    with_writer.add("attempt", attempt_id="j/a/1", name="a 1", attempt=1, **place)
    with_writer.add("attempt", **place, attempt=2, name="a 2", attempt_id="j/a/2")
    with_writer.flush()
    found = empty.execute("SELECT attempt_id, name, attempt, status FROM attempts ORDER BY 1")
    assert found.fetchall() == [("j/a/1", "a 1", 1, "running"), ("j/a/2", "a 2", 2, "running")]


@pytest.mark.parametrize("other", [{"colour": "red"}, {}], ids=["one more", "one less"])
def test_a_row_with_other_names_than_its_statement_is_refused(
    empty: sqlite3.Connection, other: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_BOUND", {})
    named = {"job_id": "j", "status": "failed", "finished_at": "then", "failure": None}
    wrong = named | other if other else {"job_id": "j", "status": "failed", "finished_at": "then"}
    with_writer = Writer(empty, NO_PRICES)
    with_writer.add("job_ended", **named)
    with_writer.add("job_ended", **wrong)
    with pytest.raises((AssertionError, KeyError)):
        with_writer.flush()


def test_columns_that_depend_on_prices_are_declared() -> None:
    def by_prices(table: Table) -> set[str]:
        return {each.name for each in table.columns if each.is_by_prices}

    assert by_prices(table_of(JobRow)) == {"cost_usd", "cost_nano_usd", "calls_unpriced"}
    assert by_prices(table_of(AttemptRow)) == set()
