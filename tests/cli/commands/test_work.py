"""`orc work`: which jobs it takes, what it prints, and its exit codes. Real workers: tests/crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.approval_job import SPEC as ASKING
from tests.cli.command_line import FAILING, PASSING, orc, write
from tests.cli.commands.test_submit import NEEDS_SECRET, submit
from tests.processes import event_types, read_events


def drain(*options: str, code: int = 0) -> str:
    """Run the jobs of the queue; what the worker says."""
    said = orc("work", "--stop-when-empty", *options)
    assert said.code == code, said.err
    return said.err


def status_of(job: str) -> str:
    return str(orc("show", job, "--json").json()["status"])


def test_each_job_has_a_line_when_it_is_taken_and_when_it_has_ended(here: Path) -> None:
    job, failing = submit(PASSING), submit(FAILING)
    said = drain()
    assert f"{job} taken: passing, 2 steps" in said
    assert f"{job} succeeded: 2 of 2 steps" in said
    assert f"{failing} failed: 1 of 3 steps succeeded" in said
    assert "broken: exit_code" in said
    assert f"  details: orc show {job}\n" in said
    assert f"  next: orc resume {failing}\n" in said
    assert drain() == ""


def test_quiet_says_only_what_did_not_succeed(here: Path) -> None:
    job, failing = submit(PASSING), submit(FAILING)
    said = drain("-q")
    assert job not in said
    assert f"{failing} failed" in said
    assert "details:" not in said


def test_json_has_the_id_of_the_job_in_each_line(here: Path) -> None:
    jobs = {submit(PASSING), submit(FAILING)}
    lines = orc("work", "--stop-when-empty", "--jobs", "2", "--json").lines()
    assert {line["job_id"] for line in lines} == jobs
    assert [line["event"] for line in lines].count("launch") == 2
    done = {line["status"] for line in lines if line["event"] == "done"}
    assert done == {"succeeded", "failed"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--for", "soon"), "--for"),
        (("--for", "-1s"), "--for"),
        (("--jobs", "0"), "--jobs"),
        (("--jobs", "101"), "--jobs"),
        (("--jobs", "many"), "--jobs"),
    ],
)
def test_a_wrong_option_is_a_usage_error(here: Path, options: tuple[str, ...], said: str) -> None:
    submit(PASSING)
    found = orc("work", *options)
    assert found.code == 2
    assert said in found.err
    assert event_types(here / "runs.db") == ["job.submitted"]


def test_a_ledger_that_does_not_exist_is_named(here: Path) -> None:
    said = orc("work", "--stop-when-empty")
    assert said.code == orc("resume", "latest").code
    assert "runs.db" in said.err


def test_a_worker_says_that_it_waits_when_it_does(here: Path) -> None:
    assert "waiting for jobs" not in orc("work").err
    submit(PASSING)
    assert "waiting for jobs" not in orc("work", "--for", "soon").err
    assert "waiting for jobs of " in orc("work", "--for", "100ms").err


def test_only_the_steps_that_were_asked_for_run_and_then_the_job_leaves_the_queue(
    here: Path,
) -> None:
    job = submit(PASSING, "--until", "first")
    said = drain()
    assert "interrupted: 1 of 2 steps succeeded" in said
    assert "the requested steps have ended" in said
    assert status_of(job) == "interrupted"
    assert drain() == ""


def test_files_that_orc_did_not_write_are_kept_unless_the_submission_says_otherwise(
    here: Path,
) -> None:
    (here / "out").mkdir()
    (here / "out" / "first.txt").write_text("mine")
    submit(PASSING, "--output-dir", "out")
    assert "1 file not copied to" in drain("-q")
    assert (here / "out" / "first.txt").read_text() == "mine"
    submit(PASSING, "--output-dir", "out", "--force")
    drain()
    assert (here / "out" / "first.txt").read_text() == "one"


def test_a_job_whose_files_cannot_be_delivered_has_ended_all_the_same(here: Path) -> None:
    write("out", "a file, not a folder")
    job = submit(PASSING, "--output-dir", "out")
    said = orc("work", "--stop-when-empty", "--json")
    assert said.code == 0
    assert said.lines()[-1]["event"] == "problem"
    assert "its files could not be copied" in said.err
    assert status_of(job) == "succeeded"
    assert drain() == ""


def test_a_job_that_waits_for_a_person_is_taken_again_after_the_answer(here: Path) -> None:
    job = submit(ASKING)
    said = drain()
    assert "gate waits for a decision" in said
    assert "then: orc work" in said
    assert status_of(job) == "waiting"
    assert drain() == ""
    assert "a worker (`orc work`) continues it" in orc("why", job, "after").out
    approved = orc("approve", job, "gate")
    assert "next: orc work" in approved.err
    assert f"{job} succeeded" in drain()


def test_a_job_whose_question_is_out_of_time_is_taken_again(here: Path) -> None:
    job = submit(
        "project: p\nsteps:\n"
        "  gate: {approval: {message: go?, timeout: 300ms, on_timeout: approve}}\n"
        "  after: {needs: gate, value: 1}\n"
    )
    said = drain()
    assert status_of(job) == "waiting", said
    orc("work", "--for", "1500ms")
    assert status_of(job) == "succeeded"


def test_a_job_that_cannot_run_here_stays_in_the_queue_for_other_workers(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, other = submit(NEEDS_SECRET), submit(PASSING)
    said = drain(code=7)
    assert f"{job} stays in the queue: step 'use' needs the secret QUEUE_TOKEN" in said
    assert status_of(other) == "succeeded"
    assert status_of(job) == "queued"
    left = orc("work", "--stop-when-empty", "--json")
    assert left.lines() == [{"event": "left", "job_id": job, "message": left.lines()[0]["message"]}]
    monkeypatch.setenv("QUEUE_TOKEN", "a-long-secret-value")
    drain()
    assert status_of(job) == "succeeded"


def test_the_secrets_of_one_job_are_no_obstacle_for_another(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other job prints a text that happens to be the first one's secret."""
    monkeypatch.setenv("QUEUE_TOKEN", "an-ordinary-text")
    jobs = [submit(NEEDS_SECRET), submit("project: p\nsteps: {a: {run: echo an-ordinary-text}}\n")]
    drain("--jobs", "2")
    assert [status_of(job) for job in jobs] == ["succeeded", "succeeded"]


def test_a_job_that_was_not_submitted_to_the_queue_is_not_taken(here: Path) -> None:
    assert orc("run", write("spec.yaml", PASSING)).code == 0
    assert orc("fork", "latest", "--no-run").code == 0
    before = len(read_events(here / "runs.db"))
    assert drain() == ""
    assert len(read_events(here / "runs.db")) == before


def test_an_imported_job_is_not_taken_although_it_was_in_a_queue(here: Path) -> None:
    job = submit(PASSING)
    assert orc("bundle", job, "job.orc").code == 0
    assert orc("import", "job.orc", "--trust", "--db", "other.db").code == 0
    assert drain("--db", "other.db") == ""
    assert orc("list", "--db", "other.db", "--json").json()["status"] == "interrupted"
    assert event_types(here / "other.db") == ["job.submitted"]
