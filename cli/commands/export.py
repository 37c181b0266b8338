"""`orc export`: writes a job in a format for people or other programs, from the ledger only."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Struct

from orc.about import version
from orc.cli.errors import UsageProblem
from orc.cli.jobs.own_folder import folder_of
from orc.cli.ledger_access import find_places, read_ledger_and_tables
from orc.cli.options import Database, Json, ReplaceFile, refuse_ignored
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import put_json, put_piece, safe, say
from orc.ledger.connection import storage_errors
from orc.ledger.files.new_file import refuse_existing, write_new_bytes, write_new_file
from orc.ledger.files.unfinished import refuse_full, unfinished
from orc.projections import Publisher
from orc.projections.exports.formats import FORMATS
from orc.projections.tables.status import shown_status
from orc.scheduler.core.errors import nearest

if TYPE_CHECKING:
    from orc.ledger import LedgerReader
    from orc.projections.exports.source import ExportSource
    from orc.projections.money.prices import PriceTable

_STDOUT = Path("-")
*_FIRST, _LAST = (f"{form.name} ({form.about})" for form in FORMATS.values())


def command(
    job: Annotated[
        str | None,
        Argument(
            help="A job; can be left out with --table.", metavar="JOB", complete="complete_jobs"
        ),
    ] = None,
    form: Annotated[
        str | None,
        Option(
            "--format",
            help=f"{', '.join(_FIRST)} or {_LAST}; with --table: csv, jsonl or parquet. "
            "Default: folder, or csv.",
            metavar="FORMAT",
            complete=lambda: _formats(),
        ),
    ] = None,
    table: Annotated[
        str | None,
        Option(
            "--table", help="Export a table of the ledger, of JOB or of all jobs.", metavar="NAME"
        ),
    ] = None,
    to: Annotated[
        Path | None,
        Option(
            "--to",
            help="The file or folder to write; `-` is stdout. Default: depends on the format.",
            metavar="PATH",
        ),
    ] = None,
    content: Annotated[
        bool | None,
        Option(
            "--content/--no-content",
            help="Include prompts, replies and tool arguments; for html also logs and files. "
            "Default: included in html, not in otel.",
            show_default=False,
        ),
    ] = None,
    force: ReplaceFile = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Export a job as a folder, HTML page, trace or test report.

    `folder` writes the job's run folder again; with --to, a copy of it. `html`, `otel` and `junit`
    are one file. Without --to it is written to stdout if stdout is not a terminal, else to a file
    in the current folder that is named after the job. `ro-crate` is a folder, or one file if --to
    ends in .zip. A table is written to stdout or to a file in the same way; docs/tables.md has the
    tables and their columns.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.terminal.contents.table_file import TableRequest, export_table
    from orc.projections.exports.table_rows import TABLE_FORMATS

    if table is not None:
        refuse_ignored({"--content/--no-content": content is not None}, why="a table has none")
        given = TableRequest(table=table, form=form or "csv", to=to, force=force, as_json=as_json)
        return export_table(given, job, database)
    if job is None:
        raise UsageProblem("name the job to export, or a table with --table")
    form = form or "folder"
    if form in TABLE_FORMATS:
        raise UsageProblem(f"--format {form} is a format of tables: add --table NAME")
    wanted = ExportRequest.of(form, to, content=content, force=force, as_json=as_json)
    prices = find_places(database).prices
    with read_ledger_and_tables(database) as ledger:
        job_id = ledger.find_job(job)
        if wanted.form == "folder":
            return _export_folder(ledger, job_id, to, prices=prices, as_json=as_json)
        return _export_job(ledger, job_id, wanted, prices=prices, orc_version=version())


class ExportRequest(Struct, frozen=True):
    """The options of an export. `content` is whether prompts and replies are included."""

    form: str
    to: Path | None
    content: bool
    force: bool
    as_json: bool

    @staticmethod
    def of(
        form: str, to: Path | None, *, content: bool | None, force: bool, as_json: bool
    ) -> ExportRequest:
        """The checked options. Raises UsageProblem if they cannot be combined."""
        if form not in FORMATS:
            raise UsageProblem(f"--format: there is no format {form!r}{nearest(form, FORMATS)}")
        default = FORMATS[form].content
        if content is not None and default is None:
            raise UsageProblem(
                f"--content and --no-content have no effect on --format {form}; leave them out"
            )
        if to == _STDOUT and FORMATS[form].suffix is None:
            raise UsageProblem(
                f"--to -: --format {form} is a folder, which cannot be written to stdout; name one"
            )
        if to == _STDOUT and as_json:
            raise UsageProblem("--to - and --json both write to stdout; name a file with --to")
        if force and form == "folder":
            raise UsageProblem(
                "--force: an export never replaces files in a folder; name an empty or new folder"
            )
        is_in = default is not False if content is None else content
        return ExportRequest(form, to, is_in, force, as_json)

    def target(self, job_id: str) -> Path | None:
        """The path to write to; None for stdout."""
        if self.to == _STDOUT:
            return None
        if self.to is not None:
            return self.to.absolute()
        suffix = FORMATS[self.form].suffix
        if suffix is None:
            return Path(f"{job_id}.{self.form}").absolute()
        if self.as_json or sys.stdout.isatty():
            return Path(f"{job_id}.{suffix}").absolute()
        return None


def _export_folder(
    ledger: LedgerReader, job_id: str, to: Path | None, *, prices: PriceTable, as_json: bool
) -> int:
    """Publish the run folder; with `to`, a copy in an empty or new folder. Raises UsageProblem."""
    from orc.cli.jobs.folders import cannot_write, check_run_folder
    from orc.ledger import has_owner

    folder = to.absolute() if to is not None else folder_of(ledger, job_id, use="write")
    if to is None:
        check_run_folder(folder)
    publisher = Publisher(ledger, job_id, folder, prices=prices)
    if to is not None:
        with unfinished(folder, f"folder of {job_id}"):
            publisher.publish()
    else:
        try:
            if not has_owner(ledger.path, job_id):
                publisher.sweep()
            publisher.publish()
        except OSError as error:
            raise cannot_write(folder, error, "give the same command again") from error
    lost = publisher.lost()
    if as_json:
        put_json({"job_id": job_id, "folder": str(folder), "lost": list(lost)})
    else:
        say(f"{job_id} is in {safe(folder)}")
        _say_lost(lost)
    return 0


def _export_job(
    ledger: LedgerReader,
    job_id: str,
    wanted: ExportRequest,
    *,
    prices: PriceTable,
    orc_version: str,
) -> int:
    """Write the job in another format. Raises UsageProblem, FileIsThere, NoFolder, StorageError."""
    from orc.cli.jobs.crate import crate_of
    from orc.projections.exports.formats import render

    target = wanted.target(job_id)
    is_crate = wanted.form == "ro-crate"
    if target is not None and is_crate and target.suffix != ".zip":
        refuse_full(target, crate_of(job_id))
    elif target is not None:
        refuse_existing(target, force=wanted.force, what=f"{wanted.form} of {job_id}")
    with _read_snapshot(ledger, job_id, orc_version) as source:
        if is_crate:
            assert target is not None
            return _export_crate(source, wanted, target, prices)
        text = render(FORMATS[wanted.form], source, content=wanted.content)
    if target is None:
        # Every renderer returns ASCII without control characters.
        put_piece(text)
        return 0
    content = text.encode("ascii")
    write_new_bytes(target, content, force=wanted.force, what=f"{wanted.form} of {job_id}")
    facts = {"file": str(target), "size_bytes": len(content)}
    _say_written(job_id, wanted, target, facts)
    return 0


def _export_crate(
    source: ExportSource, wanted: ExportRequest, target: Path, prices: PriceTable
) -> int:
    from orc.cli.jobs.crate import crate_of, write_crate, write_crate_file

    if target.suffix == ".zip":
        done: list[tuple[int, dict[str, str]]] = []

        def make(temporary: Path) -> None:
            done.append(write_crate_file(source, temporary, prices=prices))

        write_new_file(target, make, force=wanted.force, what=crate_of(source.job_id))
        kind, (files, lost) = "file", done[0]
    else:
        kind, (files, lost) = "folder", write_crate(source, target, prices=prices)
    facts = {kind: str(target), "files": files, "lost": list(lost)}
    _say_written(source.job_id, wanted, target, facts)
    if not wanted.as_json:
        _say_lost(lost)
    return 0


@contextmanager
def _read_snapshot(ledger: LedgerReader, job_id: str, orc_version: str) -> Iterator[ExportSource]:
    """The job in one read transaction: the export does not see later changes of a running job."""
    from orc.projections.exports.source import read_source

    with storage_errors(ledger.path):
        ledger.connection.execute("BEGIN")
        try:
            row = ledger.connection.execute(
                "SELECT status FROM jobs WHERE job_id = ?", (job_id,)
            ).fetchone()
            status = shown_status(ledger.connection, ledger.path, job_id, row[0])
            yield read_source(ledger, job_id, status=status, orc_version=orc_version)
        finally:
            ledger.connection.execute("ROLLBACK")


def _say_written(
    job_id: str, wanted: ExportRequest, target: Path, facts: Mapping[str, Any]
) -> None:
    if wanted.as_json:
        put_json({"job_id": job_id, "format": wanted.form, **facts})
    else:
        say(f"{job_id} is in {safe(target)}")


def _say_lost(lost: Mapping[str, str]) -> None:
    for path, why in list(lost.items())[:20]:
        say(f"  without {safe(path)}: {safe(why)}")
    if len(lost) > 20:
        say(f"  and without {len(lost) - 20} more; --json names them")


def _formats() -> list[str]:
    # Imported here, since only completion asks for those of tables.
    from orc.projections.exports.table_rows import TABLE_FORMATS

    return [*FORMATS, *TABLE_FORMATS]
