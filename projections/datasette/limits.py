"""Limits for the SQL that Datasette runs on a ledger: memory and work, besides Datasette's time limit.

A time limit alone does not help against a statement that takes all memory in a moment.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orc.ledger.bounds import BLOB_BYTES_MAX
from orc.ledger.wording import size_text

VALUE_BYTES_MAX = 16 * 1024 * 1024
"""The largest value in a statement. The pages of orc read larger blobs; they do not use this."""
RESULT_BYTES_MAX = 32 * 1024 * 1024
"""The sum of the texts and bytes in the rows that one statement returns."""
HEAP_BYTES_MAX = 2 * BLOB_BYTES_MAX
"""The memory of SQLite in the whole process. The largest blob must fit."""
OPCODES_MAX = 200_000_000
"""The instructions of SQLite's virtual machine that one statement may execute."""

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: VALUE_BYTES_MAX,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_CHECKED_OPCODES = 200

Timelimit = Callable[[sqlite3.Connection, float], Any]


class ResultTooLarge(sqlite3.DataError):
    """The rows of a statement are too large together."""


def limit(connection: sqlite3.Connection) -> None:
    """Set the limits of a connection that runs SQL for Datasette."""
    for category, value in _LIMITS.items():
        connection.setlimit(category, value)
    connection.execute(f"PRAGMA hard_heap_limit={HEAP_BYTES_MAX}")
    connection.row_factory = _RowFactory()


def with_opcodes(timelimit: Timelimit) -> Timelimit:
    """Datasette's time limit, which for our connections limits the instructions too.

    It looks at the clock more often: an instruction can take milliseconds with a large value.
    """

    @contextmanager
    def limited(connection: sqlite3.Connection, limit_ms: float) -> Iterator[None]:
        if not isinstance(connection.row_factory, _RowFactory):
            with timelimit(connection, limit_ms):
                yield
            return
        checks_left = OPCODES_MAX // _CHECKED_OPCODES
        deadline = time.perf_counter() + limit_ms / 1000

        def must_end() -> bool:
            nonlocal checks_left
            checks_left -= 1
            return checks_left < 0 or time.perf_counter() >= deadline

        connection.row_factory.start()
        connection.set_progress_handler(must_end, _CHECKED_OPCODES)
        try:
            yield
        finally:
            connection.set_progress_handler(None, _CHECKED_OPCODES)

    return limited


class _RowFactory:
    """Makes the rows of a connection. Raises ResultTooLarge when their sum is over the limit."""

    def __init__(self) -> None:
        self._bytes = 0

    def start(self) -> None:
        """Count from 0 again, for a new statement."""
        self._bytes = 0

    def __call__(self, cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> sqlite3.Row:
        for value in values:
            if isinstance(value, str | bytes):
                self._bytes += len(value)
        if self._bytes > RESULT_BYTES_MAX:
            raise ResultTooLarge(
                f"the rows have more than {size_text(RESULT_BYTES_MAX)}; ask for less"
            )
        return sqlite3.Row(cursor, values)
