"""Large files in backups and bundles, and their removal from the ledger."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orc.ledger import LedgerReader, blob_rows, failpoints
from orc.ledger.digest import digest_bytes
from orc.ledger.errors import CorruptLedger
from orc.ledger.exit_codes import VERIFICATION
from orc.ledger.files import file_store
from orc.ledger.files.file_store import FileStore
from orc.ledger.transport.untrusted import open_bundle
from orc.projections import removal_plan
from tests.builders import JOB
from tests.cli.command_line import PASSING, orc, submit
from tests.large_files import (
    LARGE,
    LARGE_DIGEST,
    LARGE_TEXT,
    PLAIN,
    TEXT_DIGEST,
    large_story,
    stored_path,
    write_large,
)
from tests.projections.support import OTHER, open_in, tamper

_PART = 7000


@pytest.fixture
def database(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(blob_rows, "PART_BYTES", _PART)
    with open_in(here) as ledger:
        write_large(ledger, large_story(here / "runs"))
    return here / "runs.db"


def change(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def run(*arguments: str) -> None:
    done = orc(*arguments)
    assert done.code == 0, done.err


def stored(database: Path) -> set[str]:
    return set(FileStore(database).digests())


# Backups


def test_a_backup_has_the_large_files_and_is_complete_without_the_ledger(
    database: Path, here: Path
) -> None:
    (here / "away").mkdir()
    done = orc("backup", "away/copy.db", "--json")
    assert done.json()["size_bytes"] > len(LARGE) + len(LARGE_TEXT)
    copy = here / "away/copy.db"
    assert stored(copy) == {LARGE_DIGEST, TEXT_DIGEST}
    assert stat.S_IMODE(FileStore(copy).path.stat().st_mode) == 0o700
    database.rename(here / "gone.db")
    FileStore(database).path.rename(here / "gone.files")
    run("verify", "--db", str(copy))
    run("export", JOB, "--to", "out", "--db", str(copy))
    assert (here / "out/outputs/demo/tool.bin").read_bytes() == LARGE


def test_a_backup_over_an_older_one_copies_only_what_is_missing_or_damaged(
    database: Path, here: Path
) -> None:
    run("backup", "copy.db")
    kept, damaged = (stored_path(here / "copy.db", name) for name in (LARGE_DIGEST, TEXT_DIGEST))
    before = kept.stat().st_ino
    change(damaged, LARGE_TEXT[:-1] + b"!")
    run("backup", "copy.db", "--force")
    assert kept.stat().st_ino == before
    assert damaged.read_bytes() == LARGE_TEXT


def test_no_backup_is_written_if_a_large_file_is_damaged(database: Path, here: Path) -> None:
    change(stored_path(database), b"other")
    done = orc("backup", "copy.db")
    assert (done.code, (here / "copy.db").exists()) == (VERIFICATION, False)
    assert "was changed: its digest does not match" in done.err


# Bundles


def test_a_bundle_is_one_file_with_the_large_files_in_parts(database: Path, here: Path) -> None:
    run("bundle", JOB, "job.orc")
    assert not FileStore(here / "job.orc").path.exists()
    with closing(sqlite3.connect(here / "job.orc")) as connection:
        sizes = connection.execute(
            "SELECT length(content) FROM file_parts WHERE sha256 = ? ORDER BY part", (LARGE_DIGEST,)
        ).fetchall()
    assert [size for (size,) in sizes[:-1]] == [_PART] * (len(LARGE) // _PART)
    run("import", "job.orc", "--db", "new.db")
    assert stored(here / "new.db") == {LARGE_DIGEST, TEXT_DIGEST}
    run("verify", "--db", "new.db")
    with closing(sqlite3.connect(here / "new.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert "file_parts" not in tables
    run("export", JOB, "--to", "out", "--db", "new.db")
    tool = here / "out/outputs/demo/tool.bin"
    assert (tool.read_bytes(), stat.S_IMODE(tool.stat().st_mode)) == (LARGE, 0o755)


def test_a_bundle_can_be_read_copied_and_bundled_as_a_ledger(database: Path, here: Path) -> None:
    run("bundle", JOB, "job.orc")
    run("verify", "--db", "job.orc")
    run("export", JOB, "--to", "out", "--db", "job.orc")
    assert (here / "out/outputs/demo/tool.bin").read_bytes() == LARGE
    run("backup", "copy.db", "--db", "job.orc")
    run("bundle", JOB, "again.orc", "--db", "copy.db")
    run("import", "again.orc", "--db", "new.db")
    run("verify", "--db", "new.db")
    with LedgerReader.open(here / "job.orc") as reader, reader.open_blob(LARGE_DIGEST) as file:
        file.seek(_PART - 3)
        assert file.read(10) == LARGE[_PART - 3 : _PART + 7]
        file.seek(-5, 2)
        assert file.read() == LARGE[-5:]
    run("redact", LARGE_DIGEST, "--yes", "--db", "job.orc")
    assert LARGE[-500:] not in (here / "job.orc").read_bytes()
    run("verify", "--db", "job.orc")


def test_a_bundle_without_large_files_has_no_table_for_them(here: Path) -> None:
    job = submit(PASSING)
    run("bundle", job, "job.orc")
    with closing(sqlite3.connect(here / "job.orc")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert "file_parts" not in names


def test_a_backup_of_a_single_job_can_be_imported(database: Path, here: Path) -> None:
    run("backup", "copy.db")
    run("import", "copy.db", "--db", "new.db")
    run("verify", "--db", "new.db")


def _sql(statement: str) -> Callable[[Path], None]:
    return lambda bundle: tamper(bundle, statement)


HOSTILE = {
    "a changed part": _sql("UPDATE file_parts SET content = zeroblob(7000) WHERE part = 1"),
    "a missing part": _sql("DELETE FROM file_parts WHERE part = 1"),
    "no parts": _sql("DELETE FROM file_parts"),
    "a longer last part": _sql(
        "UPDATE file_parts SET content = CAST(content || X'00' AS BLOB) "
        "WHERE part = (SELECT max(part) FROM file_parts)"
    ),
    "a huge part": _sql("UPDATE file_parts SET content = zeroblob(9000000) WHERE part = 0"),
    "another size": _sql("UPDATE blobs SET size_bytes = size_bytes + 1 WHERE content = X''"),
    "a size larger than the file": _sql(
        "UPDATE blobs SET size_bytes = 4000000000000 WHERE content = X''"
    ),
    "a size that is a text": _sql("UPDATE blobs SET content = X'', size_bytes = -1"),
    "a view in place of the table": _sql("ALTER TABLE file_parts RENAME TO other"),
}


def test_a_size_larger_than_the_bundle_is_refused_before_any_part_is_read(
    database: Path, here: Path
) -> None:
    run("bundle", JOB, "job.orc")
    HOSTILE["a size larger than the file"](here / "job.orc")
    words = "its blobs are larger than the file"
    with pytest.raises(CorruptLedger, match=words), open_bundle(here / "job.orc"):
        pass


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bundle_with_other_large_files_is_refused_before_anything_is_written(
    database: Path, here: Path, name: str
) -> None:
    run("bundle", JOB, "job.orc")
    HOSTILE[name](here / "job.orc")
    if name.startswith("a view"):
        with closing(sqlite3.connect(here / "job.orc")) as connection:
            connection.execute("CREATE VIEW file_parts AS SELECT * FROM other")
    with pytest.raises(CorruptLedger), open_bundle(here / "job.orc"):
        pass
    done = orc("import", "job.orc", "--db", "new.db")
    assert done.code == VERIFICATION, done.err
    assert not (here / "new.db").exists()
    assert not FileStore(here / "new.db").path.exists()
    assert "Traceback" not in done.err


def test_a_bundle_of_a_damaged_large_file_is_not_written(database: Path, here: Path) -> None:
    stored_path(database).unlink()
    done = orc("bundle", JOB, "job.orc")
    assert (done.code, (here / "job.orc").exists()) == (VERIFICATION, False)


# Removal


def test_a_redaction_removes_the_large_file_and_its_copies(database: Path, here: Path) -> None:
    run("export", JOB)
    run("redact", LARGE_DIGEST, "--yes")
    assert stored(database) == {TEXT_DIGEST}
    run("verify")
    assert "(removed)" in orc("show", JOB, "--files").out
    assert LARGE_DIGEST[:12] in orc("show", JOB, "--files").out


def test_a_prune_removes_only_files_that_no_other_job_needs(database: Path, here: Path) -> None:
    other = large_story(here / "runs", job_id=OTHER)
    with open_in(here) as ledger:
        write_large(ledger, other)
    run("prune", "--job", JOB, "--yes")
    assert stored(database) == {LARGE_DIGEST, TEXT_DIGEST}
    run("prune", "--job", JOB, "--job", OTHER, "--yes")
    assert stored(database) == set()
    run("verify")


def test_a_killed_removal_is_completed_and_named_by_doctor(database: Path) -> None:
    with LedgerReader.open(database) as reader:
        version = reader.head(JOB).version
    failpoints.arm("removal.before_unlink=errno:EIO")
    try:
        orc("redact", LARGE_DIGEST, "--yes")
    finally:
        failpoints.arm(None)
    with LedgerReader.open(database) as reader:
        assert reader.head(JOB).version == version + 1
    assert LARGE_DIGEST in stored(database)
    said = orc("doctor").out
    assert "a killed removal left it" in said
    run("redact", LARGE_DIGEST, "--yes")
    assert stored(database) == {TEXT_DIGEST}
    assert "a killed removal left it" not in orc("doctor").out


def test_doctor_names_files_of_the_store_that_no_event_names(database: Path, here: Path) -> None:
    with open_in(here) as ledger:
        left = ledger.files.add([b"never recorded"])
    temporary = FileStore(database).path / ".file.1-2.orc-tmp"
    temporary.write_bytes(b"half")
    said = orc("doctor").out
    assert "no event names it: a killed process had stored it" in said
    assert str(stored_path(database, left.sha256)) in said
    assert str(temporary) in said
    assert str(stored_path(database)) not in said


def test_a_redaction_finds_its_bytes_in_large_files(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The text is at the border of two parts, too.
    for size_bytes in (1000, 3):
        monkeypatch.setattr(file_store, "CHUNK_BYTES", size_bytes)
        found = orc("redact", digest_bytes(PLAIN), "--json").json()
        assert found["also_in_blobs"] == [TEXT_DIGEST]
    stored_path(database, TEXT_DIGEST).unlink()
    assert orc("redact", digest_bytes(PLAIN), "--json").json()["also_in_blobs"] == []


def test_copies_of_a_large_file_are_not_searched_for(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal_plan, "STORED_BYTES_MIN", len(LARGE) - 1)
    stored_path(database).unlink()
    assert orc("redact", LARGE_DIGEST, "--json").json()["also_in_blobs"] == []
