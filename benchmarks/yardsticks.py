"""The yardsticks for orc: raw SQLite commits, and the start of Python with imports."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from pathlib import Path

_ROW = ("job_0123456789ab", "x" * 40, "y" * 200)


def commits_per_s(folder: Path, *, rows: int, rows_a_commit: int) -> float:
    """Rows per second inserted into one table, with orc's durability (WAL, synchronous=FULL)."""
    path = folder / f"raw-{time.monotonic_ns()}.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, job TEXT, type TEXT, data TEXT)")
    started = time.perf_counter()
    for _ in range(0, rows, rows_a_commit):
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(rows_a_commit):
            connection.execute("INSERT INTO t (job, type, data) VALUES (?, ?, ?)", _ROW)
        connection.execute("COMMIT")
    took_s = time.perf_counter() - started
    connection.close()
    return rows / took_s


def start_s(arguments: list[str], *, times: int = 7) -> float:
    """The median duration of a command in seconds; the first of its runs is not counted."""
    taken = []
    for _ in range(times + 1):
        started = time.perf_counter()
        subprocess.run(arguments, check=True, capture_output=True)
        taken.append(time.perf_counter() - started)
    return sorted(taken[1:])[times // 2]
