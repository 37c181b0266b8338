"""What is said of a tag that no job has."""

from __future__ import annotations

import sqlite3

from orc.cli.terminal.text import safe
from orc.projections.tables.tags import read_known_tags, read_tagged

_KNOWN_MAX = 1000


def unknown_tag_text(connection: sqlite3.Connection, tag: str | None) -> str | None:
    """`no job has the tag 'X'`, with the nearest tag; None if a job has it, or none is given."""
    if tag is None or read_tagged(connection, tag):
        return None
    # Imported here, because lists must load fast.
    from orc.scheduler.core.errors import nearest

    known = read_known_tags(connection, _KNOWN_MAX)
    return f"no job has the tag '{safe(tag)}'{safe(nearest(tag, known)) if known else ''}"
