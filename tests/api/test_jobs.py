"""The functions that create, change and end jobs: their effects, and what they refuse."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import orc
from orc.ledger import JobId, OwnerLock, failpoints
from tests.api.conftest import CHAIN, GATED
from tests.cli.command_line import TINY_SPEC, write


def test_a_submitted_job_has_not_run_and_resume_runs_it(here: Path) -> None:
    submitted = orc.submit(write("spec.yaml", CHAIN), inputs={"name": "Ada"})
    resumed = orc.resume(submitted.job_id)

    assert submitted.status == "queued"
    assert [step.status for step in submitted.steps] == ["pending", "pending"]
    assert submitted.outputs == {}
    assert submitted.started_at is None
    assert (resumed.job_id, resumed.status) == (submitted.job_id, "succeeded")
    assert resumed.outputs == {"first": "hello Ada", "second": "hello Ada!"}


def test_submit_needs_no_key_and_no_secret_which_resume_then_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = "project: p\nsteps: {a: {run: 'true', secrets: [TOKEN_OF_MINE]}}\n"
    submitted = orc.submit(write("spec.yaml", spec))
    with pytest.raises(orc.EnvironmentProblem, match="TOKEN_OF_MINE"):
        orc.resume(submitted.job_id)
    monkeypatch.setenv("TOKEN_OF_MINE", "quite-a-long-value")

    assert orc.resume(submitted.job_id).status == "succeeded"


def test_submit_keeps_recorded_replies_for_the_resume(here: Path) -> None:
    submitted = orc.submit(TINY_SPEC, provider="replay")

    assert orc.resume(submitted.job_id).outputs["qa"]["score"] == 86


def test_submit_refuses_a_bad_spec_and_leaves_no_ledger(here: Path) -> None:
    with pytest.raises(orc.SpecError) as raised:
        orc.submit(write("spec.yaml", "project: x\nsteps: {a: {rum: 1}}\n"))
    with pytest.raises(orc.UsageProblem, match="cannot read the spec"):
        orc.submit("nowhere.yaml")

    assert raised.value.problems[0].line == 2
    assert not (here / "runs.db").exists()


def test_resume_with_an_edited_spec_runs_only_what_it_changes() -> None:
    job = orc.run(write("spec.yaml", CHAIN))
    edited = write("spec.yaml", CHAIN.replace("%s!", "%s?"))
    resumed = orc.resume(job.job_id, spec=edited)
    attempts = {step.step: step.attempts for step in resumed.steps}

    assert resumed.job_id == job.job_id
    assert resumed.outputs["second"] == "hello you?"
    assert attempts == {"first": 1, "second": 2}


def test_resume_with_a_spec_made_in_python_and_an_input_amends_the_job() -> None:
    path = write("spec.yaml", CHAIN)
    job = orc.run(path)
    resumed = orc.resume(job.job_id, spec=orc.load_spec(path), inputs={"name": "Bo"})

    assert resumed.outputs["second"] == "hello Bo!"


def test_resume_runs_only_the_steps_that_are_named_and_those_that_they_need() -> None:
    spec = "project: x\nsteps: {a: {value: 1}, b: {needs: a, value: 2}, c: {needs: b, value: 3}}\n"
    job = orc.submit(write("spec.yaml", spec))
    part = orc.resume(job.job_id, only="b")

    assert part.outputs == {"a": 1, "b": 2}
    assert part.status == "interrupted"
    assert orc.resume(job.job_id, only=["c"]).status == "succeeded"


def test_run_until_a_step_leaves_the_others_pending() -> None:
    job = orc.run(write("spec.yaml", CHAIN), until="first")

    assert job.outputs == {"first": "hello you"}
    assert {step.step: step.status for step in job.steps}["second"] == "pending"


BUDGETED = """\
project: budgeted
provider: replay
budget: {max_calls: 1}
steps:
  one: {prompt: "first"}
  two: {needs: one, prompt: "second"}
