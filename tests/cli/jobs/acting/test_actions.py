"""What the pages do, as by the commands. The runner of a job is run in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orc.cli.jobs.acting.browse_actions import BrowserActions
from orc.cli.jobs.places import Places
from orc.cli.terminal.problems import problem_lines
from orc.ledger import JobId, OwnerLock
from orc.ledger.files.runner_log import new_runner_log, read_runner
from orc.projections.pages.actions import ForkRequest, StartRequest
from orc.projections.pages.decisions import RequestRefused
from tests.cli.command_line import PASSING, orc, write
from tests.processes import event_types

SPEC = """\
project: acts
inputs:
  topic: {default: tea}
  size: {type: integer, default: 3}
  mood: {enum: [calm, wild], required: false}
steps:
  first: {run: "echo ${{ inputs.topic }}"}
  flaky: {run: "test -e ok || exit 1", cwd: spec}
  last: {needs: [first, flaky], value: "${{ inputs.size }} ${{ inputs.mood }}"}
"""


class Desk:
    """The actions of a server, whose runners resume jobs in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "runs.db"
        self.started: list[str] = []
        self.actions = BrowserActions(
            Places.find(database=self.database, environment={}),
            folder,
            problem_lines,
            start_runner=self.start_runner,
        )

    def start_runner(self, places: Places, job_id: JobId, environment: Mapping[str, str]) -> bool:
        self.started.append(job_id)
        assert orc("resume", job_id, "--quiet", "--no-input").code in (0, 1, 3)
        return True

    def job(self, job: str = "latest") -> dict[str, Any]:
        return orc("show", job, "--json").json()

    def steps(self, job: str = "latest") -> dict[str, tuple[str, int]]:
        found = self.job(job)["steps"]
        return {step["step"]: (step["status"], step["attempts"]) for step in found}

    def inputs(self, job: str) -> dict[str, str]:
        return {field.name: field.value for field in self.actions.fork_fields(job)}

    def refused(self, action: str, *arguments: Any) -> str:
        with pytest.raises(RequestRefused) as refusal:
            getattr(self.actions, action)(*arguments)
        return "\n".join([str(refusal.value), *refusal.value.lines])


@pytest.fixture
def desk(here: Path) -> Desk:
    write("spec.yaml", SPEC)
    return Desk(here)


@pytest.fixture
def failed(desk: Desk) -> str:
    assert orc("run", "spec.yaml", "--quiet").code == 1
    return str(desk.job()["job_id"])


def test_a_failed_job_is_resumed_and_then_has_nothing_to_resume(desk: Desk, failed: str) -> None:
    desk.folder.joinpath("ok").touch()
    desk.actions.resume(failed)
    assert desk.steps() == {
        "first": ("succeeded", 1), "flaky": ("succeeded", 2), "last": ("succeeded", 1)
    }  # fmt: skip
    said = desk.refused("resume", failed)
    assert "there is nothing to continue" in said
    assert f"orc fork {failed}" in said
    assert desk.started == [failed]


def test_steps_run_again_with_their_dependents(desk: Desk, failed: str) -> None:
    desk.folder.joinpath("ok").touch()
    desk.actions.rerun(failed, ("first",))
    assert desk.steps()["first"] == ("succeeded", 2)
    assert event_types(desk.database).count("job.amended") == 1
    assert "there is no step 'frist'; did you mean 'first'?" in desk.refused(
        "rerun", failed, ("frist",)
    )
    assert event_types(desk.database).count("job.amended") == 1
    assert desk.started == [failed]


def test_a_job_that_a_process_runs_is_left_alone(desk: Desk, failed: str) -> None:
    lock = OwnerLock(desk.database, failed)
    lock.acquire()
    try:
        before = event_types(desk.database)
        assert f"{failed} is being run by process" in desk.refused("resume", failed)
        assert "is being run by process" in desk.refused("rerun", failed, ("first",))
        assert event_types(desk.database) == before
    finally:
        lock.release()
    assert desk.started == []


