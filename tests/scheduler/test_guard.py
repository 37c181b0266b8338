"""An exception in the work that the scheduler does for a step fails this step, and nothing else."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, cast

import pytest

import orc.scheduler.guard as guarding
from orc.ledger import Signal
from orc.ledger.errors import CorruptLedger, FileTooLarge, LedgerError, RemovedBlob, StorageError
from orc.ledger.events import Payload, StepFailed
from orc.ledger.secrets.masking import NO_MASK, Mask
from orc.scheduler.attempt import Finished, with_log
from orc.scheduler.branching import BranchEvaluator
from orc.scheduler.core.commands import (
    CancelJob,
    DecideApproval,
    ExpandStep,
    FinishAttempt,
    Succeeded,
)
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.executors.contract import Superseded
from orc.scheduler.folders.workspace import Workspace
from orc.scheduler.guard import failure_between_turns, failure_of_attempt
from orc.scheduler.rendering import Renderer
from orc.scheduler.result_key import ResultReuse
from orc.scheduler.signals import command_of
from tests.builders import JOB
from tests.scheduler.flows import flow_stand, statuses

SPEC = """
project: demo
steps:
  first: {value: [1, 2]}
  bad:
    needs: first
    for_each: ${{ steps.first.output }}
    value: ${{ item }}
  after: {needs: bad, value: never}
  beside: {value: whole}
  last: {needs: after, if: always(), value: "${{ steps.bad.error.kind | default('none') }}"}
"""


def broken_for(step_id: str, method: Any, error: Exception) -> Callable[..., Any]:
    def called(self: Any, name: str, *told: Any, **more: Any) -> Any:
        if name == step_id:
            raise error
        return method(self, name, *told, **more)

    return called


def break_decisions(kind: type[Any], patch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(state: Any, command: Any) -> Any:
        is_meant = isinstance(command, kind) and command.step == "bad"
        if is_meant and isinstance(getattr(command, "outcome", None), Succeeded | None):
            raise error
        return decide(state, command)

    patch.setattr(guarding, "decide", broken)


METHODS = {
    "its condition": (BranchEvaluator, "_holds", "evaluate the step"),
    "its start": (BranchEvaluator, "_begin", "evaluate the step"),
    "its expansion": (BranchEvaluator, "_expand_items", "evaluate the step"),
    "its results": (BranchEvaluator, "_gather", "gather its results"),
}


@pytest.mark.parametrize("place", METHODS)
def test_a_container_fails_and_the_job_ends(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, doing = METHODS[place]
    method = getattr(owner, name)
    monkeypatch.setattr(owner, name, broken_for("bad", method, ValueError("boom")))
    with flow_stand(SPEC) as stand:
        state = stand.run()
        assert stand.output("last") == "internal"
        (failed,) = (one.event for one in stand.stream() if isinstance(one.event, StepFailed))
    assert state.status == "failed"
    assert {name: statuses(state)[name] for name in ("bad", "after", "beside", "last")} == {
        "bad": "failed",
        "after": "skipped",
        "beside": "succeeded",
        "last": "succeeded",
    }
    assert failed.kind == "internal"
    assert f"unexpected error in orc, which could not {doing}: ValueError: boom" in failed.message
    assert "report it" in failed.message
    assert "`orc resume` tries the step again" in failed.message


@pytest.mark.parametrize("kind", [ExpandStep, FinishAttempt])
def test_what_cannot_be_recorded_fails_its_step(
    kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_decisions(kind, monkeypatch, ValueError("boom"))
    with flow_stand(SPEC) as stand:
        state = stand.run()
        assert stand.output("last") == "internal"
    failure = state.steps["bad"].failure
    assert failure is not None
    assert "could not record what became of the step: ValueError: boom" in failure.message


@pytest.mark.parametrize(
    ("owner", "name"),
    [(ResultReuse, "_first_command"), (Renderer, "request"), (Renderer, "files")],
)
def test_a_step_without_others_inside_fails_and_the_job_ends(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = getattr(owner, name)
    monkeypatch.setattr(owner, name, broken_for("beside", method, KeyError("boom")))
    with flow_stand(SPEC) as stand:
        state = stand.run()
    failure = state.steps["beside"].failure
    assert failure is not None
    assert failure.kind == "internal"
    assert "KeyError: 'boom' (raised at " in failure.message
    assert state.status == "failed"
    assert statuses(state)["last"] == "succeeded"


def test_a_job_that_failed_so_is_resumed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with flow_stand(SPEC) as stand:
        with monkeypatch.context() as patch:
            method = BranchEvaluator._gather
            patch.setattr(
                BranchEvaluator, "_gather", broken_for("bad", method, RecursionError("deep"))
            )
            assert stand.run().status == "failed"
        assert stand.run().status == "succeeded"
        assert stand.output("bad") == [1, 2]
        starts = [one.event.step for one in stand.stream() if one.event.type == "step.started"]
    assert starts.count("bad[0]") == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOSPC, "full"),
        StorageError("the disk is full"),
        CorruptLedger("changed"),
        Superseded("another process"),
        ExceptionGroup("", [ValueError("boom"), StorageError("the disk is full")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_concerns_the_whole_job_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        failure_between_turns(error, "evaluate the step", NO_MASK)
    assert caught.value is error


def test_an_assertion_of_the_rules_stops_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    break_decisions(FinishAttempt, monkeypatch, AssertionError("the state is wrong"))
    with flow_stand(SPEC) as stand, pytest.raises(AssertionError, match="the state is wrong"):
        stand.run()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TemplateError("no key"), "template"),
        (FileTooLarge("more than 256 MiB"), "template"),
        (RemovedBlob("was pruned", "0" * 64), "environment"),
        (ExceptionGroup("", [ExceptionGroup("", [TypeError("x")])]), "internal"),
        (AssertionError("of its work"), "internal"),
    ],
)
def test_an_expected_error_keeps_its_reason(error: Exception, kind: str) -> None:
    failed = failure_between_turns(error, "evaluate the step", NO_MASK)
    assert (failed.kind, failed.final) == (kind, True)
    if isinstance(error, TemplateError | LedgerError):
        assert failed.message == str(error)


def test_a_machine_that_lacks_something_fails_an_attempt() -> None:
    failed = failure_of_attempt(OSError(errno.ENOSPC, "full"), 1.0, NO_MASK)
    assert (failed.kind, failed.duration_s) == ("environment", 1.0)


def test_secrets_in_an_unexpected_error_are_masked_before_it_is_cut() -> None:
    mask = Mask({"KEY": "correct horse battery staple"})
    error = ValueError("x" * 985 + "correct horse battery staple")
    said = failure_between_turns(error, "evaluate the step", mask).message
    assert "correct" not in said


def test_a_log_that_cannot_be_read_is_a_warning() -> None:
    class Broken:
        def read_log(self, step_id: str, attempt: int) -> Any:
            raise ValueError("boom")

    finished = Finished(Succeeded(Payload(value=1), 1.0))
    outcome = with_log(cast(Workspace, Broken()), "step", 1, finished).outcome
    assert outcome == Succeeded(Payload(value=1), 1.0, warning="the log could not be read: boom")


def test_a_signal_with_any_values_is_a_decision() -> None:
    data = {"step": "gate", "option": "approve", "comment": [1], "by": {"a": 1}}
    command = command_of(Signal(1, JOB, "decide", data))
    assert command == DecideApproval("gate", "approve", "[1]", "{'a': 1}", 1)
    assert command_of(Signal(2, JOB, "cancel", {"reason": 7})) == CancelJob(2, "7")
