"""`orc show --files`."""

from __future__ import annotations

import sqlite3

from orc.cli.terminal.text import put, put_json, say, table


def show_files(connection: sqlite3.Connection, job_id: str, *, as_json: bool) -> int:
    """The files of a job and the steps that wrote them; those whose bytes were removed say so."""
    rows = connection.execute(
        "SELECT files.path, files.size_bytes, files.media_type, steps.name, files.sha256, "
        "typeof(content) = 'integer' FROM files JOIN steps USING (step_id) JOIN blobs "
        "USING (sha256) WHERE files.job_id = ? ORDER BY files.path",
        (job_id,),
    ).fetchall()
    if as_json:
        for row in rows:
            names = ("path", "size_bytes", "media_type", "step", "sha256", "removed")
            put_json(dict(zip(names, (*row[:5], bool(row[5])), strict=True)))
    elif rows:
        shown = [(*r[:4], r[4][:12] + " (removed)" * r[5]) for r in rows]
        put(table(("PATH", "BYTES", "TYPE", "STEP", "SHA256"), shown))
    else:
        say(f"{job_id} has written no files")
    return 0
