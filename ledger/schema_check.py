"""Compares the schema of a ledger file with orc's own, and limits what reading the file can do.

Every connection to a ledger passes `check_file` before anything else is read: a file from another
person can have a view in place of a table, triggers of its own, or pages that refer to each other
without end. Tables, views and indexes of the user beside ours are not touched and not read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from orc.ledger.bounds import BLOB_BYTES_MAX
from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import CorruptLedger
from orc.ledger.schema import MIGRATIONS

LEDGER_TABLES = frozenset(("events", "blobs", "signals", "orc_meta"))
CELL_BYTES_MAX = BLOB_BYTES_MAX + 1024
"""The largest row that is read: a blob, its digest and its size."""

_PRAGMAS = ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0")
_STEPS_MAX = 20_000_000
"""After this many operations of one statement, the structure of the file is checked: about a second."""

Schema = dict[tuple[str, str], tuple[str, str]]
"""Each table, index, trigger and view, by kind and name: the table that it is of, and its SQL."""


def check_file(connection: sqlite3.Connection, path: Path, version: int, uri: str = "") -> None:
    """Check the schema of a ledger of this version, and limit what its statements can do.

    `uri` is as in `limit`. Raises CorruptLedger. A missing, changed or additional table, index or
    trigger of ours is one problem; see `schema_problems`.
    """
    limit(connection, path, uri)
    if ours_in(schema_of(connection)) == schema_of_version(version):
        return
    # In one transaction: another process may have migrated the file since its version was read.
    connection.execute("BEGIN")
    try:
        problem = next(schema_problems(connection), None)
    finally:
        connection.execute("ROLLBACK")
    if problem is not None:
        raise CorruptLedger(
            f"{path}: {problem}; another program has changed the ledger. Nothing was read: "
            f"{quoted_command('verify')} lists what is wrong, and a backup has the ledger as it was"
        )


def limit(connection: sqlite3.Connection, path: Path, uri: str = "") -> None:
    """Limit what the statements of a connection to `path` can do; see `_Watch`.

    `uri` is what the connection reads, if that is not the file itself.
    """
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, CELL_BYTES_MAX)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    watch = _Watch(uri or f"file:{quote(str(path.absolute()))}?mode=ro")
    connection.set_progress_handler(watch.check, _STEPS_MAX)


def schema_problems(connection: sqlite3.Connection) -> Iterator[str]:
    """What differs from orc's own schema of the file's version, one text for each difference."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    found = ours_in(schema_of(connection))
    expected = schema_of_version(version)
    for key, entry in expected.items():
        if key in found and found[key] == entry:
            continue
        kind, name = key
        other = next((found_kind for found_kind, other in found if other == name), None)
        if key in found:
            yield f"the {kind} {name} was changed"
        elif other is not None:
            yield f"the {kind} {name} is missing: a {other} has its name"
        else:
            yield f"the {kind} {name} is missing"
    for kind, name in found:
        if (kind, name) not in expected and name not in {name for _, name in expected}:
            yield f"the {kind} {ascii(name)[1:-1]} does not belong to orc; drop it"


def has_own_tables(connection: sqlite3.Connection) -> bool:
    """Whether the tables of the ledger are orc's own, whatever triggers and indexes there are."""
    try:
        found = schema_of(connection)
        expected = schema_of_version(connection.execute("PRAGMA user_version").fetchone()[0])
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False
    return all(found.get(("table", name)) == expected["table", name] for name in LEDGER_TABLES)


def schema_of(connection: sqlite3.Connection) -> Schema:
    """The schema of a database, with whitespace normalized."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
    found: Schema = {}
    # In a damaged or hostile file, these columns may hold other types than text, and names may occur
    # twice.
    for kind, name, table, sql in rows:
        key = str(kind), str(name)
        before = f"{found[key][1]}; " if key in found else ""
        found[key] = str(table), before + " ".join(str(sql or "").split())
    return found


def ours_in(schema: Schema) -> Schema:
    """What is in the place of orc's own: the ledger's tables, all that is of them, and all triggers."""
    return {
        (kind, name): (table, sql)
        for (kind, name), (table, sql) in schema.items()
        if kind.lower() == "trigger"
        or table.lower() in LEDGER_TABLES
        or name.lower() in LEDGER_TABLES
    }


@lru_cache(maxsize=4)
def schema_of_version(version: int) -> Schema:
    """Orc's own schema of that version."""
    return schema_made_by(chain(*MIGRATIONS[:version]))


def schema_made_by(statements: Iterable[str]) -> Schema:
    """The schema that a database gets by statements of orc, as `schema_of` reads it.

    Each creates a table, an index or a trigger, or drops one. A database in memory would take longer
    to tell, and so would a digest: commands that only read compare schemas at each start.
    """
    made: Schema = {}
    for statement in statements:
        words = statement.split()
        verb, kind, name = words[0], words[1].lower(), words[2].strip('"')
        if verb == "DROP":
            del made[kind, name]
            continue
        sql = " ".join(words)
        table = name if kind == "table" else words[words.index("ON") + 1]
        made[kind, name] = table, sql
        if kind == "table":
            # SQLite makes an index for each such key, without a statement.
            keys = sql.count("PRIMARY KEY") - sql.count("INTEGER PRIMARY KEY") + sql.count("UNIQUE")
            for number in range(1, keys + 1):
                made["index", f"sqlite_autoindex_{name}_{number}"] = name, ""
    return made


class _Watch:
    """Checks the structure of the file once, when a statement of its connection takes long.

    If pages refer to each other in a cycle, a statement can return rows, or count them, without
    end. In a sound file, statements are as long as they have to be.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._is_sound = False

    def check(self) -> int:
        if not self._is_sound:
            self._is_sound = _is_sound(self._uri)
        return 0 if self._is_sound else 1


def _is_sound(uri: str) -> bool:
    """Whether the pages of the ledger's tables form trees; True if they cannot be read now."""
    try:
        with closing(sqlite3.connect(uri, uri=True)) as other:
            return all(
                other.execute(f"PRAGMA quick_check('{name}')").fetchone()[0] == "ok"
                # The last one is only in bundles with large files; without it, this is an error.
                for name in ("events", "signals", "orc_meta", "blobs", "file_parts")
            )
    except sqlite3.DatabaseError as error:
        # Another program may keep the file busy.
        return getattr(error, "sqlite_errorname", "") not in ("SQLITE_CORRUPT", "SQLITE_NOTADB")
