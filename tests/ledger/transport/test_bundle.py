"""A bundle holds one job as it is stored, and an import checks everything in it."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orc.ledger import Ledger, LedgerReader, OwnerLock, Recorded, schema_check
from orc.ledger.digest import digest_bytes
from orc.ledger.errors import (
    CorruptLedger,
    FileIsThere,
    LedgerError,
    NoLedger,
    NotALedger,
    OtherHistory,
    OwnedElsewhere,
)
from orc.ledger.events import JobCancelled
from orc.ledger.integrity import check_blobs, check_structure, walk_chain
from orc.ledger.removal import remove_blobs
from orc.ledger.transport import untrusted
from orc.ledger.transport.bundle import import_job, write_bundle
from orc.ledger.transport.imported import imported
from orc.ledger.transport.untrusted import open_bundle
from tests.cli.crafted_ledgers import craft, events
from tests.ledger.cycles import make_cycle
from tests.ledger.support import (
    AT,
    JOB,
    OTHER,
    Tally,
    open_at,
    raw,
    rows,
    skipped,
    started,
    submitted,
)
from tests.ledger.test_removal import wrote

THIRD = type(JOB)("job_cccccccccccc")
LONG = b"long " * 100
LOST = b"lost " * 100


def _bundle(path: Path, target: Path, *, force: bool = False) -> Path:
    with LedgerReader.open(path) as ledger:
        write_bundle(ledger, JOB, target, projector=Tally(), force=force)
    return target


def _import(ledger: Ledger, path: Path, *, is_trusted: bool = False) -> tuple[int, int]:
    with open_bundle(path) as (bundle, job_id):
        return import_job(ledger, bundle, job_id, source="b", at=AT, is_trusted=is_trusted)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A ledger with two jobs; one has a blob, and one whose bytes were removed."""
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted(OTHER)], blobs=[b"not of the job"])
        ledger.append([submitted(), wrote(2, LONG), wrote(3, LOST)], blobs=[LONG, LOST])
        remove_blobs(ledger, {JOB: {digest_bytes(LOST)}}, cause="prune", at=AT)
    return path


@pytest.fixture
def bundle(source: Path, tmp_path: Path) -> Path:
    return _bundle(source, tmp_path / "job.orc")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / "runs.db"
    with open_at(path) as ledger:
        ledger.append([submitted(THIRD), started(2, job_id=THIRD)])
    return path


def _stored(path: Path) -> list[tuple[object, ...]]:
    return rows(
        path,
        "SELECT job_id, version, type, step, attempt, recorded_at, data, hash FROM events "
        "WHERE job_id = ? ORDER BY version",
        JOB,
    )


def test_a_bundle_is_one_file_with_one_job_and_imports_with_the_same_chain(
    source: Path, bundle: Path, target: Path
) -> None:
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    assert rows(bundle, "SELECT DISTINCT job_id FROM events") == [(JOB,)]
    assert rows(bundle, "SELECT count(*) FROM blobs") == [(2,)]
    with open_at(target) as ledger:
        assert _import(ledger, bundle) == (0, 4)
        assert ledger.read_blob(digest_bytes(LONG)) == LONG
        assert not ledger.knows_blob(digest_bytes(LOST))
        assert [link.problem for link in walk_chain(ledger.connection, JOB)] == [""] * 4
        assert list(check_blobs(ledger.connection, JOB, checked=set(), files=ledger.files)) == []
        assert list(check_structure(ledger.connection)) == []
        ledger.append([skipped(5)])
    assert _stored(target)[:4] == _stored(source)
    assert rows(target, "SELECT events FROM tally WHERE job_id = ?", JOB) == [(5,)]
    positions = "SELECT position FROM events WHERE job_id = ? AND version = 1"
    assert rows(target, positions, JOB) != rows(source, positions, JOB)


