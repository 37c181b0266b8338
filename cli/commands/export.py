"""`orc export`: a job, from the ledger alone, in a form that people or other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orc.cli.options import Database, Job, Json, find_places, read_ledger_and_tables


def export(
    job: Job,
    form: Annotated[
        str,
        typer.Option("--format", help="folder, html, otel, ro-crate or junit.", metavar="FORMAT"),
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
    from orc.about import version
    from orc.cli.exporting import Wanted, export_folder, export_job

    wanted = Wanted.of(form, to, content=content, force=force, as_json=as_json)
    prices = find_places(database).prices
    with read_ledger_and_tables(database) as ledger:
        job_id = ledger.find_job(job)
        if wanted.form == "folder":
            return export_folder(ledger, job_id, to, prices=prices, as_json=as_json)
        return export_job(ledger, job_id, wanted, prices=prices, orc_version=version())
