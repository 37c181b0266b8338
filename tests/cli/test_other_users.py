"""What another user puts beside a ledger, or whose ledger it is: nothing of it is obeyed or used."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

import orc as orc_api
from orc.cli.terminal.ledger_changes import LedgerChanges
from orc.ledger import JobId, LedgerReader, OwnerLock
from orc.ledger.errors import UnseenLog
from orc.ledger.files.exposure import VARIABLE
from orc.ledger.files.private_folder import PrivateFolder
from orc.ledger.files.snapshot import copy_database
from orc.scheduler.core.source import SIZE_MAX
from tests.cli.command_line import orc, submit
from tests.other_users import ANOTHER, as_user, give, hot_journal, needs_root, shared_folder

SPEC = """\
project: shared
steps:
  ask: {approval: now}
  act: {needs: ask, run: "seq 9999; echo acted"}
"""
LOOKS = (
    ("list",),
    ("show", "JOB"),
    ("tail", "JOB"),
    ("verify",),
    ("search", "acted"),
    ("export", "JOB", "--to", "OUT"),
    ("graph", "JOB"),
    ("why", "JOB", "ask"),
    ("logs", "JOB", "act"),
    ("diff", "JOB", "JOB"),
    ("cost",),
    ("backup", "OUT/copy.db"),
    ("bundle", "JOB", "OUT/job.orc"),
    ("doctor",),
)
WRITES = (
    ("resume", "JOB"),
    ("rerun", "JOB", "--step", "act"),
    ("fork", "JOB"),
    ("replay", "JOB"),
    ("cancel", "JOB"),
    ("approve", "JOB", "ask"),
    ("reject", "JOB", "ask"),
    ("prune", "--job", "JOB", "--yes"),
    ("redact", "0" * 64, "--yes"),
    ("rebuild",),
    ("run", "spec.yaml"),
    ("submit", "spec.yaml"),
    ("work", "--stop-when-empty"),
)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, which other users can enter, with a ledger."""
    with shared_folder() as folder:
        monkeypatch.chdir(folder)
        Path("spec.yaml").write_text(SPEC)
        yield folder


@pytest.fixture
def job(shared: Path) -> str:
    return submit(SPEC)


def filled(command: tuple[str, ...], job: str, out: Path) -> list[str]:
    return [part.replace("JOB", job).replace("OUT", str(out)) for part in command]


