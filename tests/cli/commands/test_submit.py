"""`orc submit`: checks a spec as `orc run` does, records the job, and runs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import PASSING, orc, write
from tests.processes import event_types, read_events

NEEDS_SECRET = """\
project: p
steps:
  use: {run: "echo used", secrets: [QUEUE_TOKEN]}
"""


def submit(spec: str, *options: str) -> str:
    said = orc("submit", write("spec.yaml", spec), *options)
    assert said.code == 0, said.err
    return said.out.strip()


def test_the_id_is_the_output_and_nothing_runs(here: Path) -> None:
    said = orc("submit", write("spec.yaml", PASSING))
    assert said.code == 0
    assert said.err == "queued; `orc work` runs it\n"
    assert orc("show", said.out.strip(), "--json").json()["status"] == "queued"
    assert event_types(here / "runs.db") == ["job.submitted"]
    said = orc("submit", "spec.yaml", "--json", "-q")
    assert said.json() == {"event": "queued", "job_id": said.json()["job_id"]}
    assert said.err == ""


@pytest.mark.parametrize(
    ("spec", "options", "code"),
    [
        ("project: p\nsteps: {a: {runs: x}}\n", (), 2),
        (PASSING, ("--until", "thrid"), 2),
        (PASSING, ("-i", "unknown=1"), 2),
        (PASSING, ("--inputs", "no.yaml"), 2),
        (PASSING, ("--output-dir", "out", "--runs-dir", "spec.yaml/x"), 7),
        ("project: p\nsteps: {a: {prompt: hi}}\n", ("-p", "nobody"), 2),
        ("project: p\nprovider: replay\nsteps: {a: {prompt: hi}}\n", (), 2),
        (NEEDS_SECRET, ("--strict",), 7),
    ],
)
def test_what_a_run_refuses_is_refused_and_not_recorded(
    here: Path, spec: str, options: tuple[str, ...], code: int
) -> None:
    said = orc("submit", write("spec.yaml", spec), *options)
    assert (said.code, said.out) == (code, ""), said.err
    assert "Traceback" not in said.err
    assert not (here / "runs.db").exists() or event_types(here / "runs.db") == []


def test_what_is_missing_here_is_reported_since_the_worker_may_have_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = orc("submit", write("spec.yaml", NEEDS_SECRET))
    assert said.code == 0
    assert "needs the secret QUEUE_TOKEN, and it is not set" in said.err
    assert "The worker that runs the job needs it" in said.err
    monkeypatch.setenv("QUEUE_TOKEN", "a-long-secret-value")
    assert "QUEUE_TOKEN" not in orc("submit", "spec.yaml").err
    said = orc(
        "submit", write("key.yaml", "project: p\nprovider: openai\nsteps: {a: {prompt: x}}\n")
    )
    assert said.code == 0
    assert "OPENAI_API_KEY" in said.err


def test_queued_jobs_are_listed(here: Path) -> None:
    first = submit(PASSING)
    assert orc("run", "spec.yaml").code == 0
    second = submit(PASSING)
    queued = orc("list", "--queued", "--json").lines()
    assert [job["job_id"] for job in queued] == [second, first]
    assert [job["job_id"] for job in orc("list", "--status", "queued", "--json").lines()] == [
        second,
        first,
    ]
    assert len(orc("list", "--json").lines()) == 3
    assert len(orc("list", "--queued", "--status", "succeeded", "--json").lines()) == 3


def test_a_queued_job_explains_itself(here: Path) -> None:
    job = submit(PASSING)
    sentence = "queued: no worker has taken it; start one with `orc work`"
    assert sentence in orc("show", job).out
    assert sentence in orc("why", job, "first").out
    assert "orc resume" not in orc("show", job).out


def test_a_queued_job_is_cancelled_without_an_owner(here: Path) -> None:
    job = submit(PASSING)
    assert orc("cancel", job).code == 0
    assert orc("show", job, "--json").json()["status"] == "cancelled"
    assert orc("work", "--stop-when-empty").code == 0
    assert "job.started" not in event_types(here / "runs.db")


def test_a_person_may_run_a_queued_job(here: Path) -> None:
    job = submit(PASSING)
    assert orc("resume", job).code == 0
    assert orc("show", job, "--json").json()["status"] == "succeeded"


def test_how_the_job_is_run_is_recorded_with_it(here: Path) -> None:
    submit(PASSING, "--until", "first", "--force")
    submit(PASSING)
    how = [event["data"].get("queued") for event in read_events(here / "runs.db")]
    assert how == [{"force": True, "only": ["first"]}, {}]
