"""Names the damage of a ledger in place of an error that it caused.

The events and tables of a ledger are checked where they are read, one by one. What they say together
can still be impossible, and then some code fails with an error that looks like a bug.
"""

from __future__ import annotations

import inspect
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from orc.cli.jobs.state import load_state
from orc.ledger import LedgerError, LedgerReader
from orc.ledger.command_lines import quoted_command
from orc.ledger.connection import storage_errors
from orc.ledger.errors import CorruptLedger, RemovedBlob
from orc.ledger.files.way import ledger_path
from orc.ledger.files.written_paths import written_path
from orc.ledger.integrity import list_jobs
from orc.projections.damage import SUSPICIOUS, find_damage

_NO_BUGS = (
    "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_BUSY", "SQLITE_NOMEM"
)  # fmt: skip
"""The names of errors of SQLite that no code and no content of a ledger causes."""

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


@contextmanager
def naming_damage(database: Path) -> Iterator[None]:
    """Raise CorruptLedger in place of an unexpected error, if the ledger is damaged."""
    try:
        yield
    except Exception as error:
        explain(error, database)
        raise


def explain(error: Exception, database: Path) -> None:
    """Raise CorruptLedger from an unexpected error, if the ledger is damaged.

    If it is intact, raise StorageError or LedgerBusy for an error of the disk or of another program,
    which nobody has translated; else return.
    """
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if not isinstance(first, SUSPICIOUS):
        return
    problem = find_damage(database, needs_tables=False) or _impossible(database)
    if problem is not None:
        raise CorruptLedger(
            f"{database}: {problem.removeprefix(f'{database}: ')} ({type(first).__name__}); "
            f"{quoted_command('verify')} lists what is wrong"
        ) from error
    if isinstance(first, sqlite3.Error) and _name(first).startswith(_NO_BUGS):
        with storage_errors(database):
            raise first


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", None) or ""


def names_damage(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """The function, or coroutine function, of the API with `naming_damage` for its ledger `db`."""

    def database(options: dict[str, Any]) -> Path:
        named = options.get("db")
        return ledger_path(written_path(named) if named else None, os.environ)

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def wait(*args: Arguments.args, **options: Arguments.kwargs) -> Any:
            with naming_damage(database(options)):
                return await function(*args, **options)

        return cast(Callable[Arguments, Value], wait)

    @wraps(function)
    def call(*args: Arguments.args, **options: Arguments.kwargs) -> Value:
        with naming_damage(database(options)):
            return function(*args, **options)

    return call


def _impossible(database: Path) -> str | None:
    """The first job whose events cannot be folded to a state."""
    if not database.is_file():
        return None
    try:
        with LedgerReader.open(database) as ledger:
            for job_id, _ in list(list_jobs(ledger.connection)):
                try:
                    load_state(ledger, job_id)
                except RemovedBlob:
                    continue
    except LedgerError as error:
        return str(error)
    return None