def test_an_import_can_be_repeated_and_extended_and_a_different_history_is_refused(
    source: Path, bundle: Path, target: Path, tmp_path: Path
) -> None:
    with open_at(source) as ledger:
        ledger.append([skipped(5)])
    longer = _bundle(source, tmp_path / "longer.orc")
    with open_at(target) as ledger:
        assert _import(ledger, bundle) == (0, 4)
        assert _import(ledger, bundle) == (4, 4)
        assert _import(ledger, longer) == (4, 5)
        assert _import(ledger, bundle) == (5, 5)
        ledger.append([skipped(6, step="here")])
    with open_at(source) as ledger:
        ledger.append([skipped(6, step="there")])
    other = _bundle(source, tmp_path / "other.orc")
    with open_at(target) as ledger:
        before = _stored(target)
        with pytest.raises(OtherHistory, match="its event 6 differs from the bundle's"):
            _import(ledger, other)
        assert _stored(target) == before


def test_an_imported_job_is_marked_until_it_is_trusted(
    source: Path, bundle: Path, target: Path, tmp_path: Path
) -> None:
    with open_at(target) as ledger:
        _import(ledger, bundle)
        note = imported(ledger.connection, JOB)
        assert note is not None
        assert not note["trusted"]
        _import(ledger, bundle, is_trusted=True)
        note = imported(ledger.connection, JOB)
        assert note is not None
        assert note["trusted"]
    with open_at(source) as ledger:
        # A local job that gets new events from a bundle is marked as imported, too.
        assert imported(ledger.connection, JOB) is None
    with open_at(target) as ledger:
        ledger.append([skipped(5)])
    longer = _bundle(target, tmp_path / "longer.orc")
    with open_at(source) as ledger:
        assert _import(ledger, longer) == (4, 5)
        note = imported(ledger.connection, JOB)
        assert note is not None
        assert not note["trusted"]


def test_a_job_with_an_owner_is_not_imported_over(bundle: Path, target: Path) -> None:
    lock = OwnerLock(target, JOB)
    lock.acquire()
    with open_at(target) as ledger, pytest.raises(OwnedElsewhere):
        _import(ledger, bundle)
    lock.release()


def test_signals_of_the_new_ledger_come_after_those_that_the_job_has_seen(
    source: Path, target: Path, tmp_path: Path
) -> None:
    with open_at(source) as ledger:
        ledger.append([Recorded(JOB, 5, AT, JobCancelled(signal_id=40))])
    bundle = _bundle(source, tmp_path / "cancelled.orc")
    with open_at(target) as ledger:
        _import(ledger, bundle)
        assert ledger.send_signal(JOB, kind="cancel", data={}, created_at=AT) == 41


def test_a_projector_that_refuses_leaves_nothing_behind(bundle: Path, target: Path) -> None:
    projector = Tally()
    with open_at(target, projector=projector) as ledger:
        projector.refuses = True
        with pytest.raises(RuntimeError, match="refuses"):
            _import(ledger, bundle)
    assert _stored(target) == []
    assert rows(target, "SELECT count(*) FROM blobs") == [(0,)]
    assert rows(target, "SELECT count(*) FROM orc_meta WHERE key LIKE 'imported%'") == [(0,)]


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_what_sqlite_would_play_into_a_new_bundle_is_refused(
    source: Path, tmp_path: Path, suffix: str
) -> None:
    (tmp_path / f"job.orc{suffix}").write_bytes(b"of a former job.orc")
    with pytest.raises(FileIsThere, match=f"remove job.orc{suffix}"):
        _bundle(source, tmp_path / "job.orc", force=True)
    assert not (tmp_path / "job.orc").exists()


def test_a_damaged_job_is_not_bundled(source: Path, tmp_path: Path) -> None:
    connection = raw(source)
    (trigger,) = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE name = 'blobs_no_update'"
    ).fetchone()
    connection.execute("DROP TRIGGER blobs_no_update")
    connection.execute("UPDATE blobs SET content = 'x' WHERE size_bytes = 500")
    connection.execute(trigger)
    connection.close()
    with pytest.raises(CorruptLedger, match="cannot bundle"):
        _bundle(source, tmp_path / "bad.orc")
    assert not (tmp_path / "bad.orc").exists()


def _sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f'DROP TRIGGER "{name}"')
            connection.execute("PRAGMA writable_schema = ON")
            for statement in statements:
                connection.execute(statement)

    return change


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


