"""`verify_job` finds each kind of change by an attacker, who drops the triggers first."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orc.ledger import LedgerReader, Payload, Recorded, integrity, reader
from orc.ledger.codec import row_to_recorded
from orc.ledger.digest import chain_hash, digest_bytes
from orc.projections import Publisher, verify_job
from orc.projections.verify import Verdict
from orc.scheduler.core.commands import Settle
from tests.builders import JOB, step
from tests.processes import run_orc
from tests.projections.support import OTHER, Story, begun, open_in, tamper, write

TEXT = b"chapter one\n"


@pytest.fixture
def story() -> Story:
    told = begun(step("a", prompt="?"), step("b", needs="a")).start("a")
    told.call("a", number=1, ends="replied", text="long " * 300)
    told.succeed("a", "x" * 2000, files={"demo/a.md": TEXT}, log=Payload(value="said\n"))
    return told.start("b").succeed("b").tell(Settle())


@pytest.fixture
def database(tmp_path: Path, story: Story) -> Path:
    other = begun(step("a"), job_id=OTHER)
    with open_in(tmp_path) as ledger:
        write(ledger, story, other)
        Publisher(ledger, JOB, tmp_path / "out").publish()
    return tmp_path / "runs.db"


def _verify(database: Path, *, folder: bool = False, job_id: str = JOB) -> Verdict:
    with LedgerReader.open(database) as ledger:
        return verify_job(ledger, job_id, folder=database.parent / "out" if folder else None)


def test_an_untouched_job_is_intact(database: Path, story: Story) -> None:
    verdict = _verify(database, folder=True)
    assert verdict.problems == ()
    assert verdict.events == len(story.stream)
    with LedgerReader.open(database) as ledger:
        assert verdict.head == ledger.head(JOB).hash


def test_each_event_is_read_once(
    database: Path, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counting(row: tuple[Any, ...]) -> Recorded:
        read.append(row[2])
        return row_to_recorded(row)

    for module in (integrity, reader):
        monkeypatch.setattr(module, "row_to_recorded", counting)
    assert _verify(database, folder=True).problems == ()
    assert read == [recorded.version for recorded in story.stream]


@pytest.mark.parametrize(
    "change",
    [
        "data = replace(data, '0.5', '0.4')",
        "data = data || ' '",
        "step = 'b'",
        "attempt = 2",
        "attempt = NULL",
        "type = 'step.failed'",
        "recorded_at = '2026-01-01T00:00:00.000000Z'",
    ],
)
def test_a_changed_column_of_an_event_is_found(database: Path, change: str) -> None:
    version = _version_of(database, "step.succeeded")
    tamper(database, f"UPDATE events SET {change} WHERE job_id = '{JOB}' AND version = {version}")
    assert _verify(database).problems == (
        f"event {version} was changed: its hash does not match its content",
    )


def test_a_changed_hash_is_found_at_its_event_and_at_the_next(database: Path) -> None:
    tamper(
        database,
        f"UPDATE events SET hash = '{'0' * 64}' WHERE job_id = '{JOB}' AND version = 3",
    )
    assert _verify(database).problems == (
        "event 3 was changed: its hash does not match its content",
        "event 4 was changed: its hash does not match its content",
    )


def _replace_with_its_own_hash(database: Path, version: int) -> None:
    """Change the time of an event, and store the hash that matches the change."""
    with LedgerReader.open(database) as ledger:
        columns = "job_id, version, type, step, attempt, recorded_at, data"
        *row, data = ledger.connection.execute(
            f"SELECT {columns} FROM events WHERE job_id = ? AND version = ?", (JOB, version)
        ).fetchone()
        row[5] = "2004-01-10T13:37:06.500000Z"
        before = ledger.read_event(JOB, version - 1).hash
    link = chain_hash(before, (*row, data))
    where = f"WHERE job_id = '{JOB}' AND version = {version}"
    tamper(database, f"UPDATE events SET (recorded_at, hash) = ('{row[5]}', '{link}') {where}")


def test_an_event_replaced_with_a_hash_of_its_own_is_found_at_the_next_one(database: Path) -> None:
    _replace_with_its_own_hash(database, 3)
    assert _verify(database).problems == (
        "event 4 was changed: its hash does not match its content",
    )


def test_a_last_event_replaced_with_a_hash_of_its_own_shows_against_known_heads(
    database: Path, story: Story
) -> None:
    last = len(story.stream)
    _replace_with_its_own_hash(database, last)
    with open_in(database.parent) as ledger:
        ledger.rebuild()
    assert _verify(database).problems == ()
    assert _verify(database, folder=True).problems == (
        f"event {last} of manifest.json is not the ledger's event {last}",
        f"event {last} of events.jsonl is not the ledger's event {last}",
    )


@pytest.mark.parametrize("version", [1, 3])
def test_a_missing_event_is_found(database: Path, version: int) -> None:
    tamper(database, f"DELETE FROM events WHERE job_id = '{JOB}' AND version = {version}")
    problems = _verify(database).problems
    assert problems[0] == f"event {version} is missing"


def test_events_in_another_order_are_found(database: Path) -> None:
    tamper(
        database,
        f"UPDATE events SET version = 99 WHERE job_id = '{JOB}' AND version = 3",
        f"UPDATE events SET version = 3 WHERE job_id = '{JOB}' AND version = 4",
        f"UPDATE events SET version = 4 WHERE job_id = '{JOB}' AND version = 99",
    )
    assert _verify(database).problems


def test_an_event_moved_to_another_job_is_found(database: Path) -> None:
    tamper(
        database,
        f"UPDATE events SET job_id = '{OTHER}', version = 3 WHERE job_id = '{JOB}' AND version = 3",
    )
    assert _verify(database).problems
    assert _verify(database, job_id=OTHER).problems


def test_a_change_in_one_job_is_not_reported_for_another(database: Path) -> None:
    tamper(database, f"UPDATE events SET data = '{{}}' WHERE job_id = '{JOB}' AND version = 2")
    assert _verify(database).problems
    assert _verify(database, job_id=OTHER).problems == ()


def test_data_that_is_not_json_is_reported(database: Path) -> None:
    tamper(
        database,
        f"UPDATE events SET data = 'sha256 {{' WHERE job_id = '{JOB}' AND type = 'file.written'",
    )
    (problem,) = _verify(database, folder=True).problems
    assert problem.endswith("was changed: its hash does not match its content")


def test_data_of_another_type_with_the_same_bytes_is_reported(database: Path) -> None:
    was = "SELECT sql FROM sqlite_schema WHERE name = 'events'"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        (strict,) = connection.execute(was).fetchone()
    loose = strict.replace("STRICT", "").replace("data TEXT", "data")
    change = "UPDATE sqlite_schema SET sql = '{}' WHERE name = 'events'"
    tamper(database, "PRAGMA writable_schema = ON", change.format(loose))
    tamper(
        database,
        f"UPDATE events SET data = CAST(data AS BLOB) WHERE job_id = '{JOB}'",
        "PRAGMA writable_schema = ON",
        change.format(strict),
    )
    assert (
        _verify(database).problems[0] == "event 1 was changed: its hash does not match its content"
    )


def test_a_missing_blob_is_found(database: Path) -> None:
    digest = digest_bytes(TEXT)
    tamper(database, "PRAGMA foreign_keys = OFF", f"DELETE FROM blobs WHERE sha256 = '{digest}'")
    version = _version_of(database, "file.written")
    assert _verify(database).problems == (
        f"event {version} names blob {digest[:12]}..., which is missing",
    )


@pytest.mark.parametrize(
    "content", ["'chapter two'", "upper(content)", "x'00ff'", "content || ' '", "''"]
)
def test_a_changed_blob_is_found(database: Path, content: str) -> None:
    digest = digest_bytes(TEXT)
    tamper(database, f"UPDATE blobs SET content = {content} WHERE sha256 = '{digest}'")
    assert _verify(database).problems == (f"blob {digest[:12]}... was changed",)


def test_every_blob_of_the_job_is_checked(database: Path, story: Story) -> None:
    tamper(database, "UPDATE blobs SET content = 'x'")
    assert len(_verify(database).problems) == len({digest_bytes(blob) for blob in story.blobs})


def test_each_changed_published_file_is_found(database: Path) -> None:
    folder = database.parent / "out"
    published = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(published) >= 6
    for path in published:
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        name = path.relative_to(folder)
        assert f"{name} was changed in the run folder" in _verify(database, folder=True).problems
        path.write_bytes(before)
    assert _verify(database, folder=True).problems == ()


def test_each_missing_published_file_is_found(database: Path) -> None:
    folder = database.parent / "out"
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        before = path.read_bytes()
        path.unlink()
        name = path.relative_to(folder)
        problems = _verify(database, folder=True).problems
        assert problems == (f"{name} is missing from the run folder",)
        path.write_bytes(before)


def test_a_published_file_behind_a_link_counts_as_missing(database: Path) -> None:
    path = database.parent / "out/outputs/demo/a.md"
    path.rename(database.parent / "elsewhere")
    path.symlink_to(database.parent / "elsewhere")
    assert _verify(database, folder=True).problems == (
        "outputs/demo/a.md is missing from the run folder",
    )


def test_a_cut_tail_shows_in_the_tables_and_after_a_rebuild_only_against_a_known_head(
    database: Path, story: Story
) -> None:
    last = len(story.stream)
    tamper(database, f"DELETE FROM events WHERE job_id = '{JOB}' AND version = {last}")
    assert _verify(database).problems == (
        f"table jobs differs from the events in {JOB}; `orc rebuild` derives it again",
    )
    with open_in(database.parent) as ledger:
        ledger.rebuild()
    assert _verify(database).problems == ()
    assert _verify(database, folder=True).problems == (
        f"manifest.json has event {last}, but the ledger ends at event {last - 1}",
        f"events.jsonl has event {last}, but the ledger ends at event {last - 1}",
    )


def test_a_stale_folder_of_a_job_that_has_not_ended_is_no_problem(tmp_path: Path) -> None:
    """A killed process leaves it; the resume publishes it again."""
    told = begun(step("a"))
    with open_in(tmp_path) as ledger:
        write(ledger, told)
        Publisher(ledger, JOB, tmp_path / "out").publish()
        before = len(told.stream)
        told.start("a")
        ledger.append(told.stream[before:])
    verdict = _verify(tmp_path / "runs.db", folder=True)
    assert verdict.problems == ()
    assert verdict.notes == (
        f"the run folder has event {before} of {len(told.stream)}, and was not compared; "
        f"`orc resume {JOB}` updates it",
    )


def test_a_stale_folder_is_told_from_a_changed_one(tmp_path: Path) -> None:
    told = begun(step("a"))
    with open_in(tmp_path) as ledger:
        write(ledger, told)
        Publisher(ledger, JOB, tmp_path / "out").publish()
        before = len(told.stream)
        told.start("a").succeed("a").tell(Settle())
        ledger.append(told.stream[before:])
    (problem,) = _verify(tmp_path / "runs.db", folder=True).problems
    assert problem == (
        f"the run folder has event {before} of {len(told.stream)}; `orc export {JOB}` updates it"
    )


def test_the_command_exits_5_and_names_the_change(database: Path) -> None:
    assert run_orc("verify", cwd=database.parent).returncode == 0
    tamper(database, f"UPDATE blobs SET content = 'x' WHERE sha256 = '{digest_bytes(TEXT)}'")
    done = run_orc("verify", JOB, cwd=database.parent)
    assert done.returncode == 5
    assert f"blob {digest_bytes(TEXT)[:12]}... was changed" in done.stdout + done.stderr


def _version_of(database: Path, type_name: str) -> int:
    with LedgerReader.open(database) as ledger:
        return next(r.version for r in ledger.read_stream(JOB) if r.event.type == type_name)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("UPDATE steps SET kind = 'run' WHERE step_id = :key", "steps :key"),
        ("UPDATE steps SET failure = '' WHERE step_id = :key", "steps :key"),
        ("UPDATE steps SET job_id = 'job_other' WHERE step_id = :key", "steps :key"),
        ("UPDATE steps SET step_id = 'other' WHERE step_id = :key", "steps :key, other"),
        ("DELETE FROM steps WHERE step_id = :key", "steps :key"),
        ("INSERT INTO steps (step_id, job_id) VALUES ('more', :job)", "steps more"),
        ("DELETE FROM attempts WHERE step_id = :key", "attempts :key/1"),
        ("UPDATE attempts SET step_id = 'other' WHERE step_id = :key", "attempts :key/1"),
        ("UPDATE attempts SET duration_s = NULL WHERE step_id = :key", "attempts :key/1"),
        (
            "INSERT INTO attempts (attempt_id, step_id) VALUES ('more', :key || 'b')",
            "attempts more",
        ),
    ],
)
def test_each_way_in_which_rows_differ_is_found(database: Path, change: str, shown: str) -> None:
    key = f"{JOB}/a"
    with closing(sqlite3.connect(database)) as connection, connection:
        named = {
            name: value for name, value in (("key", key), ("job", JOB)) if f":{name}" in change
        }
        connection.execute(change, named)
    found = _verify(database).problems
    table, _, keys = shown.replace(":key", key).partition(" ")
    rebuilds = "`orc rebuild` derives it again"
    assert found == (f"table {table} differs from the events in {keys}; {rebuilds}",)
