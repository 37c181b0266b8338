"""Options that several commands share, declared once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import sqlite3

    from orc.cli.jobs.wiring import Places
    from orc.ledger import LedgerReader


def complete_jobs(incomplete: str) -> list[str]:
    """Job ids for the shell; completion never fails aloud."""
    try:
        with read_tables(None) as (connection, _):
            rows = connection.execute(
                "SELECT job_id FROM jobs ORDER BY submitted_at DESC LIMIT 50"
            ).fetchall()
    except Exception:
        return []
    return [row[0] for row in rows if row[0].startswith(incomplete)]


def complete_steps(ctx: typer.Context, incomplete: str) -> list[str]:
    """Step ids of the job that is on the command line."""
    try:
        with read_tables(None) as (connection, path):
            from orc.ledger import find_job

            # The option that is being completed has no value yet, and ends the parsing.
            job_id = find_job(connection, ctx.params["job"] or ctx.args[0], path=path)
            rows = connection.execute(
                "SELECT name FROM steps WHERE job_id = ? AND status <> 'removed' ORDER BY position",
                (job_id,),
            ).fetchall()
    except Exception:
        return []
    return [row[0] for row in rows if row[0].startswith(incomplete)]


Job = Annotated[
    str,
    typer.Argument(
        help="A job's id, any unique part of one, `latest`, or `latest~1` for the one before.",
        metavar="JOB",
        autocompletion=complete_jobs,
    ),
]
SpecFile = Annotated[Path, typer.Argument(help="A spec: a YAML file.", metavar="SPEC")]
Database = Annotated[
    Path | None,
    typer.Option("--db", help="The ledger. Default: $ORC_DB, else ./runs.db.", metavar="PATH"),
]
RunsDir = Annotated[
    Path | None,
    typer.Option(help="Where run folders go. Default: runs/ beside the ledger.", metavar="DIR"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask anything.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Overwrite files in output_dir that orc did not write."),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run the commands of a job or a ledger that somebody else made or can write to.",
    ),
]
Replies = Annotated[
    Path | None,
    typer.Option(help="Recorded replies. Default: SPEC's .replay.yaml.", metavar="FILE"),
]
Only = Annotated[
    str | None,
    typer.Option(
        help="Run only these steps, and what they need; the others stay pending.",
        metavar="STEP[,STEP]",
    ),
]
Again = Annotated[
    list[str],
    typer.Option(
        "--step",
        help="A step to run again; may be given again.",
        metavar="STEP",
        autocompletion=complete_steps,
    ),
]
FromStep = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Run this step anew, and what follows.",
        metavar="STEP",
        autocompletion=complete_steps,
    ),
]
StepFilter = Annotated[
    str | None,
    typer.Option("--step", help="Only this step's events.", autocompletion=complete_steps),
]

At = Annotated[
    int | None,
    typer.Option("--at", help="As it was after this event of the job.", metavar="VERSION", min=1),
]


def find_places(database: Path | None, runs_dir: Path | None = None) -> Places:
    """Where the ledger and the run folders are."""
    from orc.cli.jobs.wiring import Places

    return Places.find(database=database, runs_dir=runs_dir)


@contextmanager
def read_ledger(database: Path | None) -> Iterator[LedgerReader]:
    """The ledger, read-only, with its events."""
    from orc.ledger import LedgerReader

    with LedgerReader.open(database_path(database)) as reader:
        yield reader


@contextmanager
def read_tables(database: Path | None) -> Iterator[tuple[sqlite3.Connection, Path]]:
    """The read model alone, for commands that should start fast, and the ledger's path.

    Tables of an older version of orc are derived anew first.
    """
    from orc.ledger import connect_reader
    from orc.ledger.connection import storage_errors

    path = database_path(database)
    connection = connect_reader(path)
    if _has_old_tables(connection):
        connection.close()
        _derive_tables(path)
        connection = connect_reader(path)
    try:
        with storage_errors(path):
            yield connection, path
    finally:
        connection.close()


@contextmanager
def read_ledger_and_tables(database: Path | None) -> Iterator[LedgerReader]:
    """The ledger, read-only, with its events and tables of this version; see `read_tables`."""
    from orc.ledger import LedgerReader

    with read_tables(database) as (connection, path):
        yield LedgerReader(path, connection)


def _has_old_tables(connection: sqlite3.Connection) -> bool:
    from orc.projections.tables.version import VERSION

    row = connection.execute("SELECT value FROM orc_meta WHERE key = 'read_model'").fetchone()
    return row is not None and int(row[0]) < VERSION


def _derive_tables(path: Path) -> None:
    from orc.cli.jobs.wiring import open_for_writing

    # Opening does it.
    open_for_writing(find_places(path)).close()


def database_path(database: Path | None) -> Path:
    """The ledger's path by option, environment or default; `Places.find` without its imports."""
    import os

    return (database or Path(os.environ.get("ORC_DB") or "runs.db")).absolute()


def live_status(path: Path) -> Callable[[str, str], str]:
    """How to show a stored status: a job that has not ended and has no owner is interrupted."""
    from orc.projections.tables.status import shown_status

    return partial(shown_status, path)