_RENAMED = f"UPDATE events SET job_id = '{{}}' WHERE job_id = '{JOB}'"
_TABLE = "UPDATE sqlite_schema SET sql = replace(sql, {}, {}) WHERE name = 'events'"

HOSTILE: dict[str, tuple[Callable[[Path], object], type[LedgerError], str]] = {
    "nothing": (lambda path: path.unlink(), NoLedger, "there is no file"),
    "an empty file": (_write(b""), NotALedger, "is empty"),
    "text": (
        _write(b"a bundle, said its author " * 200),
        NotALedger,
        "not an SQLite database; name a file that `orc bundle` wrote",
    ),
    "a pipe": (_fifo, NotALedger, "not a regular file"),
    "a folder": (_folder, NotALedger, "not a regular file"),
    "another application": (
        _sql("PRAGMA application_id = 7"), NotALedger, "not a ledger of orc; name a file that",
    ),
    "a newer schema": (_sql("PRAGMA user_version = 77"), LedgerError, "install a newer one"),
    "schema version 0": (
        _sql("PRAGMA user_version = 0"), LedgerError, "damaged: it has schema version 0",
    ),
    "no events": (_sql("DELETE FROM events"), NotALedger, "has no job"),
    "a view in place of the events": (
        _sql(
            "ALTER TABLE events RENAME TO real",
            "CREATE VIEW events AS SELECT * FROM real WHERE job_id <> load_extension('x')",
        ),
        NotALedger,
        "tables are not those",
    ),
    "a virtual table in place of the blobs": (
        _sql("DROP TABLE blobs", "CREATE VIRTUAL TABLE blobs USING fts5(sha256, size_bytes, content)"),
        NotALedger,
        "tables are not those",
    ),
    "a computed column": (
        _sql(_TABLE.format("'data TEXT NOT NULL'", "'data TEXT AS (hex(zeroblob(1e9)))'")),
        LedgerError,
        r"job\.orc",
    ),
    "two jobs": (
        _sql(f"UPDATE events SET job_id = '{OTHER}' WHERE version = 4"), NotALedger, "more than one",
    ),
    "a path as the id": (_sql(_RENAMED.format("../../etc")), CorruptLedger, "not a job id"),
    "another id": (_sql(_RENAMED.format("job_dddddddddddd")), CorruptLedger, "hash does not match"),
    "a changed event": (
        _sql("UPDATE events SET data = data || ' ' WHERE version = 2"), CorruptLedger, "event 2",
    ),
    "a missing event": (_sql("DELETE FROM events WHERE version = 2"), CorruptLedger, "event 2"),
    "a missing first event": (
        _sql("DELETE FROM events WHERE version = 1"), CorruptLedger, "event 1 is missing",
    ),
    "events out of order": (
        _sql(
            "UPDATE events SET version = 99 WHERE version = 2",
            "UPDATE events SET version = 2 WHERE version = 3",
            "UPDATE events SET version = 3 WHERE version = 99",
        ),
        CorruptLedger,
        "out of order",
    ),
    "bytes that are not text": (
        _sql("UPDATE events SET data = CAST(x'ff7b' AS TEXT) WHERE version = 2"),
        CorruptLedger,
        r"job\.orc",
    ),
    "a missing blob": (_sql("DELETE FROM blobs WHERE size_bytes = 500"), CorruptLedger, "missing"),
    "a changed blob": (
        _sql("UPDATE blobs SET content = content || 'x' WHERE typeof(content) = 'text'"),
        CorruptLedger,
        "digest does not match",
    ),
    "a text that is not UTF-8": (
        _sql("UPDATE blobs SET content = CAST(x'ff' AS TEXT) WHERE typeof(content) = 'text'"),
        CorruptLedger,
        "Could not decode to UTF-8",
    ),
    "a blob of another size": (_sql("UPDATE blobs SET size_bytes = 1"), CorruptLedger, "digest"),
    "a blob that is a number": (
        _sql("UPDATE blobs SET content = 1.5"), CorruptLedger, "neither text nor bytes",
    ),
    "bytes removed without an event": (
        _sql("UPDATE blobs SET content = 3"), CorruptLedger, "without a blob.removed event",
    ),
    "a huge blob": (
        _sql("UPDATE blobs SET content = zeroblob(2000000)"), CorruptLedger, "too big",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused_before_anything_is_written(
    bundle: Path, target: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_check, "CELL_BYTES_MAX", 1_000_000)
    change, error, message = HOSTILE[name]
    change(bundle)
    before = target.read_bytes()
    with open_at(target) as ledger, pytest.raises(error, match=message) as raised:
        _import(ledger, bundle)
    assert str(bundle) in str(raised.value)
    assert _stored(target) == []
    assert target.read_bytes() == before


def test_views_triggers_and_other_tables_of_a_bundle_never_run_and_are_not_imported(
    bundle: Path, target: Path
) -> None:
    with closing(sqlite3.connect(bundle, isolation_level=None)) as connection:
        connection.executescript(
            "CREATE TABLE extra (x); INSERT INTO extra VALUES (1);"
            "CREATE VIEW evil AS SELECT load_extension('evil');"
            "CREATE TRIGGER evil AFTER INSERT ON extra BEGIN DELETE FROM extra; END;"
            "INSERT INTO orc_meta VALUES ('imported:job_cccccccccccc', '{}');"
            f"INSERT INTO signals (job_id, kind, data, created_at) VALUES ('{JOB}', 'c', '', '');"
            "CREATE INDEX hides ON events (version) WHERE version > 2;"
        )
        connection.execute("INSERT INTO blobs VALUES (?, 5, 'extra')", (digest_bytes(b"extra"),))
    with open_at(target) as ledger:
        assert _import(ledger, bundle) == (0, 4)
        assert not ledger.names_blob(digest_bytes(b"extra"))
        assert list(check_structure(ledger.connection)) == []
    assert rows(target, "SELECT count(*) FROM signals") == [(0,)]
    assert rows(target, "SELECT key FROM orc_meta WHERE key LIKE 'imported%'") == [
        (f"imported:{JOB}",)
    ]


def test_a_journal_beside_a_bundle_is_not_read(bundle: Path, target: Path) -> None:
    for end in ("-wal", "-journal", "-shm"):
        bundle.with_name(bundle.name + end).write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" * 100)
    with open_at(target) as ledger:
        assert _import(ledger, bundle) == (0, 4)


@pytest.mark.parametrize("at", ["x", "", "2026", "2026-02-31T00:00:00.000000Z"])
def test_an_invalid_time_is_refused_though_the_chain_is_valid(
    bundle: Path, target: Path, at: str
) -> None:
    craft(bundle, events(lambda fields: fields.update(recorded_at=at)))
    with open_at(target) as ledger, pytest.raises(CorruptLedger, match="is not a valid time"):
        _import(ledger, bundle)
    assert _stored(target) == []


def test_blobs_that_come_without_end_are_refused(source: Path, tmp_path: Path) -> None:
    contents = [b"content %d" % number * 60 for number in range(150)]
    with open_at(source) as ledger:
        first = ledger.head(JOB).version + 1
        written = [wrote(first + number, content) for number, content in enumerate(contents)]
        ledger.append(written, blobs=contents)
    bundle = _bundle(source, tmp_path / "many.orc")
    make_cycle(bundle, "blobs", levels=2)
    with (
        pytest.raises(CorruptLedger, match="more rows of blobs than a file of its size can hold"),
        open_bundle(bundle),
    ):
        raise AssertionError("the bundle was opened")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM evil",
        "ATTACH ':memory:' AS other",
        "CREATE TEMP TABLE other (x)",
        "DELETE FROM events",
    ],
)
def test_sql_of_a_bundle_is_not_allowed_to_run(bundle: Path, statement: str) -> None:
    with closing(sqlite3.connect(bundle, isolation_level=None)) as connection:
        connection.execute("CREATE VIEW evil AS SELECT job_id FROM events")
    with (
        closing(untrusted._connect(bundle)) as connection,
        pytest.raises(sqlite3.DatabaseError, match=r"prohibited|not authorized"),
    ):
        connection.execute(statement)
