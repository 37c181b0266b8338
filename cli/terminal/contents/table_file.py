"""Writes a table of the ledger to stdout or into a file, for `orc export --table`."""

from __future__ import annotations

import sys
from pathlib import Path

from msgspec import Struct

from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.ledger_access import read_tables
from orc.cli.terminal.text import put_json, put_piece, safe, say
from orc.ledger import find_job
from orc.ledger.files.new_file import refuse_existing, write_new_file
from orc.projections.exports.table_rows import (
    TABLE_FORMATS,
    TABLES,
    parquet_maker,
    read_rows_of,
    text_maker,
    text_pieces,
)
from orc.scheduler.core.errors import nearest

_STDOUT = Path("-")


class TableRequest(Struct, frozen=True):
    """The options of an export of a table."""

    table: str
    form: str
    to: Path | None
    force: bool
    as_json: bool


def export_table(wanted: TableRequest, job: str | None, database: Path | None) -> int:
    """Write the table. Raises UsageProblem, EnvironmentProblem, FileIsThere, StorageError."""
    if wanted.form not in TABLE_FORMATS:
        raise UsageProblem(
            f"--format {wanted.form} is not a format of tables; these are {', '.join(TABLE_FORMATS)}"
        )
    is_stdout = wanted.to == _STDOUT or (
        wanted.to is None and not wanted.as_json and not sys.stdout.isatty()
    )
    if wanted.form == "parquet" and is_stdout:
        raise UsageProblem("--format parquet is a file; name it with --to")
    if wanted.to == _STDOUT and wanted.as_json:
        raise UsageProblem("--to - and --json both write to stdout; name a file with --to")
    if is_stdout and wanted.form == "csv" and sys.stdout.isatty():
        raise UsageProblem("--to -: a table can control a terminal; name a file with --to")
    target = (wanted.to or Path(f"{wanted.table}.{wanted.form}")).absolute()
    with read_tables(database) as (connection, path):
        job_id = None if job is None else find_job(connection, job, path=path)
        if wanted.table not in TABLES:
            known = f"; known: {', '.join(sorted(TABLES))}"
            raise UsageProblem(
                f"--table: there is no table {wanted.table!r}{nearest(wanted.table, TABLES) or known}"
            )
        rows = read_rows_of(connection, wanted.table, job_id)
        if is_stdout:
            for piece in text_pieces(rows, wanted.form):
                put_piece(piece)
            return 0
        refuse_existing(target, force=wanted.force, what=f"table {wanted.table}")
        is_parquet = wanted.form == "parquet"
        try:
            make = parquet_maker(rows) if is_parquet else text_maker(rows, wanted.form)
        except ModuleNotFoundError:
            raise EnvironmentProblem(
                "--format parquet needs pyarrow; install orc-ledger[parquet] or pyarrow"
            ) from None
        write_new_file(target, make, force=wanted.force, what=f"table {wanted.table}")
    if wanted.as_json:
        facts = {"file": str(target), "size_bytes": target.stat().st_size}
        put_json({"table": wanted.table, "format": wanted.form, "job_id": job_id, **facts})
    else:
        say(f"the table {wanted.table} is in {safe(target)}")
    return 0
