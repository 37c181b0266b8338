"""`orc verify`: what it finds, and what it cannot find."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orc.ledger import OwnerLock
from tests.cli.command_line import PASSING, TINY_SPEC, orc, submit
from tests.cli.conftest import Kept
from tests.cli.removed_jobs import SPEC


def test_verify_prints_the_head_and_what_it_cannot_find(kept: Kept) -> None:
    said = orc("verify", kept.passed, "--db", kept.database)
    verdict = orc("verify", kept.passed, "--json", "--db", kept.database).json()

    manifest = json.loads(
        (kept.database.parent / "runs" / kept.passed / "manifest.json").read_text()
    )
    assert f"{verdict['events']} events" in said.err
    assert "found only by comparison with a known head" in said.err
    assert manifest["ledger_head"] == {"version": verdict["events"], "hash": verdict["head"]}


def test_a_known_head_reveals_cut_events_and_a_removed_job(here: Path) -> None:
    """Without a known head the ledger looks like an earlier state; the output says so."""
    job = submit(SPEC)
    head = orc("verify", job, "--json").json()["head"]
    assert orc("verify", job, "--head", head[:12]).code == 0
    assert orc("verify", "--head", f"{job}={head}").code == 0
    connection = sqlite3.connect("runs.db", isolation_level=None)
    guard = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE name = 'events_no_delete'"
    ).fetchone()[0]

    def delete(where: str) -> None:
        connection.execute("DROP TRIGGER events_no_delete")
        connection.execute(f"DELETE FROM events WHERE {where}")
        connection.execute(guard)
        assert orc("rebuild").code == 0

    delete("version = (SELECT max(version) FROM events)")
    against_folder = orc("verify")
    assert against_folder.code == 5
    assert "manifest.json has event" in against_folder.err
    shutil.rmtree("runs")
    blind = orc("verify")
    assert blind.code == 0
    assert "found only by comparison with a known head" in blind.err
    known = orc("verify", "--head", f"{job}={head}")
    assert known.code == 5
    assert "events were cut off" in known.err
    delete("1")
    connection.close()
    assert orc("verify").code == 0
    for command in (("verify", "--head", f"{job}={head}"), ("verify", job, "--head", head)):
        gone = orc(*command)
        assert gone.code == 5
        assert f"{job}: 1 problem\n  the whole job is missing" in gone.err


def test_rows_of_the_tables_that_differ_are_named(here: Path) -> None:
    job = submit(SPEC)
    connection = sqlite3.connect("runs.db", isolation_level=None)
    connection.execute("UPDATE steps SET status = 'failed' WHERE name = 'second'")
    connection.execute("DELETE FROM files")
    connection.close()
    said = orc("verify", job, "--json")
    assert said.code == 5
    assert said.json()["problems"] == [
        f"table steps differs from the events in {job}/second; `orc rebuild` derives it again",
        f"table files differs from the events in {job}/keeping/a.txt; `orc rebuild` derives it again",
    ]
    assert orc("rebuild").code == 0
    assert orc("verify").code == 0


def test_every_row_that_a_run_writes_equals_its_rebuilt_one(here: Path) -> None:
    """Also for outputs whose keys are stored in another order."""
    assert orc("run", TINY_SPEC, "--provider", "replay", "--quiet").code == 0
    assert orc("verify").code == 0


def test_verify_does_not_call_the_folder_of_a_running_job_changed(here: Path) -> None:
    job = submit(SPEC)
    (here / "runs" / job / "outputs/keeping/a.txt").write_text("half")
    assert orc("verify", job).code == 5
    lock = OwnerLock(here / "runs.db", job)
    lock.acquire()
    said = orc("verify", job)
    lock.release()
    assert said.code == 0
    assert "a process runs the job: its folder was not compared" in said.err


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        ("UPDATE events SET data = replace(data, 'first', 'worst')", "event 4 was changed"),
        ("DELETE FROM events", "event 4 is missing"),
    ],
)
def test_verify_ends_with_5_when_an_event_was_changed_or_removed(tamper: str, found: str) -> None:
    job = submit(PASSING)
    with sqlite3.connect("runs.db") as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        assert connection.execute(f"{tamper} WHERE version = 4").rowcount == 1
    connection.close()
    said = orc("verify", job)
    verdict = orc("verify", "--json")

    assert (said.code, verdict.code) == (5, 5)
    assert found in said.err
    assert any(found in problem for problem in verdict.lines()[0]["problems"])


@pytest.mark.parametrize("name", ["outputs/passing/first.txt", "events.jsonl", "manifest.json"])
def test_verify_ends_with_5_when_a_published_file_was_changed_or_removed(
    name: str, here: Path
) -> None:
    job = submit(PASSING)
    path = here / "runs" / job / name
    before = path.read_bytes()
    path.write_bytes(before.replace(b"o", b"0", 1))
    changed = orc("verify", job)
    path.unlink()
    removed = orc("verify", job)

    assert (changed.code, removed.code) == (5, 5)
    assert f"{name} was changed" in changed.err
    assert f"{name} is missing" in removed.err
    assert orc("export", job).code == 0
    assert orc("verify", job).code == 0


def test_what_two_checks_find_is_said_once(here: Path) -> None:
    submit(PASSING)
    with closing(sqlite3.connect("runs.db")) as connection:
        connection.execute("DROP TRIGGER events_no_update")
    said = orc("verify")
    assert said.code == 5
    assert said.err.count("the trigger events_no_update is missing") == 1


def test_settings_of_a_step_are_published_as_they_are_read_again(here: Path) -> None:
    """A run publishes what it commits; an older version wrote rendered settings in another order."""
    spec = (
        "project: rendered\nsteps:\n"
        "  word: {run: printf 30}\n"
        "  ask: {prompt: Hello, provider: replay, model: 'm${{ steps.word.output }}'}\n"
    )
    Path("spec.replay.yaml").write_text("replies: {ask: [Hi]}\n")
    job = submit(spec)
    lines = Path("runs", job, "events.jsonl")
    now = lines.read_text()
    assert '"settings": {"base_url": null, "model": "m30", "provider": "replay"}' in now
    assert orc("verify").code == 0

    def publish(settings: str) -> None:
        lines.write_text(now.replace('{"base_url": null, "model": "m30"', "{" + settings))

    publish('"model": "m30", "base_url": null')
    assert orc("verify").code == 0
    for other in ('"model": "m31", "base_url": null', '"model":  "m30", "base_url": null', ""):
        publish(other)
        assert "events.jsonl was changed in the run folder" in orc("verify").err
