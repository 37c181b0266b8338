"""Large files beside the ledger: durable, by digest, never through links."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.ledger import reader
from orc.ledger.digest import Digest
from orc.ledger.errors import (
    CorruptLedger,
    ExposedFiles,
    FileTooLarge,
    RemovedBlob,
    StorageError,
)
from orc.ledger.events import BlobRemoved, FileWritten, Recorded
from orc.ledger.files.file_store import FileStore, StoredFile
from orc.ledger.integrity import blob_state
from tests.ledger.support import AT, JOB, open_at, rows, submitted
from tests.other_users import give, needs_root

CONTENT = b"large " * 1000
DIGEST = Digest(hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "runs.db")


def parts() -> Iterator[bytes]:
    for start in range(0, len(CONTENT), 700):
        yield CONTENT[start : start + 700]


def written(version: int, *, mode: str | None = None) -> Recorded:
    event = FileWritten(
        step="one",
        attempt=1,
        path="demo/big.bin",
        sha256=DIGEST,
        size_bytes=len(CONTENT),
        media_type="application/octet-stream",
        mode=mode,
    )
    return Recorded(JOB, version, AT, event)


def test_a_file_is_stored_under_its_digest_for_its_owner_only(store: FileStore) -> None:
    assert store.add(parts()) == StoredFile(DIGEST, len(CONTENT))
    path = store.path / DIGEST[:2] / DIGEST
    assert path.read_bytes() == CONTENT
    modes = [stat.S_IMODE(found.stat().st_mode) for found in (store.path, path.parent, path)]
    assert modes == [0o700, 0o700, 0o400]
    assert (store.has(DIGEST), store.size(DIGEST)) == (True, len(CONTENT))
    with store.open(DIGEST) as file:
        assert file.read() == CONTENT
    assert b"".join(store.chunks(DIGEST)) == CONTENT
    assert list(store.digests()) == [DIGEST]


def test_the_same_content_can_be_added_again_and_heals_a_damaged_file(store: FileStore) -> None:
    store.add(parts())
    path = store.path / DIGEST[:2] / DIGEST
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    store.add([CONTENT])
    assert path.read_bytes() == CONTENT
    assert list(store.digests()) == [DIGEST]


def test_a_file_that_fails_halfway_leaves_nothing(store: FileStore) -> None:
    def breaks() -> Iterator[bytes]:
        yield CONTENT
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        store.add(breaks())
    with pytest.raises(StorageError, match="empty"):
        store.add([b""])
    assert os.listdir(store.path) == []


def test_several_threads_can_add_the_same_content(store: FileStore) -> None:
    found: list[StoredFile] = []
    threads = [threading.Thread(target=lambda: found.append(store.add(parts()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [StoredFile(DIGEST, len(CONTENT))] * 8
    assert list(store.digests()) == [DIGEST]
    assert list(store.leftovers()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_one(store: FileStore) -> None:
    store.path.mkdir(mode=0o700)
    left = store.path / ".file.123-456.orc-tmp"
    left.write_bytes(b"half of a file")
    assert [found.path for found in store.leftovers()] == [left]
    store.add([CONTENT])
    assert not left.exists()


def test_a_missing_file_and_a_missing_store_are_told_apart(store: FileStore) -> None:
    assert (store.size(DIGEST), list(store.digests()), store.remove(DIGEST)) == (None, [], False)
    with pytest.raises(CorruptLedger, match=r"there is no folder .*runs\.db\.files: it belongs to"):
        store.open(DIGEST)
    store.add([CONTENT])
    assert store.remove(DIGEST)
    with pytest.raises(CorruptLedger, match=f"{DIGEST} is missing; restore it"):
        store.open(DIGEST)


@pytest.mark.parametrize("name", ["../../secret", "", "a" * 63, "A" * 64, "a" * 64 + "\n"])
def test_an_invalid_digest_names_no_file(store: FileStore, name: str) -> None:
    store.add([CONTENT])
    for call in (store.open, store.size, store.remove):
        with pytest.raises(CorruptLedger, match="is not a SHA-256"):
            call(name)


def test_links_and_special_files_are_not_read(store: FileStore, tmp_path: Path) -> None:
    store.add([CONTENT])
    path = store.path / DIGEST[:2] / DIGEST
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(CorruptLedger, match="is not a regular file"):
        store.open(DIGEST)
    assert not store.has(DIGEST)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CorruptLedger, match="is not a regular file"):
        store.open(DIGEST)
    path.unlink()
    path.parent.rmdir()
    (tmp_path / "folder").mkdir()
    elsewhere.rename(tmp_path / "folder" / DIGEST)
    path.parent.symlink_to(tmp_path / "folder")
    assert not store.has(DIGEST)
    with pytest.raises(CorruptLedger):
        store.open(DIGEST)
    with pytest.raises(OSError):
        store.add([CONTENT])


def test_a_store_that_others_can_change_is_not_written(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "runs.db")
    store.path.mkdir()
    store.path.chmod(0o777)
    with pytest.raises(ExposedFiles, match=r"runs\.db\.files"):
        store.add([CONTENT])
    with pytest.raises(ExposedFiles, match=r"runs\.db\.files can be written by others"):
        open_at(tmp_path / "runs.db")


@needs_root
def test_a_file_of_a_third_user_is_not_read(store: FileStore) -> None:
    store.add([CONTENT])
    give(store.path / DIGEST[:2] / DIGEST)
    with pytest.raises(ExposedFiles, match="belongs to another user than its folder"):
        store.open(DIGEST)


def test_a_changed_file_is_found_when_it_was_read(store: FileStore) -> None:
    store.add([CONTENT])
    path = store.path / DIGEST[:2] / DIGEST
    path.chmod(0o600)
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(CorruptLedger, match="was changed: its digest does not match"):
        list(store.chunks(DIGEST))


def test_a_stored_file_is_committed_with_its_event_and_read_as_a_blob(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_at(path) as ledger:
        stored = ledger.files.add(parts())
        assert not ledger.knows_blob(DIGEST)
        ledger.append([submitted(), written(2)], stored=[stored])
        assert ledger.knows_blob(DIGEST)
        assert ledger.read_blob(DIGEST) == CONTENT
        assert ledger.blob_size(DIGEST) == len(CONTENT)
        assert b"".join(ledger.blob_chunks(DIGEST)) == CONTENT
        with ledger.open_blob(DIGEST) as file:
            file.seek(6)
            assert file.read(6) == b"large "
        ledger.append_blobs([CONTENT])
    assert rows(path, "SELECT size_bytes, content FROM blobs") == [(len(CONTENT), b"")]


def test_blobs_in_the_table_are_opened_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "STORED_BYTES_MIN", 1000)
    binary = b"\0" + CONTENT
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append_blobs([CONTENT, binary, b"small", b""])
        for content in (CONTENT, binary, b"small", b""):
            digest = hashlib.sha256(content).hexdigest()
            assert b"".join(ledger.blob_chunks(digest)) == content
            assert ledger.blob_size(digest) == len(content)
            with ledger.open_blob(digest) as file:
                assert file.read(3) == content[:3]
                file.seek(-2, os.SEEK_END) if content else None
                assert file.read() == content[-2:]


def test_an_event_is_not_committed_without_its_file(tmp_path: Path) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        stored = ledger.files.add(parts())
        ledger.files.remove(DIGEST)
        with pytest.raises(StorageError, match="was removed before it was recorded"):
            ledger.append([submitted(), written(2)], stored=[stored])
        assert ledger.head(JOB).version == 0


def test_a_file_above_the_limit_of_values_is_read_in_parts_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BLOB_BYTES_MAX", 5000)
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted(), written(2)], stored=[ledger.files.add(parts())])
        with pytest.raises(FileTooLarge, match=r"of 5\.9 KiB cannot be read as one value"):
            ledger.read_blob(DIGEST)
        assert b"".join(ledger.blob_chunks(DIGEST)) == CONTENT


def test_a_removed_file_can_be_stored_again(tmp_path: Path) -> None:
    removed = BlobRemoved(digests=(DIGEST,), size_bytes=len(CONTENT), cause="prune")
    with open_at(tmp_path / "runs.db") as ledger:
        ledger.append([submitted(), written(2)], stored=[ledger.files.add(parts())])
        ledger.append([Recorded(JOB, 3, AT, removed)])
        ledger.connection.execute("UPDATE blobs SET content = 3")
        for call in (ledger.read_blob, ledger.open_blob, ledger.blob_size):
            with pytest.raises(RemovedBlob):
                call(DIGEST)
        assert blob_state(ledger.connection, DIGEST, ledger.files) == "removed"
        ledger.append([written(4)], stored=[ledger.files.add(parts())])
        assert ledger.read_blob(DIGEST) == CONTENT


@pytest.mark.parametrize("mode", ["4755", "75", "758", "rwx", "", "75\n"])
def test_a_mode_that_orc_does_not_record_is_damage(tmp_path: Path, mode: str) -> None:
    with open_at(tmp_path / "runs.db") as ledger:
        stored = ledger.files.add(parts())
        ledger.append([submitted(), written(2, mode=mode)], stored=[stored])
        with pytest.raises(CorruptLedger, match="a file has the mode"):
            list(ledger.read_stream(JOB))
