"""Tables with many rows: an export holds some of them in memory, and writes all."""

from __future__ import annotations

import csv
import json
import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orc.projections.exports.table_rows import parquet_maker, read_rows_of, text_maker

ROWS = 3_000
MEMORY_BYTES_MAX = 6_000_000
FILE_BYTES_MIN = 2 * MEMORY_BYTES_MAX


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    """A table whose rows are more bytes than may be in memory."""
    found = sqlite3.connect(":memory:")
    found.execute("CREATE TABLE scores (job_id TEXT, name TEXT, value REAL, version INTEGER)")
    rows = ((f"job_{n % 2}", f"{n} {n * 7919:x}" + "=" * 4000, n / 8, n) for n in range(ROWS))
    found.executemany("INSERT INTO scores VALUES (?, ?, ?, ?)", rows)
    yield found
    found.close()


def exported(connection: sqlite3.Connection, form: str, path: Path) -> tuple[int, list[Any]]:
    """The peak of the memory of Python's objects in bytes, and the versions in the file."""
    tracemalloc.start()
    try:
        rows = read_rows_of(connection, "scores", None)
        make = parquet_maker(rows) if form == "parquet" else text_maker(rows, form)
        make(path)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        match form:
            case "csv":
                return peak_bytes, [int(row["version"]) for row in csv.DictReader(file)]
            case "jsonl":
                return peak_bytes, [json.loads(line)["version"] for line in file]
    parquet = pytest.importorskip("pyarrow.parquet")
    return peak_bytes, parquet.read_table(path)["version"].to_pylist()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_big_table_is_written_with_little_memory(
    connection: sqlite3.Connection, form: str, tmp_path: Path
) -> None:
    if form == "parquet":
        # pyarrow imports pandas, if it is there, with its first list.
        pytest.importorskip("pyarrow.parquet")
        pytest.importorskip("pyarrow").array([1])
    path = tmp_path / f"scores.{form}"
    peak_bytes, versions = exported(connection, form, path)
    assert versions == list(range(ROWS))
    assert peak_bytes < MEMORY_BYTES_MAX
    if form != "parquet":
        assert path.stat().st_size > FILE_BYTES_MIN