"""


def test_a_job_that_has_used_up_its_budget_continues_with_a_raised_one() -> None:
    replies = write("replies.yaml", "replies: {one: [{text: a}], two: [{text: b}]}\n")
    job = orc.run(write("spec.yaml", BUDGETED), replies=replies)

    assert job.status == "waiting"
    assert orc.resume(job.job_id, budget="+5calls").outputs == {"one": "a", "two": "b"}


def test_rerun_runs_a_step_again_with_what_depends_on_it() -> None:
    job = orc.run(write("spec.yaml", CHAIN))
    again = orc.rerun(job.job_id, "second")

    assert {step.step: step.attempts for step in again.steps} == {"first": 1, "second": 2}
    assert [s.attempts for s in orc.rerun(job.job_id, ["first"]).steps] == [2, 3]


def test_a_fork_reuses_the_results_of_unchanged_steps() -> None:
    job = orc.run(write("spec.yaml", CHAIN))
    forked = orc.fork(job.job_id, changes={"steps.second.run": ["printf", "changed"]})
    steps = {step.step: step for step in forked.steps}

    assert forked.forked_from == job.job_id
    assert forked.outputs == {"first": "hello you", "second": "changed"}
    assert steps["first"].reused_from == f"{job.job_id}/first"
    assert steps["second"].reused_from is None


def test_a_fork_takes_inputs_as_values_and_another_spec_made_in_python() -> None:
    path = write("spec.yaml", CHAIN)
    job = orc.run(path)

    assert orc.fork(job.job_id, changes={"inputs.name": "Bo"}).outputs["first"] == "hello Bo"
    assert orc.fork(job.job_id, spec=orc.load_spec(path)).outputs == job.outputs


def test_a_fork_that_is_not_run_can_be_resumed() -> None:
    job = orc.run(write("spec.yaml", CHAIN))
    forked = orc.fork(job.job_id, start="second", run=False)

    assert forked.status == "interrupted"
    assert list(forked.outputs) == ["first"]
    assert orc.resume(forked.job_id).outputs == job.outputs


def test_a_replay_has_no_difference_or_returns_it(here: Path) -> None:
    job = orc.run(write("spec.yaml", "project: x\nsteps: {a: {run: 'cat $ORC_SPEC_DIR/now'}}\n"))
    write("now", "one")
    job = orc.resume(job.job_id)
    same = orc.replay(job.job_id)
    write("now", "two")
    other = orc.replay(job.job_id)

    assert (same.is_same, same.original, same.job.status) == (True, job.job_id, "succeeded")
    assert not other.is_same
    assert (other.differences[0].step, other.job.outputs) == ("a", {"a": "two"})


def test_after_an_approval_or_a_rejection_the_job_continues() -> None:
    spec = write("spec.yaml", GATED)
    one, other = orc.run(spec), orc.run(spec)
    decision = orc.approve(one.job_id, "gate", option="later", comment="soon")
    orc.reject(other.job_id, "gate")

    assert one.status == "waiting"
    assert {step.step: step.question for step in one.steps} == {"gate": "Publish?", "go": None}
    assert (decision.option, decision.is_ours, decision.has_owner) == ("later", True, False)
    assert orc.resume(one.job_id).outputs["go"] == "later"
    assert orc.resume(other.job_id).status == "failed"


def test_a_cancelled_job_is_cancelled_and_one_that_has_ended_stays_as_it_is() -> None:
    spec = write("spec.yaml", GATED)
    waiting = orc.run(spec)
    done = orc.run(write("chain.yaml", CHAIN))

    assert orc.cancel(waiting.job_id, reason="no need").status == "cancelled"
    assert orc.cancel(done.job_id).status == "succeeded"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda job: orc.resume("nobody"), "NoSuchJob", "nobody"),
        (lambda job: orc.rerun("nobody", "a"), "NoSuchJob", "nobody"),
        (lambda job: orc.fork("nobody"), "NoSuchJob", "nobody"),
        (lambda job: orc.replay("nobody"), "NoSuchJob", "nobody"),
        (lambda job: orc.cancel("nobody"), "NoSuchJob", "nobody"),
        (lambda job: orc.approve("nobody", "a"), "NoSuchJob", "nobody"),
        (lambda job: orc.resume(db="no.db"), "NoLedger", "no.db"),
        (lambda job: orc.run("nowhere.yaml"), "UsageProblem", "nowhere.yaml"),
        (lambda job: orc.run("spec.yaml", until="thrid"), "UsageProblem", "thrid"),
        (lambda job: orc.run("spec.yaml", inputs={"nmae": 1}), "SpecError", "nmae"),
        (lambda job: orc.resume(job, inputs={"name": "x"}), "UsageProblem", "spec="),
        (lambda job: orc.resume(job, provider="openai"), "UsageProblem", "keeps its providers"),
        (lambda job: orc.resume(job, spec="spec.yaml", only="x"), "UsageProblem", "no step 'x'"),
        (lambda job: orc.resume(job, spec="other.yaml"), "UsageProblem", "project"),
        (lambda job: orc.rerun(job, []), "UsageProblem", "at least one step"),
        (lambda job: orc.rerun(job, "secnod"), "UsageProblem", "did you mean 'second'"),
        (lambda job: orc.fork(job, start="x"), "UsageProblem", "no step 'x'"),
        (lambda job: orc.fork(job, changes={"steps": 1}), "UsageProblem", "steps.STEP.KEY"),
        (lambda job: orc.fork(job, changes={"a..b": 1}), "UsageProblem", "must be a path"),
        (lambda job: orc.fork(job, changes={"inputs.a.b": 1}), "UsageProblem", "inputs.NAME"),
        (lambda job: orc.fork(job, changes={"steps.second.rum": 1}), "UsageProblem", "'rum'"),
        (lambda job: orc.approve(job, "first"), "UsageProblem", "does not wait"),
        (lambda job: orc.reject(job, "fisrt"), "UsageProblem", "first"),
    ],
)
def test_an_invalid_argument_raises_the_error_of_its_kind(
    call: Callable[[str], Any], error: str, message: str
) -> None:
    job = orc.run(write("spec.yaml", CHAIN))
    write("other.yaml", CHAIN.replace("project: chain", "project: other"))

    with pytest.raises(getattr(orc, error), match=message):
        call(job.job_id)


def test_a_job_that_another_process_owns_is_refused(here: Path) -> None:
    job = orc.run(write("spec.yaml", GATED))
    lock = OwnerLock(here / "runs.db", JobId(job.job_id))
    lock.acquire()
    try:
        with pytest.raises(orc.OwnedElsewhere) as raised:
            orc.resume(job.job_id)
    finally:
        lock.release()

    assert raised.value.job_id == job.job_id


def test_recorded_replies_are_written_to_the_file_that_is_named(here: Path) -> None:
    orc.run(TINY_SPEC, provider="replay", record="replies.yaml")
    again = orc.run(TINY_SPEC, provider="replay", replies="replies.yaml")

    assert again.outputs["qa"]["score"] == 86
    with pytest.raises(orc.UsageProblem, match="the file exists already"):
        orc.run(TINY_SPEC, provider="replay", record="replies.yaml")


def test_output_dir_gets_the_files_and_other_files_are_not_overwritten(here: Path) -> None:
    spec = "project: p\nsteps: {a: {run: 'echo x > x.txt', files: [x.txt]}}\n"
    job = orc.run(write("spec.yaml", spec), output_dir="out")
    (here / "out" / "x.txt").write_text("mine")
    other = orc.run("spec.yaml", output_dir="out")

    assert job.not_delivered == ()
    assert [Path(name).name for name in other.not_delivered] == ["x.txt"]
    assert orc.resume(other.job_id, force=True).not_delivered == ()
    assert (here / "out" / "x.txt").read_text() == "x\n"


WAITING: dict[str, Callable[[], object]] = {
    "run": lambda: orc.run("spec.yaml"),
    "resume": lambda: orc.resume(),
    "work": lambda: orc.work(stop_when_empty=True),
    "rerun": lambda: orc.rerun("latest", "first"),
    "fork": lambda: orc.fork("latest"),
    "replay": lambda: orc.replay(),
    "approve": lambda: orc.approve("latest", "gate"),
    "reject": lambda: orc.reject("latest", "gate"),
    "cancel": lambda: orc.cancel("latest"),
}


@pytest.mark.parametrize("name", WAITING)
async def test_inside_a_trio_run_a_synchronous_function_names_its_asynchronous_version(
    name: str, here: Path
) -> None:
    with pytest.raises(RuntimeError, match=rf"await orc\.{name}_async"):
        WAITING[name]()

    assert not (here / "runs.db").exists()


def test_every_function_that_waits_has_an_asynchronous_version() -> None:
    others = {"load_spec", "open_ledger"}
    functions = {name for name in orc.__all__ if inspect.isfunction(getattr(orc, name))}
    versions = {name for name in functions if name.endswith("_async")}
    assert {f"{name}_async" for name in WAITING} <= versions
    assert {f"{name}_async" for name in functions - versions - others} == versions


async def test_the_asynchronous_versions_do_the_same(here: Path) -> None:
    spec = write("spec.yaml", CHAIN)
    gated = write("gated.yaml", GATED)
    with trio.fail_after(60):
        job = await orc.run_async(spec)
        resumed = await orc.resume_async(job.job_id, spec=spec, inputs={"name": "Bo"})
        again = await orc.rerun_async(job.job_id, "second")
        forked = await orc.fork_async(job.job_id, start="second")
        replayed = await orc.replay_async(forked.job_id)
        one, other = await orc.run_async(gated), await orc.run_async(gated)
        approved = await orc.approve_async(one.job_id, "gate")
        rejected = await orc.reject_async(other.job_id, "gate")
        cancelled = await orc.cancel_async(one.job_id)

    assert resumed.outputs["second"] == "hello Bo!" == again.outputs["second"]
    assert forked.outputs == again.outputs
    assert replayed.is_same
    assert (approved.option, rejected.option) == ("approve", "reject")
    assert cancelled.status == "cancelled"


async def test_an_asynchronous_version_raises_the_error_itself_and_not_a_group(here: Path) -> None:
    # The runner makes the third append, inside a nursery.
    failpoints.arm("ledger.before_begin@3=errno:ENOSPC")
    try:
        with pytest.raises((orc.StorageError, OSError)) as raised:
            await orc.run_async(write("spec.yaml", CHAIN))
    finally:
        failpoints.arm(None)

    assert isinstance(raised.value.__cause__, ExceptionGroup)


async def test_a_function_that_waits_can_be_called_in_a_thread_of_a_trio_run() -> None:
    spec = write("spec.yaml", CHAIN)
    with trio.fail_after(30):
        job = await trio.to_thread.run_sync(lambda: orc.run(spec))

    assert job.status == "succeeded"


def test_jobs_run_in_several_threads_at_once() -> None:
    spec, jobs = write("spec.yaml", CHAIN), list[orc.Job]()
    orc.run(spec)
    threads = [
        threading.Thread(target=lambda: jobs.append(orc.fork("latest~0", start="first")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [job.status for job in jobs] == ["succeeded"] * 3
