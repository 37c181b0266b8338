"""Which ledger and which job a command uses, and the errors if there is none."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.cli.command_line import PASSING, orc, submit, write
from tests.cli.conftest import Kept


def test_the_ledger_is_found_by_option_environment_or_default(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    assert orc("list").code == 6
    by_option = orc("list", "--json", "--db", kept.database)
    monkeypatch.setenv("ORC_DB", str(kept.database))
    by_environment = orc("list", "--json")
    mine = submit(PASSING, "--db", here / "mine.db")
    over_environment = orc("list", "--json", "--db", here / "mine.db")

    found = [[line["job_id"] for line in said.lines()] for said in (by_option, by_environment)]
    assert found == [[kept.tiny, kept.failed, kept.passed]] * 2
    assert [line["job_id"] for line in over_environment.lines()] == [mine]


def test_a_job_goes_by_its_id_by_a_part_of_it_and_by_latest(kept: Kept) -> None:
    def shown(name: str) -> str:
        return str(orc("show", name, "--json", "--db", kept.database).json()["job_id"])

    assert shown(kept.failed) == kept.failed
    assert shown(kept.passed[-6:]) == kept.passed
    assert shown("latest") == kept.tiny


def test_an_ambiguous_part_of_an_id_is_refused_with_the_ids(kept: Kept) -> None:
    said = orc("show", "job_", "--db", kept.database)

    assert said.code == 6
    assert all(job in said.err for job in (kept.passed, kept.failed, kept.tiny))


@pytest.mark.parametrize(
    "command", ["show", "tail", "resume", "cancel", "export", "verify", "graph"]
)
def test_a_job_that_is_not_there_ends_with_6(command: str, kept: Kept, here: Path) -> None:
    no_job = orc(command, "job_nobody", "--db", kept.database)
    no_ledger = orc(command, "job_nobody", "--db", here / "none.db")

    assert (no_job.code, no_ledger.code) == (6, 6)
    assert "` shows all jobs" in no_job.err
    assert f"there is no ledger at {here / 'none.db'}" in no_ledger.err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("command", [("list",), ("run", "spec.yaml"), ("verify",), ("rebuild",)])
def test_a_database_that_is_not_a_ledger_is_not_changed(
    command: tuple[str, ...], here: Path
) -> None:
    write("spec.yaml", PASSING)
    (here / "folder").mkdir()
    write("notes.txt", "no ledger")
    with sqlite3.connect("foreign.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = {name: Path(name).read_bytes() for name in ("notes.txt", "foreign.db")}

    for name, reason in (
        ("folder", "is a folder"),
        ("notes.txt", "not an SQLite database"),
        ("foreign.db", "not a ledger of orc"),
    ):
        said = orc(*command, "--db", here / name)
        assert said.code == 2, (name, said)
        assert reason in said.err
        assert str(here / name) in said.err
    assert {name: Path(name).read_bytes() for name in before} == before
    assert not (here / "runs").exists()


def test_a_ledger_whose_folder_is_missing_is_not_made(here: Path) -> None:
    said = orc("run", write("spec.yaml", PASSING), "--db", here / "nowhere" / "runs.db")

    assert said.code == 2
    assert "its folder does not exist" in said.err