def state_of(folder: Path) -> dict[str, tuple[object, ...]]:
    """Each file and folder with what a change would change."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(folder))] = (status.st_ino, status.st_mtime_ns, content)
    return found


@needs_root
def test_looking_at_a_ledger_of_another_user_changes_nothing_there(
    job: str, shared: Path, tmp_path: Path
) -> None:
    for name in ("runs.db-wal", "runs.db-shm"):
        Path(name).unlink(missing_ok=True)
    give(shared, *shared.rglob("*"))
    before = state_of(shared)
    for number, command in enumerate(LOOKS):
        out = tmp_path / str(number)
        if command[0] != "export":
            out.mkdir()
        said = orc(*filled(command, job, out))
        assert said.code == 0, (command, said)
        assert state_of(shared) == before, command


@needs_root
def test_removals_are_planned_in_a_ledger_of_another_user(job: str, shared: Path) -> None:
    orc("approve", job, "ask")
    assert orc("resume", job).code == 0
    with LedgerReader.open(shared / "runs.db") as ledger:
        sql = "SELECT sha256 FROM blobs ORDER BY length(content) DESC LIMIT 1"
        [digest] = ledger.connection.execute(sql).fetchone()
    for name in ("runs.db-wal", "runs.db-shm"):
        Path(name).unlink(missing_ok=True)
    give(shared, *shared.rglob("*"))
    before = state_of(shared)
    for command in (("prune", "--job", job), ("redact", digest)):
        planned = orc(*command, "--json")
        assert (planned.code, planned.json()["done"]) == (0, False), planned
        assert [part["job_id"] for part in planned.json()["jobs"]] == [job]
        assert state_of(shared) == before, command
        assert orc(*command, "--yes").code == 2
        assert state_of(shared) == before, command


@needs_root
def test_a_ledger_of_another_user_with_a_log_is_read_from_a_private_copy(
    job: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    database = shared / "runs.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("UPDATE jobs SET status = 'cancelled'")
        assert (shared / "runs.db-wal").stat().st_size > 0
        give(shared, *shared.rglob("*"))
        before = state_of(shared)
        assert "cancelled" in orc("list").out
        assert state_of(shared) == before
    assert not list(place.iterdir())


@needs_root
def test_a_ledger_of_another_user_is_followed_while_it_changes(job: str, shared: Path) -> None:
    give(shared, *shared.rglob("*"))
    with LedgerReader.open(shared / "runs.db") as ledger:
        changes = LedgerChanges(ledger)
        assert not changes.has_new()
        with closing(sqlite3.connect("runs.db", isolation_level=None)) as writer:
            writer.execute("UPDATE jobs SET status = 'cancelled'")
            assert changes.has_new()
            assert ledger.connection.execute("SELECT status FROM jobs").fetchone() == ("cancelled",)
            assert not changes.has_new()


@needs_root
def test_a_busy_ledger_of_another_user_is_copied_in_a_tenth_of_the_time(
    job: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(shared, *shared.rglob("*"))
    now, copied = 0.0, 0

    def copy(database: Path) -> PrivateFolder:
        nonlocal now, copied
        made = copy_database(database)
        now += 0.5
        copied += sum(file.stat().st_size for file in made.path.iterdir())
        return made

    monkeypatch.setattr("orc.ledger.files.snapshot.copy_database", copy)
    with LedgerReader.open(shared / "runs.db") as ledger:
        changes = LedgerChanges(ledger, clock=lambda: now)
        with closing(sqlite3.connect("runs.db", isolation_level=None)) as writer:
            writer.execute("PRAGMA wal_autocheckpoint = 0")
            once = Path("runs.db").stat().st_size
            polls, reads = 240, 0
            copied = 0
            for number in range(polls):
                now += 0.25
                writer.execute("UPDATE orc_meta SET value = ? WHERE key = 'read_model'", (number,))
                reads += changes.has_new()
            # 60 seconds of changes are copied about every 5 seconds, and not 240 times.
            assert 8 <= reads <= 12
            assert copied <= 12 * (once + Path("runs.db-wal").stat().st_size)
            # The last change is seen, too, at once or later.
            query = "SELECT value FROM orc_meta WHERE key = 'read_model'"
            assert changes.has_new(at_once=True)
            assert ledger.connection.execute(query).fetchone() == (str(polls - 1),)
            writer.execute("UPDATE orc_meta SET value = 'last' WHERE key = 'read_model'")
            assert not changes.has_new()
            now += 6
            assert changes.has_new()
            assert ledger.connection.execute(query).fetchone() == ("last",)
            assert not changes.has_new(at_once=True)


@needs_root
def test_old_tables_of_another_users_ledger_are_derived_beside_it(job: str, shared: Path) -> None:
    with closing(sqlite3.connect("runs.db", isolation_level=None)) as writer:
        writer.execute("UPDATE orc_meta SET value = '1' WHERE key = 'read_model'")
        writer.execute("DROP TABLE steps")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    give(shared, *shared.rglob("*"))
    before = state_of(shared)
    for command in (("list",), ("show", job), ("why", job, "ask"), ("search", "shared")):
        said = orc(*command)
        assert said.code == 0, (command, said)
    assert orc_api.job(job, db=shared / "runs.db").status == "waiting"
    assert state_of(shared) == before


@needs_root
@pytest.mark.parametrize("command", WRITES, ids=lambda command: command[0])
def test_a_planted_journal_is_not_obeyed_and_the_command_refused(
    command: tuple[str, ...], job: str, shared: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    journal = shared / "runs.db-journal"
    shared.chmod(0o1777)
    journal.write_bytes(hot_journal(shared / "runs.db", victim))
    give(journal)
    before = state_of(shared)
    said = orc(*filled(command, job, tmp_path / "out"))
    assert said.code == 2, said
    assert f"{journal} belongs to user {ANOTHER}" in said.err
    assert f"{shared} is a folder in which every user can create files" in said.err
    assert victim.read_text() == "precious"
    assert state_of(shared) == before


def test_the_planted_journal_would_delete_a_file(shared: Path, job: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    copy = tmp_path / "copy.db"
    shutil.copy("runs.db", copy)
    Path(f"{copy}-journal").write_bytes(hot_journal(copy, victim))
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA user_version").fetchone()
    assert not victim.exists()


@needs_root
def test_a_planted_journal_beside_the_search_index_is_not_obeyed(
    job: str, shared: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    assert orc("search", "shared").code == 0
    index = shared / "runs.db.search"
    journal = shared / "runs.db.search-journal"
    journal.write_bytes(hot_journal(index, victim))
    give(journal)
    before = index.read_bytes()
    said = orc("search", "approval")
    assert said.code == 0
    assert victim.read_text() == "precious"
    assert index.read_bytes() == before


@needs_root
def test_a_search_index_of_another_user_is_neither_read_nor_filled(job: str, shared: Path) -> None:
    index = shared / "runs.db.search"
    index.touch(mode=0o600)
    give(index)
    assert orc("search", "shared").code == 0
    assert index.read_bytes() == b""


@pytest.mark.parametrize("kind", ["pipe", "link"])
@pytest.mark.parametrize(
    "name", ["runs.db-journal", "runs.db-wal", "runs.db-shm", "runs.db.search", "runs.db.locks"]
)
def test_a_pipe_or_link_beside_a_ledger_lets_no_command_hang(
    name: str, kind: str, job: str, shared: Path, tmp_path: Path
) -> None:
    path = shared / name
    if path.is_dir():
        path.rename(shared / "moved")
    path.unlink(missing_ok=True)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.mkfifo(path) if kind == "pipe" else path.symlink_to(victim)
    for command in (("list",), ("search", "shared"), ("doctor",)):
        said = orc(*command)
        if command == ("doctor",) or said.code != 0:
            assert f"remove {path}" in said.out + said.err, (command, said)
    said = orc("resume", job)
    assert said.code == 2
    assert f"{path} is {'a link' if kind == 'link' else 'not a'}" in said.err
    assert victim.read_text() == "precious"


@needs_root
def test_a_running_transaction_of_another_user_is_not_played_back_by_a_reader(
    job: str, shared: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    journal = shared / "runs.db-journal"
    journal.write_bytes(hot_journal(shared / "runs.db", victim))
    give(shared, *shared.rglob("*"))
    said = orc("list")
    assert said.code == 2
    assert f"{journal} has an interrupted transaction" in said.err
    give(journal, uid=ANOTHER + 1)
    said = orc("list")
    assert said.code == 2
    assert f"{journal} has a transaction, and does not belong to the ledger's owner" in said.err
    assert victim.exists()


def test_an_interrupted_transaction_of_ones_own_is_played_back(job: str, shared: Path) -> None:
    journal = shared / "runs.db-journal"
    journal.write_bytes(hot_journal(shared / "runs.db", shared / "nothing"))
    assert orc("rebuild").code == 0
    assert not journal.exists()


@pytest.mark.parametrize("path", [".", "runs.db"])
def test_what_others_can_write_is_refused_until_the_user_trusts_it(
    path: str, job: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orc("approve", job, "ask")
    place = (shared / path).resolve()
    place.chmod(place.stat().st_mode | 0o022)
    for command in WRITES:
        said = orc(*filled(command, job, shared))
        assert said.code == 2, (command, said)
        assert f"chmod go-w {place}" in said.err, command
        assert VARIABLE in said.err, command
        has_option = command[0] in ("resume", "rerun", "fork", "replay", "work")
        assert ("or add --trust" in said.err) == has_option, command
    assert orc("run", "spec.yaml", "--db", "new.db").code == (2 if path == "." else 3)
    said = orc("resume", job, "--trust")
    assert said.code == 0, said
    assert orc("rerun", job, "--step", "act").code == 2
    monkeypatch.setenv(VARIABLE, str(shared))
    assert orc("rerun", job, "--step", "act").code == 0
    assert orc("search", "acted").code == 0
    assert (shared / "runs.db.search").exists()


@needs_root
def test_a_runs_folder_of_another_user_is_named_and_not_used(job: str, shared: Path) -> None:
    orc("approve", job, "ask")
    assert orc("resume", job).code == 0
    runs = shared / "runs"
    give(runs)
    for command in (
        ("resume", job),
        ("rerun", job, "--step", "act"),
        ("fork", job),
        ("run", "spec.yaml"),
        ("export", job),
        ("prune", "--job", job, "--yes"),
    ):
        said = orc(*command)
        assert said.code == 2, (command, said)
        assert f"{runs} belongs to user {ANOTHER}" in said.err, command
    assert f"{runs} belongs to user {ANOTHER}" in orc("doctor").out
    assert orc("resume", job, "--trust").code == 0


@needs_root
def test_a_backup_of_another_users_ledger_says_that_its_commands_can_run(
    job: str, shared: Path, tmp_path: Path
) -> None:
    said = orc("backup", tmp_path / "own.db", "--json")
    assert "--trust" not in said.err
    give(shared / "runs.db")
    said = orc("backup", tmp_path / "copy.db", "--json")
    assert said.json()["jobs"] == 1
    assert f"other users could change {shared}/runs.db. The copy is yours" in said.err


@needs_root
def test_no_runs_folder_is_made_beside_a_ledger_of_another_user(job: str, shared: Path) -> None:
    shutil.rmtree(shared / "runs")
    give(shared, *shared.rglob("*"))
    before = state_of(shared)
    said = orc("export", job)
    assert said.code == 2
    assert f"{shared} belongs to user {ANOTHER}" in said.err
    assert state_of(shared) == before


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_price_table_beside_the_ledger_is_a_regular_file(
    kind: str, job: str, shared: Path
) -> None:
    path = shared / "prices.yaml"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    assert orc("verify").code == 0


def test_a_price_table_is_a_file_with_a_bound(
    job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORC_PRICES", "/dev/zero")
    said = orc("verify")
    assert (said.code, "/dev/zero: it is not a regular file" in said.err) == (2, True)

    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(SIZE_MAX + 1)
    monkeypatch.setenv("ORC_PRICES", str(tmp_path / "large.yaml"))
    said = orc("verify")
    assert (said.code, "the file is larger than" in said.err) == (2, True)


@needs_root
def test_a_copy_that_does_not_fit_is_refused_before_it_is_made(job: str, shared: Path) -> None:
    with (shared / "runs.db-wal").open("ab") as log:
        log.truncate(2**42)
    give(shared, *shared.rglob("*"))
    said = orc("list")
    assert said.code == 74
    assert "Name another folder with TMPDIR" in said.err


@needs_root
def test_a_run_folder_that_another_user_made_is_not_used(job: str, shared: Path) -> None:
    orc("approve", job, "ask")
    shutil.rmtree(shared / "runs" / job)
    (shared / "runs" / job).mkdir()
    give(shared / "runs" / job)
    said = orc("resume", job)
    assert said.code == 2
    assert f"runs/{job} belongs to user {ANOTHER}" in said.err


@needs_root
def test_a_user_without_write_permission_can_look(job: str, shared: Path) -> None:
    assert orc("list").code == orc("show", job).code == orc("search", "shared").code == 0
    for name in ("runs.db-wal", "runs.db-shm", "runs.db.search"):
        Path(name).unlink(missing_ok=True)
    (shared / "runs.db").chmod(0o644)
    before = state_of(shared)
    for command in (("list",), ("show", job), ("search", "shared")):
        said = as_user(partial(orc, *command))
        assert said.code == 0, (command, said)
    assert state_of(shared) == before


NAMES = ("to_folder/runs.db", "inner/../runs.db", "to_link.db")


@pytest.mark.parametrize("name", NAMES)
def test_a_running_job_is_running_under_every_name_of_its_ledger(
    name: str, job: str, shared: Path
) -> None:
    (shared / "inner").mkdir()
    (shared / "link.db").symlink_to("runs.db")
    (shared / "to_link.db").symlink_to(shared / "inner" / ".." / "link.db")
    (shared / "to_folder").symlink_to(shared)
    orc("approve", job, "ask")
    with closing(sqlite3.connect("runs.db", isolation_level=None)) as connection:
        connection.execute("UPDATE jobs SET status = 'running'")
    lock = OwnerLock(shared / "runs.db", JobId(job))
    lock.acquire()
    try:
        assert orc("list", "--json", "--db", name).json()["status"] == "running"
        said = orc("resume", job, "--db", name)
        assert said.code == 75
        assert f"process {os.getpid()} on" in said.err
        assert orc("prune", "--job", job, "--yes", "--db", name).code == 75
    finally:
        lock.release()
    said = orc("resume", job, "--db", name)
    assert said.code == 0, said
    made = {path.name for path in shared.iterdir()}
    assert made <= {
        "spec.yaml", "runs", "runs.db", "runs.db-wal", "runs.db-shm", "runs.db.locks", "inner",
        "link.db", "to_link.db", "to_folder",
    }  # fmt: skip


def test_a_link_to_nothing_is_named_with_its_target(shared: Path) -> None:
    (shared / "link.db").symlink_to("nothing.db")
    for command in (("list",), ("verify",), ("doctor",), ("run", "spec.yaml")):
        said = orc(*command, "--db", "link.db")
        assert said.code in (6, 7), (command, said)
        told = f"{shared}/link.db: it is a link to {shared}/nothing.db, which does not exist"
        assert told in said.out + said.err, (command, said)
    assert not (shared / "nothing.db").exists()
    (shared / "runs").symlink_to("nowhere")
    said = orc("run", "spec.yaml", "--db", "new.db")
    assert said.code == 7
    assert f"{shared}/runs: it is a link to {shared}/nowhere, which does not exist" in said.err


def test_a_second_hard_link_is_read_with_a_warning_that_its_log_is_not_seen(
    job: str, shared: Path
) -> None:
    os.link("runs.db", "second.db")
    with closing(sqlite3.connect("runs.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("DELETE FROM signals")
        writer.execute("INSERT INTO orc_meta VALUES ('logged', 'yes')")
        assert Path("runs.db-wal").stat().st_size
        for command in (
            ("list",),
            ("show", job),
            ("verify",),
            ("search", "ask"),
            ("backup", "b.db"),
        ):
            said = orc(*command, "--db", "second.db")
            assert said.err.count(f"{shared}/second.db has 2 names (hard links)") == 1, said
            assert "in the log of another name (its -wal file) are not seen" in said.err
            assert "Read the ledger by the name by which orc writes it, or remove" in said.err
        # By the name that has the log, everything is seen.
        assert "not seen" not in orc("list").err
        with patch.dict(os.environ, {"_ORC_COMPLETE": "complete_bash", "COMP_WORDS": "orc show "}):
            assert "not seen" not in orc("list", "--db", "second.db").err
        with pytest.warns(UnseenLog, match="2 names"):
            LedgerReader.open(Path("second.db")).close()


def test_a_second_hard_link_is_refused_for_writing(job: str, shared: Path) -> None:
    os.link("runs.db", "second.db")
    for name in ("runs.db", "second.db"):
        said = orc("resume", job, "--db", name)
        assert said.code == 2
        assert f"{name} has 2 names (hard links)" in said.err
        assert orc("list", "--db", name).code == 0
    Path("second.db").unlink()
    assert orc("resume", job).code == 3
