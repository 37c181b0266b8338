"""The files of a job as a table: `orc show JOB --files`."""

from __future__ import annotations

import sqlite3

from orc.cli.terminal.text import put, put_json, say, table
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
        mode_head = ("MODE",) if has_modes else ()
        put(table(("PATH", "BYTES", "TYPE", "STEP", "SHA256", *mode_head), shown))
    else:
        say(f"{job_id} has written no files")
    return 0
