"""`orc list`: which jobs are listed, and in which order."""

from __future__ import annotations

import re
from pathlib import Path

from orc.ledger.files.locks import OwnerLock
from tests.cli.command_line import (
    orc,
    submit,
    write,
)
from tests.cli.commands.conftest import Spent
from tests.cli.conftest import Kept
from tests.projections.support import tamper


def test_list_shows_the_newest_first_and_as_many_as_asked(kept: Kept) -> None:
    everything = [line["job_id"] for line in orc("list", "--json", "--db", kept.database).lines()]
    two = [
        line["job_id"]
        for line in orc("list-runs", "-n", "2", "--json", "--db", kept.database).lines()
    ]

    assert everything == [kept.tiny, kept.failed, kept.passed]
    assert two == [kept.tiny, kept.failed]
    assert everything == sorted(everything, reverse=True)
    assert all(re.fullmatch(r"job_[a-z0-9]{12}", job_id) for job_id in everything)


def test_jobs_are_listed_by_status_and_project_the_newest_first(spent: Spent) -> None:
    def listed(*options: str) -> list[str]:
        said = orc("list", *options, "--json", "--db", spent.database)
        return [row["job_id"] for row in said.lines()]

    assert listed() == [spent.failed, spent.second, spent.first]
    assert listed("--status", "failed") == [spent.failed]
    assert listed("--status", "failed", "--status", "succeeded", "-n", "2") == [
        spent.failed,
        spent.second,
    ]
    assert listed("--project", "priced") == [spent.second, spent.first]
    assert listed("--project", "price") == listed("--status", "interrupted") == []
    table = orc("list", "--db", spent.database).out
    assert "at least $0.0036" in table


def test_a_job_without_an_owner_is_listed_as_interrupted(here: Path) -> None:
    job = submit("project: p\nsteps:\n  a: {value: 1}\n  b: {value: 2}\n", "--until", "a")

    assert "interrupted" in orc("list", "--status", "interrupted").out
    assert orc("list", "--status", "running").out == ""
    lock = OwnerLock(here / "runs.db", job)
    lock.acquire(wait_s=0)
    try:
        assert orc("list", "--status", "interrupted").out == ""
        assert job in orc("list", "--status", "running").out
    finally:
        lock.release()


def test_each_waiting_job_is_listed_with_its_questions_and_the_next_commands(here: Path) -> None:
    spec = "project: p\nsteps:\n  gate: {approval: 'Ship it?\n\n    Today?'}\n  b: {value: 2}\n"
    first = orc("run", write("spec.yaml", spec), "-q")
    second = orc("run", "spec.yaml", "-q")
    assert (first.code, second.code) == (3, 3)
    jobs = [line["job_id"] for line in orc("list", "--json").lines()]
    assert orc("approve", jobs[1], "gate").code == 0

    lines = orc("list", "--status", "waiting").out.splitlines()
    assert lines[4:] == [
        f"{jobs[0]} gate asks:",
        "    | Ship it?",
        "    | Today?",
        f"next: orc approve {jobs[0]} gate --resume",
        f"  or: orc reject {jobs[0]} gate --resume",
        "",
        f"{jobs[1]} waits to be resumed",
        f"next: orc resume {jobs[1]}",
    ]
    assert [line["next"] for line in orc("list", "--json").lines()] == [
        f"orc approve {jobs[0]} gate --resume",
        f"orc resume {jobs[1]}",
    ]
    assert "next:" not in orc("list").out
    assert orc("approve", jobs[0], "gate", "--resume").code == 0
    assert next(iter(orc("list", "--json").lines()))["next"] is None


def test_a_job_that_cannot_be_read_hides_no_other_and_is_to_be_verified(here: Path) -> None:
    cut = write("cut.yaml", "project: p\nsteps: {a: {run: 'sleep 9', timeout: 50ms}}\n")
    asking = write("asking.yaml", "project: p\nsteps: {a: {approval: 'Go?'}}\n")
    assert [orc("run", spec, "-q").code for spec in (cut, asking, asking, cut)] == [1, 3, 3, 1]
    jobs = [line["job_id"] for line in orc("list", "--json").lines()]
    where = f"WHERE job_id IN ('{jobs[0]}', '{jobs[1]}')"
    tamper(Path("runs.db"), f"UPDATE events SET data = '{{\"kind\": 1}}' {where} AND step = 'a'")

    listed = {line["job_id"]: line["next"] for line in orc("list", "--json").lines()}
    assert listed == {
        jobs[0]: f"orc resume {jobs[0]}",
        jobs[1]: f"orc verify {jobs[1]}",
        jobs[2]: f"orc approve {jobs[2]} a --resume",
        jobs[3]: f"orc resume {jobs[3]}",
    }
    assert f"orc verify {jobs[1]}" in orc("list", "--status", "waiting").out
    for job_id in jobs[:2]:
        assert orc("show", job_id, "--json").json()["next"] == f"orc verify {job_id}"
