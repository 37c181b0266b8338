"""The ledger's own tables (events, blobs and signals), and the migrations that create them.

The projector creates the read model's tables. The schema uses neither JSON functions nor
application-defined functions, so that every SQLite build, such as Datasette's, can open the
file.
"""

from __future__ import annotations

import sqlite3

from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import CorruptLedger, LedgerTooNew, NotALedger
from orc.ledger.names import shown

APPLICATION_ID = 0x6F726331
"""`orc1` in ASCII, in the header of the file."""

_VERSION_1 = (
    """
    CREATE TABLE events (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version > 0),
        type TEXT NOT NULL,
        step TEXT,
        attempt INTEGER,
        recorded_at TEXT NOT NULL,
        data TEXT NOT NULL,
        hash TEXT NOT NULL CHECK (length(hash) = 64),
        UNIQUE (job_id, version)
    ) STRICT
    """,
    """
    CREATE TABLE blobs (
        sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64),
        size_bytes INTEGER NOT NULL,
        content ANY NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE signals (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL,
        created_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX signals_by_job ON signals (job_id, id)",
    "CREATE TABLE orc_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    # This trigger refuses gaps, and also `INSERT OR REPLACE`, which deletes the old row (with
    # the same `version` or `position`) without firing the delete trigger.
    """
    CREATE TRIGGER events_in_order BEFORE INSERT ON events
    WHEN NEW.version IS NOT
            (SELECT coalesce(max(version), 0) + 1 FROM events WHERE job_id = NEW.job_id)
        OR EXISTS (SELECT 1 FROM events WHERE position = NEW.position)
    BEGIN SELECT RAISE(ABORT, 'events are append-only: not the next version'); END
    """,
    """
    CREATE TRIGGER events_no_update BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only: no update'); END
    """,
    """
    CREATE TRIGGER events_no_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only: no delete'); END
    """,
    # The digest identifies the content, so a second insert changes nothing.
    """
    CREATE TRIGGER blobs_once BEFORE INSERT ON blobs
    WHEN EXISTS (SELECT 1 FROM blobs WHERE sha256 = NEW.sha256)
    BEGIN SELECT RAISE(IGNORE); END
    """,
    # An explicit rowid could replace another row's content.
    """
    CREATE TRIGGER blobs_no_replace BEFORE INSERT ON blobs
    WHEN EXISTS (SELECT 1 FROM blobs WHERE rowid = NEW.rowid AND sha256 IS NOT NEW.sha256)
    BEGIN SELECT RAISE(ABORT, 'blobs are append-only: no replace'); END
    """,
    """
    CREATE TRIGGER blobs_no_update BEFORE UPDATE ON blobs
    BEGIN SELECT RAISE(ABORT, 'blobs are append-only: no update'); END
    """,
    """
    CREATE TRIGGER blobs_no_delete BEFORE DELETE ON blobs
    BEGIN SELECT RAISE(ABORT, 'blobs are append-only: no delete'); END
    """,
    """
    CREATE TRIGGER signals_once BEFORE INSERT ON signals
    WHEN EXISTS (SELECT 1 FROM signals WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'signals are append-only: no replace'); END
    """,
    """
    CREATE TRIGGER signals_no_update BEFORE UPDATE ON signals
    BEGIN SELECT RAISE(ABORT, 'signals are append-only: no update'); END
    """,
    """
    CREATE TRIGGER signals_no_delete BEFORE DELETE ON signals
    BEGIN SELECT RAISE(ABORT, 'signals are append-only: no delete'); END
    """,
)

# The only way to remove a blob's bytes: replace the content with the position of a
# `blob.removed` event that names the digest and is already stored. If the same bytes are
# inserted again, they are stored again. The index finds removals; being partial, it takes no
# space in a ledger without them.
_IS_RECORDED_REMOVAL = (
    "EXISTS (SELECT 1 FROM events WHERE position = NEW.content AND type = 'blob.removed' "
    "AND instr(data, NEW.sha256))"
)
_VERSION_2 = (
    "CREATE INDEX events_blob_removed ON events (job_id) WHERE type = 'blob.removed'",
    "DROP TRIGGER blobs_once",
    "DROP TRIGGER blobs_no_update",
    """
    CREATE TRIGGER blobs_once BEFORE INSERT ON blobs
    WHEN EXISTS (SELECT 1 FROM blobs WHERE sha256 = NEW.sha256)
    BEGIN
        UPDATE blobs SET content = NEW.content WHERE sha256 = NEW.sha256
            AND typeof(content) = 'integer' AND typeof(NEW.content) <> 'integer';
        SELECT RAISE(IGNORE);
    END
    """,
    f"""
    CREATE TRIGGER blobs_no_empty BEFORE INSERT ON blobs
    WHEN typeof(NEW.content) NOT IN ('text', 'blob')
        AND NOT (typeof(NEW.content) = 'integer' AND {_IS_RECORDED_REMOVAL})
    BEGIN SELECT RAISE(ABORT, 'blobs are append-only: no content'); END
    """,
    f"""
    CREATE TRIGGER blobs_no_update BEFORE UPDATE ON blobs
    WHEN NOT (
        NEW.rowid IS OLD.rowid AND NEW.sha256 IS OLD.sha256 AND NEW.size_bytes IS OLD.size_bytes
        AND CASE typeof(OLD.content)
            WHEN 'integer' THEN typeof(NEW.content) IN ('text', 'blob')
            ELSE typeof(NEW.content) = 'integer' AND {_IS_RECORDED_REMOVAL}
        END
    )
    BEGIN SELECT RAISE(ABORT, 'blobs are append-only: no update'); END
    """,
)


MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2)
"""The statements of entry n migrate a file from `user_version` n to n + 1."""


def migrate(connection: sqlite3.Connection) -> None:
    """Migrate the file to the current schema, in the caller's transaction."""
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    for number in range(found, len(MIGRATIONS)):
        for statement in MIGRATIONS[number]:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the file has the current schema.

    Raises what `check_header` raises.
    """
    return check_header(connection) == len(MIGRATIONS)


def _read_header(connection: sqlite3.Connection) -> tuple[int, int, int]:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    return application_id, version, tables


def check_header(connection: sqlite3.Connection) -> int:
    """The schema version of the file; 0 for an empty file.

    Raises NotALedger for a file of another application, LedgerTooNew for a file that a newer
    version of orc has migrated, CorruptLedger for a version number that no orc writes.
    """
    try:
        application_id, version, tables = _read_header(connection)
        if (application_id, version, tables) != (0, 0, 0) and application_id != APPLICATION_ID:
            # Another process may have created the ledger between two of these reads.
            application_id, version, tables = _read_header(connection)
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise NotALedger("the file is not an SQLite database; name a ledger") from error
        raise
    if application_id == 0 and version == 0 and tables == 0:
        return 0
    if application_id != APPLICATION_ID:
        raise NotALedger(
            "the file is an SQLite database, but not a ledger of orc; name another one"
        )
    if version > len(MIGRATIONS):
        raise LedgerTooNew(
            f"the ledger has schema {version}, and this version of orc knows schemas up to "
            f"{len(MIGRATIONS)}; install a newer one"
        )
    if version < 1:
        raise CorruptLedger(f"the file's header is damaged: it has schema version {version}")
    return version


def parse_version(value: object) -> int:
    """The version of the tables that a row of `orc_meta` holds. Raises CorruptLedger."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    raise CorruptLedger(
        f"orc_meta has {shown(value)} in place of the version of the tables; "
        f"{quoted_command('rebuild')} derives them again"
    )
