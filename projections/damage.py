"""Finds what is wrong with a ledger after an error that only changed content can explain."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from orc.ledger import LedgerError, LedgerReader, connect_reader
from orc.ledger.command_lines import quoted_command
from orc.ledger.connection import storage_errors
from orc.ledger.integrity import list_jobs
from orc.ledger.stored import UNEXPECTED
from orc.projections.tables.own_schema import check_own_tables
from orc.projections.tables.version import has_older_tables
from orc.projections.verify import Verifier

SUSPICIOUS = (*UNEXPECTED, sqlite3.Error)
"""Errors that are bugs, unless the ledger was changed by another program."""


def find_damage(path: Path, *, needs_tables: bool = True) -> str | None:
    """The first problem of the ledger: its file, chains, blobs, and tables; None if it is intact.

    With `needs_tables`, tables of an older version are a problem, too: the reader cannot use them.
    Without a ledger at the path, the result is None.
    """
    if not path.is_file():
        return None
    try:
        with closing(connect_reader(path)) as connection, storage_errors(path):
            check_own_tables(connection)
            if needs_tables and has_older_tables(connection):
                return (
                    f"its tables are those of an older version; "
                    f"{quoted_command('rebuild')} derives them again"
                )
        with LedgerReader.open(path) as ledger, Verifier(ledger) as verifier:
            with storage_errors(path):
                jobs = list(list_jobs(ledger.connection))
            for job_id, problem in jobs:
                if problem:
                    return problem
                verdict = verifier.check_job(job_id)
                if verdict.problems:
                    return f"{job_id}: {verdict.problems[0]}"
            return next(iter(verifier.check_file()), None)
    except LedgerError as error:
        return str(error)
