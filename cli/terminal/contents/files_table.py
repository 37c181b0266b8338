"""The files of a job as a table: `orc show JOB --files`."""

from __future__ import annotations

import sqlite3

from orc.cli.terminal.tables.columns import id_column, number_column, text_column
from orc.cli.terminal.tables.table import put_table
from orc.cli.terminal.text import put_json, say
from orc.ledger.wording import number_text


def show_files(connection: sqlite3.Connection, job_id: str, *, as_json: bool) -> int:
    """Print the files of a job, with the steps that wrote them; removed bytes are marked."""
    rows = connection.execute(
        "SELECT files.path, files.size_bytes, files.media_type, steps.name, files.sha256, "
        "typeof(content) = 'integer', files.mode FROM files JOIN steps USING (step_id) JOIN blobs "
        "USING (sha256) WHERE files.job_id = ? ORDER BY files.path",
        (job_id,),
    ).fetchall()
    if as_json:
        for row in rows:
            names = ("path", "size_bytes", "media_type", "step", "sha256", "removed", "mode")
            put_json(dict(zip(names, (*row[:5], bool(row[5]), row[6]), strict=True)))
    elif rows:
        has_modes = any(row[-1] for row in rows)
        shown = [
            (path, number_text(size), *rest, digest[:12] + " (removed)" * removed)
            + ((mode or "",) if has_modes else ())
            for path, size, *rest, digest, removed, mode in rows
        ]
        heads = (id_column("PATH"), number_column("BYTES"), text_column("TYPE", drop=2), "STEP",
                 text_column("SHA256", drop=1))  # fmt: skip
        put_table((*heads, *(text_column("MODE", drop=3),) * has_modes), shown)
    else:
        say(f"{job_id} has written no files")
    return 0
