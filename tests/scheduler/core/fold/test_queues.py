"""The queues of ready steps: their order, and what a job that waits for a person still has to do."""

from __future__ import annotations

from orc.ledger.definition import ApprovalDef
from orc.ledger.events import AnyEvent, ApprovalRequested
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.fold.state import JobState
from tests.builders import EPOCH_S, failed, interrupted, job, running, started, step, succeeded

QUESTION: list[AnyEvent] = [
    started("gate", kind="approval"),
    ApprovalRequested(step="gate", attempt=1, message="go?", options=("approve", "reject")),
]
GATE = step("gate", kind="approval", approval=ApprovalDef(message="go?"))


def test_steps_of_all_lanes_start_in_the_order_in_which_they_became_ready() -> None:
    steps = (step("z", kind="run", run="x"), step("y", prompt="?"), step("x", kind="run", run="x"))
    apart = (step("w", kind="run", run="x", workspace="own"), step("v", prompt="?"))
    queues = WorkQueues(running(job(*steps, *apart, total=9)))
    assert list(queues.ready(EPOCH_S)) == ["z", "y", "x", "w", "v"]


def test_steps_without_a_workspace_start_beside_each_other() -> None:
    steps = [step(name, kind="run", run="x") for name in "ab"]
    shared = [step(name, kind="run", run="x", workspace="w") for name in "cd"]
    queues = WorkQueues(running(job(*steps, *shared)))
    assert list(queues.ready(EPOCH_S)) == ["a", "b", "c"]


def waits(state: JobState) -> bool:
    """Whether the job waits for a person only, when nothing is left to be evaluated."""
    queues = WorkQueues(state)
    queues.take_due()
    return queues.waits_for_person_only()


def test_a_job_with_a_question_waits_for_a_person_only_if_no_step_is_ready_or_retried() -> None:
    definition = job(GATE, step("a", kind="run", run="x"))
    ready = running(definition, *QUESTION)
    assert not waits(ready)
    busy = running(definition, *QUESTION, started("a", kind="run"))
    assert not waits(busy)
    retried = running(definition, *QUESTION, started("a", kind="run"), failed("a", retry_at=9.0))
    assert not waits(retried)
    ended = running(definition, *QUESTION, started("a", kind="run"), succeeded("a"))
    assert waits(ended)
    cut = running(definition, *QUESTION, started("a", kind="run"), interrupted("a"))
    assert not waits(cut)
