"""SQL on a ledger is limited by memory and work, and nothing else is limited."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from datasette.app import Datasette
from datasette.database import sqlite_timelimit

from orc.projections.datasette import limits
from orc.projections.datasette.limits import ResultTooLarge, limit, with_opcodes
from tests.builders import step
from tests.peak_memory import peak_bytes
from tests.projections.support import begun, open_in, write

MANY = "with recursive n(v) as (select 1 union all select v + 1 from n) select {} from n"
LARGE = (
    "select zeroblob(1000000000)",
    "select randomblob(1000000000)",
    "select hex(zeroblob(10000000))",
    "select printf('%.*c', 100000000, 'x')",
    "select replace(hex(zeroblob(4000)), '0', hex(zeroblob(4000)))",
    MANY.format("group_concat(zeroblob(100000))"),
    MANY.format("json_group_array(hex(zeroblob(100000)))"),
    MANY.format("max(hex(zeroblob(5000000)) || v)"),
    MANY.format("zeroblob(1000000)") + " limit 1000",
    MANY.format("v, zeroblob(8000000)") + " order by 2 desc limit 1000",
    f"select {', '.join(['zeroblob(16000000)'] * 1000)}",
    f"select {' || '.join(['1'] * 1000)}",
    f"select {' union all select '.join(['1'] * 400)}",
    "select 'x' like '" + "%x" * 1000 + "'",
    MANY.format("count(*)"),
    MANY.format("sum(length(hex(zeroblob(100000))))"),
    "with recursive n(v) as (select 'x' union all select v || v from n) select length(v) from n",
    "select count(*) from json_each(replace(hex(zeroblob(4000000)), '00', '[1],'))",
)
GROWTH_BYTES_MAX = 500 * 1024 * 1024


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a job."""
    folder = tmp_path_factory.mktemp("limits")
    with open_in(folder) as ledger:
        write(ledger, begun(step("a")).start("a").succeed("a", "said"))
    return folder / "runs.db"


def ask(*databases: Path, paths: list[str], **options: Any) -> list[Any]:
    async def go() -> list[Any]:
        client = Datasette([str(path) for path in databases], **options).client
        return await asyncio.gather(*(client.get(path) for path in paths))

    return asyncio.run(asyncio.wait_for(go(), 120))


@pytest.mark.parametrize("ending", [".json", pytest.param(".csv", marks=pytest.mark.torture)])
def test_large_queries_end_soon_and_take_little_memory(
    database: Path, ending: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before, started = peak_bytes(), time.monotonic()
    paths = [f"/runs{ending}?{urlencode({'sql': sql, '_stream': '1'})}" for sql in LARGE]
    for sql, answer in zip(LARGE, ask(database, paths=paths), strict=True):
        text = answer.text.lower()
        is_refused = answer.status_code in (400, 413)
        # A CSV says nothing, and printf gives null.
        is_said = "too " in text or "ask for less" in text or "[[null]]" in text
        assert is_refused or is_said or ending == ".csv", (sql[:80], text[-300:])
        assert len(answer.content) < 3_000_000
    assert time.monotonic() - started < 60
    assert peak_bytes() - before < GROWTH_BYTES_MAX
    assert "Traceback" not in capfd.readouterr().err


def test_after_the_largest_queries_the_pages_still_answer(database: Path) -> None:
    sql = urlencode({"sql": LARGE[10]})
    answers = ask(
        database, paths=[*[f"/runs.json?{sql}"] * 6, "/", "/runs/steps", "/runs/jobs.json"]
    )
    assert [answer.status_code for answer in answers[-3:]] == [200, 200, 200]


def test_the_rows_of_a_statement_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESULT_BYTES_MAX", 1000)
    timelimit = with_opcodes(sqlite_timelimit)
    connection = sqlite3.connect(":memory:")
    limit(connection)
    sql = MANY.format("'0123456789'") + " limit {}"
    with timelimit(connection, 1000):
        assert len(connection.execute(sql.format(100)).fetchall()) == 100
    with timelimit(connection, 1000), pytest.raises(ResultTooLarge, match="ask for less"):
        connection.execute(sql.format(101)).fetchall()
    with timelimit(connection, 1000):
        assert connection.execute("select 1 as one").fetchone()["one"] == 1
    connection.close()


def test_instructions_are_limited_whatever_the_time_limit_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limited = with_opcodes(sqlite_timelimit)
    monkeypatch.setattr(limits, "OPCODES_MAX", 100_000)
    connection = sqlite3.connect(":memory:")
    limit(connection)
    with limited(connection, 1_000_000), pytest.raises(sqlite3.OperationalError, match="interrupt"):
        connection.execute(MANY.format("count(*)")).fetchall()
    with limited(connection, 1_000_000):
        assert connection.execute("select 1").fetchone()[0] == 1
    connection.close()


def test_a_list_of_blobs_that_is_too_large_is_shown_without_their_contents(tmp_path: Path) -> None:
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("a")).start("a").succeed("a", "said"))
        content = b"x" * (limits.VALUE_BYTES_MAX + 1)
        ledger.connection.execute(
            "INSERT INTO blobs VALUES (?, ?, ?)", ("0" * 64, len(content), content)
        )
        ledger.connection.commit()
    (listed, row) = ask(tmp_path / "runs.db", paths=["/runs/blobs", f"/runs/blobs/{'0' * 64}"])
    assert listed.status_code == 302
    (listed,) = ask(tmp_path / "runs.db", paths=[listed.headers["location"]])
    assert listed.status_code == 200
    assert "0" * 10 in listed.text
    assert row.status_code == 400
    assert "16 MiB" in row.text


def test_other_databases_are_not_limited(database: Path, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "other.db").close()
    sql = urlencode({"sql": "select length(hex(zeroblob(10000000))) as n"})
    (alone,) = ask(tmp_path / "other.db", paths=[f"/other.json?{sql}&_shape=array"])
    assert alone.json() == [{"n": 20000000}]
    beside, crossed = ask(
        database,
        tmp_path / "other.db",
        paths=[f"/other.json?{sql}&_shape=array", f"/_memory.json?{sql}"],
        memory=True,
        crossdb=True,
    )
    assert beside.json() == [{"n": 20000000}]
    assert crossed.status_code == 400