def test_an_untrusted_job_is_neither_run_nor_changed(desk: Desk, failed: str) -> None:
    assert orc("bundle", failed, "job.orc").code == 0
    assert orc("import", "job.orc", "--db", "other.db").code == 0
    other = Desk(desk.folder)
    other.actions = BrowserActions(
        Places.find(database=desk.folder / "other.db", environment={}),
        desk.folder,
        problem_lines,
        start_runner=other.start_runner,
    )
    fork = ForkRequest(failed, None, (), {"topic": "x"}, "")
    asked: list[tuple[Any, ...]] = [
        ("resume", failed),
        ("rerun", failed, ("first",)),
        ("fork", fork),
    ]
    for action, *arguments in asked:
        said = other.refused(action, *arguments)
        assert "as you. If you trust the author, add --trust" in said
        assert "job.orc --trust --db" in said
    assert other.started == []


def test_a_job_is_cancelled_with_a_reason(desk: Desk, failed: str) -> None:
    assert f"{failed} has already ended: failed" in desk.refused("cancel", failed, None)
    write("gate.yaml", "project: asks\nsteps: {gate: {approval: May I?}}\n")
    job = orc("run", "gate.yaml", "--json").lines()[-1]["job_id"]
    desk.actions.cancel(job, "too dear")
    assert desk.job(job)["status"] == "cancelled"
    (event,) = [
        json.loads(line)
        for line in orc("tail", job, "--type", "job.cancelled", "--json").out.splitlines()
    ]
    assert event["reason"] == "too dear"


def test_a_fork_differs_only_by_what_was_typed(desk: Desk, failed: str) -> None:
    desk.folder.joinpath("ok").touch()
    fields = desk.inputs(failed)
    assert fields == {"topic": "tea", "size": "3", "mood": ""}
    wanted = ForkRequest(failed, None, (), {**fields, "size": "4", "mood": "1"}, "a form")
    new = desk.actions.fork(wanted)
    assert new != failed
    # The same form, sent a second time.
    assert desk.actions.fork(wanted) == new
    assert desk.started == [new]
    assert desk.steps(new)["first"][1] == 0
    assert desk.inputs(new) == {"topic": "tea", "size": "4", "mood": "1"}
    fork = ForkRequest(failed, "first", ("steps.last.value=x",), {"size": "many"}, "")
    assert "size" in desk.refused("fork", fork)
    assert "there is no key" in desk.refused("fork", ForkRequest(failed, None, ("a=1",), {}, ""))


@pytest.mark.parametrize(
    ("kind", "given", "shown"),
    [
        ("{type: file}", "a.md", "a.md"),
        ("{type: files, default: '*.md'}", "b.*", "b.*"),
        ("{type: files, default: '*.md', allow_empty: true}", "c.*", "c.*"),
        ("{type: files, default: '*.md'}", None, "*.md"),
        ("{type: table}", '[{"x": 1}]', ""),
    ],
)
def test_a_fork_shows_and_keeps_what_the_job_has_read(
    desk: Desk, kind: str, given: str | None, shown: str
) -> None:
    for name in ("a.md", "b.md"):
        desk.folder.joinpath(name).write_text(name)
    text = (
        f"project: reads\ninputs:\n  data: {kind}\n  size: {{type: integer, default: 0}}\n"
        "steps:\n  end: {value: '${{ inputs.data | length }} ${{ inputs.size }}'}\n"
    )
    arguments = () if given is None else ("-i", f"data={given}")
    assert orc("run", write("reads.yaml", text), *arguments).code == 0
    before = orc("show", "latest", "end", "--output").out.strip()
    job = orc("show", "latest", "--json").json()["job_id"]
    fields = {field.name: field for field in desk.actions.fork_fields(job)}
    assert (fields["data"].value, fields["data"].required) == (shown, False)
    desk.actions.fork(ForkRequest(job, None, (), {"data": shown, "size": "7"}, ""))
    after = orc("show", "latest", "end", "--output").out.strip()
    assert after == before.replace(" 0", " 7")


def test_a_spec_of_the_folder_is_started_once(desk: Desk) -> None:
    desk.folder.joinpath("ok").touch()
    (found,) = desk.actions.list_specs()
    assert (found.name, found.project, found.problems) == ("spec.yaml", "acts", 0)
    wanted = StartRequest("spec.yaml", {"topic": "a\r\nb", "size": "5", "mood": ""}, None, "once")
    job = desk.actions.start(wanted)
    assert desk.actions.start(wanted) == job
    assert desk.started == [job]
    assert desk.job(job)["status"] == "succeeded"
    assert desk.inputs(job) == {"topic": "a\nb", "size": "5", "mood": ""}
    assert "job.submitted" in event_types(desk.database)


