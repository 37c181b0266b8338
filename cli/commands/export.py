"""`orc export`: writes a job in a form that people or other programs read, from the ledger alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from orc.about import version
from orc.cli.errors import UsageProblem
from orc.cli.jobs.crate import write_crate, write_crate_file
from orc.cli.jobs.folders import folder_of
from orc.cli.opening import find_places, read_ledger_and_tables
from orc.cli.options import Database, Job, Json
from orc.cli.terminal.text import put_json, put_piece, safe, say
from orc.ledger import LedgerReader, has_owner
from orc.ledger.connection import storage_errors
from orc.ledger.new_file import refuse_existing, write_new_bytes, write_new_file
from orc.projections import Publisher
from orc.projections.exports.formats import FORMATS, render
from orc.projections.exports.source import ExportSource, read_source
from orc.projections.money.prices import PriceTable
from orc.projections.tables.status import shown_status
from orc.scheduler.core.errors import nearest

_STDOUT = Path("-")
*_FIRST, _LAST = FORMATS


def command(
    job: Job,
    form: Annotated[
        str,
        typer.Option("--format", help=f"{', '.join(_FIRST)} or {_LAST}.", metavar="FORMAT"),
    ] = "folder",
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="The file or the folder for it; `-` is stdout. Default: by the format.",
            metavar="PATH",
        ),
    ] = None,
    content: Annotated[
        bool | None,
        typer.Option(
            "--content/--no-content",
            help="Of html: with prompts, replies, logs and files (default), or without. Of otel: "
            "with prompts, replies and arguments of tools, or without (default).",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Write a job in another form: folder, page, trace, report.

    `folder` publishes the run folder again, or a copy of it with --to. `html`, `otel` and
    `junit` are one file: on stdout where that is no terminal, else in this folder, named
    after the job. `ro-crate` is a folder, or one file where --to ends in .zip.
    """
    wanted = ExportRequest.of(form, to, content=content, force=force, as_json=as_json)
    prices = find_places(database).prices
    with read_ledger_and_tables(database) as ledger:
        job_id = ledger.find_job(job)
        if wanted.form == "folder":
            return _export_folder(ledger, job_id, to, prices=prices, as_json=as_json)
        return _export_job(ledger, job_id, wanted, prices=prices, orc_version=version())


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What a person asked for. `content` is whether prompts and replies are in it."""

    form: str
    to: Path | None
    content: bool
    force: bool
    as_json: bool

    @staticmethod
    def of(
        form: str, to: Path | None, *, content: bool | None, force: bool, as_json: bool
    ) -> ExportRequest:
        """The options, if they go together. Raises UsageProblem."""
        if form not in FORMATS:
            raise UsageProblem(f"--format: there is no format {form!r}{nearest(form, FORMATS)}")
        default = FORMATS[form].content
        if content is not None and default is None:
            raise UsageProblem(f"--content and --no-content say nothing to --format {form}")
        if to == _STDOUT and FORMATS[form].suffix is None:
            raise UsageProblem(f"--to -: a {form} is a folder, and stdout takes one file")
        if to == _STDOUT and as_json:
            raise UsageProblem("--to - and --json both want stdout; name a file")
        if force and form == "folder":
            raise UsageProblem("--force: an export never replaces files of a folder; name another")
        is_in = default is not False if content is None else content
        return ExportRequest(form, to, is_in, force, as_json)

    def target(self, job_id: str) -> Path | None:
        """Where it goes; none is stdout."""
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
    """Publish the run folder, or a copy of it in an empty or new folder. Raises UsageProblem."""
    folder = to.absolute() if to is not None else folder_of(ledger, job_id)
    if to is not None:
        _refuse_full(folder)
    # The artifacts of a job that runs are its commands' until they end.
    is_live = to is None and has_owner(ledger.path, job_id)
    publisher = Publisher(ledger, job_id, folder, prices=prices)
    if to is None and not is_live:
        publisher.sweep()
    publisher.publish(final=not is_live)
    lost = publisher.lost()
    if as_json:
        put_json({"job_id": job_id, "folder": str(folder), "lost": list(lost)})
    else:
        say(f"{job_id} is in {safe(folder)}")
        _tell_lost(lost)
    return 0


def _export_job(
    ledger: LedgerReader,
    job_id: str,
    wanted: ExportRequest,
    *,
    prices: PriceTable,
    orc_version: str,
) -> int:
    """Write the job in any other form. Raises UsageProblem, FileIsThere, NoFolder, StorageError."""
    target = wanted.target(job_id)
    is_crate = wanted.form == "ro-crate"
    if target is not None and is_crate and target.suffix != ".zip":
        _refuse_full(target)
    elif target is not None:
        refuse_existing(target, force=wanted.force)
    with _moment(ledger, job_id, orc_version) as source:
        if is_crate:
            assert target is not None
            return _export_crate(source, wanted, target, prices)
        text = render(FORMATS[wanted.form], source, content=wanted.content)
    if target is None:
        # ASCII, with nothing in it that a terminal obeys: every renderer sees to that.
        put_piece(text)
        return 0
    content = text.encode("ascii")
    write_new_bytes(target, content, force=wanted.force)
    facts = {"file": str(target), "size_bytes": len(content)}
    _tell(job_id, wanted, target, facts)
    return 0


def _export_crate(
    source: ExportSource, wanted: ExportRequest, target: Path, prices: PriceTable
) -> int:
    if target.suffix == ".zip":
        done: list[tuple[int, dict[str, str]]] = []

        def make(temporary: Path) -> None:
            done.append(write_crate_file(source, temporary, prices=prices))

        write_new_file(target, make, force=wanted.force)
        kind, (files, lost) = "file", done[0]
    else:
        kind, (files, lost) = "folder", write_crate(source, target, prices=prices)
    _tell(source.job_id, wanted, target, {kind: str(target), "files": files, "lost": list(lost)})
    if not wanted.as_json:
        _tell_lost(lost)
    return 0


@contextmanager
def _moment(ledger: LedgerReader, job_id: str, orc_version: str) -> Iterator[ExportSource]:
    """The job as of now, and as of nothing later: a running one goes on meanwhile."""
    with storage_errors(ledger.path):
        ledger.connection.execute("BEGIN")
        try:
            row = ledger.connection.execute(
                "SELECT status FROM jobs WHERE job_id = ?", (job_id,)
            ).fetchone()
            status = shown_status(ledger.path, job_id, row[0])
            yield read_source(ledger, job_id, status=status, orc_version=orc_version)
        finally:
            ledger.connection.execute("ROLLBACK")


def _tell(job_id: str, wanted: ExportRequest, target: Path, facts: Mapping[str, Any]) -> None:
    if wanted.as_json:
        put_json({"job_id": job_id, "format": wanted.form, **facts})
    else:
        say(f"{job_id} is in {safe(target)}")


def _tell_lost(lost: Mapping[str, str]) -> None:
    for path, why in list(lost.items())[:20]:
        say(f"  without {safe(path)}: {safe(why)}")
    if len(lost) > 20:
        say(f"  and without {len(lost) - 20} more; --json names them")


def _refuse_full(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageProblem(f"{folder} is there and not an empty folder; name another")
