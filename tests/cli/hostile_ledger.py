"""A ledger in which every text from outside is hostile, also the names of steps."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from orc.ledger.codec import row_to_recorded
from orc.ledger.digest import canonical_json, chain_hash, digest_bytes
from orc.ledger.errors import LedgerError

CONTROLS = "".join(map(chr, [*range(1, 9), *range(11, 32), *range(0x7F, 0xA0)]))
MARKS = (
    "\u200b\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff"
    "\u00ad\U000e0041\U000e007f"
)
HOSTILE_TEXT = f"\x1b]0;owned\x07\x1b[2J{CONTROLS}{MARKS}\n\t<b>\u0000"
HOSTILE_NAME = "\x1b[5m\x9b5m\u202e\x07"

_KEPT = re.compile(r"[0-9a-f]{12,64}|\d{4}-\d\d-\d\dT.*Z|job_\w+")
_COLUMNS = "position, job_id, version, type, step, attempt, recorded_at, data, hash"


def make_ledger_hostile(database: Path, steps: list[str]) -> int:
    """Rewrite all events and their hashes, as an attacker could; the number of changed texts.

    `steps` maps step names to new names. The tables are not changed.
    """
    changed = 0
    with closing(sqlite3.connect(database)) as connection:
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'events'"
        ).fetchall()
        for name, _ in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        heads: dict[str, str] = {}
        specs = _add_renamed_specs(connection, steps)
        rows = connection.execute(f"SELECT {_COLUMNS} FROM events ORDER BY position").fetchall()
        for row in rows:
            changed_row, count = _hostile_row(row, steps, specs)
            changed += count
            stored = changed_row[1:8]
            heads[row[1]] = chain_hash(heads.get(row[1], ""), stored)
            connection.execute(
                "UPDATE events SET step = ?, data = ?, hash = ? WHERE position = ?",
                (changed_row[4], changed_row[7], heads[row[1]], row[0]),
            )
        for _, sql in triggers:
            connection.execute(sql)
        connection.commit()
    return changed


def _add_renamed_specs(connection: sqlite3.Connection, steps: list[str]) -> dict[str, str]:
    """Add the resolved specs with the new step names; the new digests by the old digests."""
    found: dict[str, str] = {}
    rows = connection.execute(
        "SELECT sha256, content FROM blobs WHERE content LIKE '{%' AND content LIKE '%\"steps\"%'"
    ).fetchall()
    for digest, content in rows:
        other = _renamed(content, steps)
        found[digest] = digest_bytes(other.encode())
        size = len(other.encode())
        connection.execute("INSERT INTO blobs VALUES (?, ?, ?)", (found[digest], size, other))
    return found


def _renamed(text: str, steps: list[str]) -> str:
    """The value as canonical JSON, with the new step names."""
    for name in steps:
        written = json.dumps(name + HOSTILE_NAME)[1:-1]
        text = re.sub(rf'(?<=["/.]){name}(?=["/.\[#])', lambda _: written, text)  # noqa: B023
    return canonical_json(json.loads(text))


def _hostile_row(
    row: tuple[Any, ...], steps: list[str], specs: dict[str, str]
) -> tuple[tuple[Any, ...], int]:
    step, data = row[4], _renamed(row[7], steps)
    for old, new in specs.items():
        data = data.replace(old, new)
    for name in steps:
        if step is not None:
            step = re.sub(rf"\b{name}\b", name + HOSTILE_NAME, step)
    row = (*row[:4], step, *row[5:7], data, row[8])
    fields = json.loads(data)
    count = 0
    for holder, key in _texts(fields):
        before = holder[key]
        # A path with a zero byte, or a very long path, cannot exist on a disk.
        is_path = str(key) == "path" or str(key).endswith("_dir")
        holder[key] = before + (HOSTILE_NAME if is_path else HOSTILE_TEXT)
        changed = (*row[:7], canonical_json(fields), row[8])
        try:
            row_to_recorded(changed)
        except LedgerError:
            holder[key] = before
        else:
            row, count = changed, count + 1
    return row, count


def _texts(value: Any) -> list[tuple[Any, Any]]:
    """The places of texts in a JSON value, except digests, times and job ids."""
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        holder = pending.pop()
        # A resume executes the resolved spec; its shape is checked when it is folded.
        places = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, item in list(places):
            if isinstance(item, str) and not _KEPT.fullmatch(item) and HOSTILE_NAME not in item:
                found.append((holder, key))
            elif isinstance(item, dict | list) and key != "spec":
                pending.append(item)
    return found