def test_the_problems_of_a_spec_are_shown_with_line_and_caret(desk: Desk) -> None:
    write("bad.yaml", "project: bad\nsteps:\n  a: {rum: x}\n")
    form = desk.actions.spec_form("bad.yaml")
    assert any(":3:" in line and "rum" in line for line in form.problems)
    assert any(line.rstrip().endswith("^") for line in form.problems)
    wanted = StartRequest("spec.yaml", {"size": "many"}, None, "")
    said = desk.refused("start", wanted)
    assert said.splitlines()[0] == "The inputs do not fit the spec."
    assert said.splitlines()[1].startswith("size: must be of type integer")
    assert not desk.database.exists() or event_types(desk.database) == []


def test_a_provider_that_was_typed_is_not_called_a_problem_of_the_spec(desk: Desk) -> None:
    write("asks.yaml", "project: asks\nsteps:\n  a: {prompt: x}\n")
    said = desk.refused("start", StartRequest("asks.yaml", {}, "ollma", ""))
    assert said.splitlines()[0] == "The provider cannot be used."
    assert said.splitlines()[1] == "there is no provider 'ollma'; did you mean 'ollama'?"
    write("own.yaml", "project: asks\nprovider: ollma\nsteps:\n  a: {prompt: x}\n")
    said = desk.refused("start", StartRequest("own.yaml", {}, None, ""))
    assert said.splitlines()[0] == "The spec is invalid."


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ("steps: {a: {prompt: x}}", "the spec names no provider, and none is set up here"),
        ("provider: anthropic\nsteps: {a: {prompt: x}}", "ANTHROPIC_API_KEY is not set"),
        ("secrets: [NO_SUCH_TOKEN]\nsteps: {a: {run: ls}}", "needs the secret NO_SUCH_TOKEN"),
    ],
)
def test_what_a_run_would_lack_here_is_refused_before_there_is_a_job(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, keys: str, missing: str
) -> None:
    monkeypatch.setattr(
        "orc.cli.jobs.caller.set_up_providers.set_up_providers", lambda environment: iter(())
    )
    write("lacks.yaml", f"project: lacks\n{keys}\n")
    assert missing in desk.refused("start", StartRequest("lacks.yaml", {}, None, ""))
    assert not desk.database.exists() or event_types(desk.database) == []
    assert desk.started == []


def test_a_secret_in_the_spec_is_not_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "very-secret-value")
    write(
        "bad.yaml", "project: b\nsteps:\n  a: {run: very-secret-value, secrets: [MY_TOKEN], x: 1}\n"
    )
    form = desk.actions.spec_form("bad.yaml")
    assert "very-secret-value" not in form.text + "\n".join(form.problems)


def test_only_listed_specs_can_be_named(desk: Desk) -> None:
    folder = desk.folder / "specs"
    for name in ("sub/deeper", "sub/deeper/still/deepest", ".hidden"):
        folder.joinpath(name).mkdir(parents=True)
    for name in (
        "a.yaml", "b.yml", "a.replay.yaml", ".c.yaml", "sub/deeper/d.yaml", "e.txt",
        "sub/deeper/still/deepest/f.yaml", ".hidden/g.yaml",
    ):  # fmt: skip
        folder.joinpath(name).write_text(SPEC)
    folder.joinpath("other.yaml").write_text("services: {}\n")
    folder.joinpath("link.yaml").symlink_to(desk.folder / "spec.yaml")
    desk.actions = BrowserActions(
        Places.find(database=desk.database, environment={}), folder, problem_lines
    )
    assert [spec.name for spec in desk.actions.list_specs()] == [
        "a.yaml", "b.yml", "sub/deeper/d.yaml"
    ]  # fmt: skip
    for name in ("../spec.yaml", str(desk.folder / "spec.yaml"), "link.yaml", "", "a.yaml\0", "."):
        assert "has no spec" in desk.refused("spec_form", name)
        assert "has no spec" in desk.refused("start", StartRequest(name, {}, None, ""))


def test_what_a_runner_printed_is_removed_with_the_content_of_its_job(desk: Desk) -> None:
    job = orc("run", write("passing.yaml", PASSING), "--json").lines()[-1]["job_id"]
    log = new_runner_log(desk.database, job, command=["orc"], version=1, started_at="now")
    assert log is not None
    log.write("some content")
    log.close()
    assert orc("prune", "--job", job, "--yes").code == 0
    assert read_runner(desk.database, job) is None
    assert (desk.folder / "runs.db.locks" / f"{job}.runner").read_bytes() == b""
