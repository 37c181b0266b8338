"""The functions that read jobs and specs return what the command line prints for the same job."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, to_builtins

import orc
from orc.cli.exit_codes import code_for_error
from orc.ledger.stored_struct import dump
from tests.api.conftest import CHAIN, GATED
from tests.cli.command_line import TINY_SPEC, write
from tests.cli.command_line import orc as command


def as_json(value: Any) -> Any:
    """The value as JSON."""
    if isinstance(value, Struct):
        value = to_builtins(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    return json.loads(json.dumps(value, default=str))


def test_a_job_is_what_orc_show_prints(here: Path) -> None:
    ran = orc.run(TINY_SPEC, provider="replay")
    shown = command("show", ran.job_id, "--json").json()
    job = orc.job(ran.job_id)
    both = set(job.__struct_fields__) & set(shown) - {"steps"}

    assert job == ran
    assert len(both) >= 15
    assert {name: as_json(getattr(job, name)) for name in both} == {n: shown[n] for n in both}
    steps = [as_json(step) for step in job.steps]
    for step, other in zip(steps, shown["steps"], strict=True):
        assert {name: other[name] for name in step if name in other} == {
            name: step[name] for name in step if name in other
        }
        assert len(set(step) & set(other)) >= 13


def test_a_run_gives_the_status_cost_and_tokens_that_orc_run_prints(here: Path) -> None:
    done = command("run", TINY_SPEC, "--provider", "replay", "--json").lines()[-1]
    job = orc.job(done["job_id"])

    assert (job.status, job.cost_usd, job.tokens) == tuple(
        done[name] for name in ("status", "cost_usd", "tokens")
    )


def test_a_failed_job_has_the_failures_that_orc_run_prints(here: Path) -> None:
    write("spec.yaml", "project: x\nsteps: {a: {run: 'exit 3'}, b: {needs: a, value: 1}}\n")
    done = command("run", "spec.yaml", "--json").lines()[-1]
    job = orc.job(done["job_id"])

    assert [dump(failure) for failure in job.failures] == done["failures"]
    assert [(step.status, step.failure_kind) for step in job.steps] == [
        ("failed", "exit_code"),
        ("skipped", None),
    ]


def test_the_jobs_are_those_that_orc_list_prints(here: Path) -> None:
    orc.run(write("spec.yaml", CHAIN))
    orc.run(write("gated.yaml", GATED))
    orc.submit("spec.yaml")

    listed = command("list", "--json").lines()
    assert [line.pop("next") is None for line in listed] == [False, False, True]
    assert [as_json(job) for job in orc.jobs()] == listed
    assert [job.project for job in orc.jobs(statuses="waiting")] == ["gated"]
    assert [job.status for job in orc.jobs(project="chain")] == ["queued", "succeeded"]
    assert len(orc.jobs(statuses=["waiting", "succeeded"])) == 2
    assert [job.project for job in orc.jobs(limit=1)] == ["chain"]
    hour = timedelta(hours=1)
    assert len(orc.jobs(since=datetime.now(UTC) - hour)) == 3
    assert orc.jobs(since=datetime.now(UTC).replace(tzinfo=None) + hour) == ()


def test_a_plan_is_what_orc_plan_prints(here: Path) -> None:
    spec = write("spec.yaml", CHAIN)
    before = orc.plan(spec)
    orc.run(spec)
    for name in ("you", "Bo"):
        plan = orc.plan(spec, inputs={"name": name})
        said = command("plan", spec, "--json", "-i", f"name={name}").json()
        for step, shown in zip(plan.steps, said["steps"], strict=True):
            assert {key: as_json(getattr(step, key)) for key in shown} == shown
        for key in set(said) - {"steps"}:
            assert as_json(getattr(plan, key)) == said[key], key

    assert before.against is None
    assert before.runs_anything_new


def test_planning_writes_nothing(here: Path) -> None:
    orc.plan(write("spec.yaml", CHAIN), db="other.db")

    assert [path.name for path in here.iterdir()] == ["spec.yaml"]


def test_the_problems_are_those_that_orc_validate_prints(here: Path) -> None:
    bad = write("bad.yaml", "project: x\nsteps:\n  a: {run: 3}\n  b: {nedes: a}\n")
    good = write("good.yaml", CHAIN)

    for path, given in ((bad, {}), (good, {}), (good, {"name": "x", "no": "y"})):
        said = command(
            "validate", path, "--json", *(f"-i{key}={value}" for key, value in given.items())
        ).json()
        assert [as_json(found) for found in orc.validate(path, inputs=given)] == said["problems"]
    assert [problem.line for problem in orc.validate("nowhere.yaml")] == [0]
    assert orc.validate(orc.load_spec(good)) == ()


def test_a_verification_is_what_orc_verify_prints(here: Path) -> None:
    job = orc.run(write("spec.yaml", CHAIN))
    good = orc.verify()
    (job.folder / "manifest.json").write_text("{}")
    bad = orc.verify()

    for found in (good, bad):
        assert found.ledger == here / "runs.db"
    assert good.is_intact
    assert not bad.is_intact
    first, ledger = command("verify", "--json").lines()
    (verdict,) = bad.jobs
    assert first == {
        "job_id": verdict.job_id,
        "events": verdict.events,
        "head": verdict.head,
        "problems": list(verdict.problems),
        "notes": list(verdict.notes),
        "head_known_by": list(verdict.known_by),
    }
    assert list(bad.problems) == ledger["problems"]


def test_a_known_head_that_the_ledger_does_not_have_is_a_problem(here: Path) -> None:
    job = orc.run(write("spec.yaml", CHAIN))
    (verdict,) = orc.verify(job.job_id).jobs

    assert orc.verify(job.job_id, heads=[verdict.head]).is_intact
    assert not orc.verify(job.job_id, heads=["0" * 64]).is_intact
    assert not orc.verify(heads=[f"job_aaaaaaaaaaaa={'0' * 64}"]).is_intact


def test_a_difference_is_what_orc_diff_prints(here: Path) -> None:
    one = orc.run(write("spec.yaml", CHAIN))
    other = orc.fork(one.job_id, changes={"inputs.name": "Bo"})
    found = orc.diff(one.job_id, other.job_id)
    said = command("diff", one.job_id, other.job_id, "--json").json()

    assert (found.is_same, said["same"]) == (False, False)
    assert as_json(list(map(to_builtins, found.settings))) == said["settings"]
    for value in (one, found, orc.verify(one.job_id)):
        assert json.dumps(to_builtins(value, enc_hook=str))
    assert [(step.name, step.state) for step in found.steps] == [
        (step["step"], step["state"]) for step in said["steps"]
    ]
    assert [step.name for step in orc.diff(one.job_id, other.job_id, step="second").steps] == [
        "second"
    ]
    assert orc.diff(one.job_id, one.job_id).is_same


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: orc.job("nobody"), "NoSuchJob", "nobody"),
        (lambda: orc.job(db="no.db"), "NoLedger", "no.db"),
        (lambda: orc.jobs(statuses="runing"), "UsageProblem", "did you mean 'running'"),
        (lambda: orc.jobs(db="no.db"), "NoLedger", "no.db"),
        (lambda: orc.jobs(db="text.db"), "NotALedger", "text.db"),
        (lambda: orc.plan("bad.yaml"), "SpecError", "rum"),
        (lambda: orc.plan("nowhere.yaml"), "UsageProblem", "nowhere.yaml"),
        (lambda: orc.load_spec("nowhere.yaml"), "UsageProblem", "nowhere.yaml"),
        (lambda: orc.verify("nobody"), "NoSuchJob", "nobody"),
        (lambda: orc.verify(heads=["0" * 64]), "UsageProblem", "JOB=HASH"),
        (lambda: orc.diff("latest", "nobody"), "NoSuchJob", "nobody"),
        (lambda: orc.diff("latest", "latest", step="frist"), "UsageProblem", "first"),
    ],
)
def test_an_invalid_argument_raises_the_error_of_its_kind(
    call: Any, error: str, message: str
) -> None:
    orc.run(write("spec.yaml", CHAIN))
    write("bad.yaml", "project: x\nsteps: {a: {rum: 1}}\n")
    write("text.db", "this is no database, and longer than a header of one would be" * 20)

    with pytest.raises(getattr(orc, error), match=message):
        call()


def test_the_errors_of_the_api_have_exit_codes_on_the_command_line() -> None:
    found = {name: getattr(orc, name) for name in orc.__all__}
    errors = {
        name: value
        for name, value in found.items()
        if isinstance(value, type) and issubclass(value, Exception) and name != "LedgerError"
    }

    assert len(errors) == 13
    for name, kind in errors.items():
        code = code_for_error(kind.__new__(kind))
        assert code, name
        assert getattr(kind, "exit_code", code) == code, name


def test_a_job_whose_output_was_removed_says_which(here: Path) -> None:
    job = orc.run(write("spec.yaml", f"project: x\nsteps: {{a: {{value: '{'long ' * 4000}'}}}}\n"))
    with orc.open_ledger() as ledger:
        events = ledger.read_stream(ledger.find_job(job.job_id))
        digests = [getattr(item.event, "output", None) for item in events]
    (digest,) = [found.sha256 for found in digests if found is not None and found.sha256]
    assert command("redact", digest, "--job", job.job_id, "--yes").code == 0
    found = orc.job(job.job_id)

    assert found.status == "succeeded"
    assert (found.outputs, found.outputs_removed) == ({}, ("a",))


def test_a_plan_has_the_steps_up_to_a_step(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("project: p\nsteps: {a: {value: 1}, b: {needs: a, value: 2}, c: {value: 3}}\n")
    found = orc.plan(path, until="b", db=tmp_path / "runs.db")
    assert [step.step for step in found.steps] == ["a", "b"]
