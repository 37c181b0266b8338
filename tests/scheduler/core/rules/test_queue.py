"""The rules of the queue: which jobs a worker may take, and when a job leaves the queue."""

from __future__ import annotations

import pytest

from orc.ledger.definition import ApprovalDef
from orc.ledger.events import (
    AnyEvent,
    ApprovalDecided,
    ApprovalRequested,
    JobCancelled,
    JobFailed,
    JobInterrupted,
    JobResumed,
    JobStarted,
    JobSucceeded,
    JobWaiting,
    QueuedRun,
    StepInterrupted,
)
from orc.scheduler.core.commands import InterruptJob, ResumeJob, StartJob
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.queued_job import TAKES_MAX, takeable_at
from orc.scheduler.core.rules.decide import decide
from tests.builders import (
    EPOCH_S,
    OWNER,
    amended,
    fold_recorded,
    interrupted,
    job,
    record,
    requested,
    responded,
    resumed,
    started,
    step,
    submitted,
    succeeded,
)

JOB = job(
    step("work", kind="run", run="true"),
    step("ask", kind="prompt", prompt="?"),
    step("gate", kind="approval", approval=ApprovalDef(message="go?")),
)
TAKEN = JobStarted(owner=OWNER, from_queue=True)
AGAIN = resumed(from_queue=True)
BY_PERSON = resumed()
BACK = JobInterrupted(signal="SIGTERM", queue="back")


def queued(*events: AnyEvent) -> JobState:
    """The state of a job of the queue after the events."""
    return fold_recorded(JOB, record([submitted(JOB, queued=QueuedRun()), *events]))


def asked(expires_at: float | None = None) -> list[AnyEvent]:
    """A worker took the job, which then waits for a person."""
    question = ApprovalRequested(
        step="gate", attempt=1, message="go?", options=("approve", "reject"),
        timeout_s=None if expires_at is None else 1.0, expires_at=expires_at,
    )  # fmt: skip
    waiting = JobWaiting(reason="approval", steps=("gate",))
    return [TAKEN, started("gate", kind="approval"), question, waiting]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [TAKEN],
        [TAKEN, started("work", kind="run")],
        [TAKEN, BACK],
        [TAKEN, JobInterrupted(queue="back")],
        [TAKEN, BACK, AGAIN, BACK, AGAIN],
        [TAKEN, *[AGAIN] * 9],
    ],
)
def test_a_worker_may_take_a_job_of_the_queue_that_has_not_ended(events: list[AnyEvent]) -> None:
    assert takeable_at(queued(*events)) == 0.0


@pytest.mark.parametrize(
    "events",
    [
        [JobStarted(owner=OWNER)],
        [BY_PERSON],
        [TAKEN, BACK, BY_PERSON],
        [TAKEN, BACK, BY_PERSON, JobInterrupted(signal="SIGINT")],
        [TAKEN, JobInterrupted()],
        [TAKEN, JobInterrupted(queue="left", crashes=3)],
        [TAKEN, JobSucceeded()],
        [TAKEN, JobFailed(failures=(), failures_total=0)],
        [JobCancelled(reason=None)],
        [TAKEN, BACK, amended(JOB, "work")],
        [TAKEN, JobSucceeded(), amended(JOB, "work"), BY_PERSON],
        asked(),
    ],
)
def test_a_worker_may_not_take_a_job_that_left_the_queue_or_waits(events: list[AnyEvent]) -> None:
    assert takeable_at(queued(*events)) is None


def test_a_job_that_was_not_submitted_to_the_queue_never_gets_into_it() -> None:
    stream = record([submitted(JOB), TAKEN, BACK])
    assert takeable_at(fold_recorded(JOB, stream)) is None


def test_a_job_that_waits_may_be_taken_after_the_answer_or_when_its_time_is_over() -> None:
    decided = ApprovalDecided(step="gate", attempt=1, option="approve", by="me")
    assert takeable_at(queued(*asked(), decided)) == 0.0
    assert takeable_at(queued(*asked(EPOCH_S + 60.0))) == EPOCH_S + 60.0
    again = JobWaiting(reason="approval", steps=("gate",))
    assert takeable_at(queued(*asked(), decided, AGAIN, again)) is None


def test_a_start_and_a_resume_record_that_a_worker_took_the_job() -> None:
    assert decide(queued(), StartJob(OWNER, from_queue=True)) == [TAKEN]
    assert decide(queued(), StartJob(OWNER)) == [JobStarted(owner=OWNER)]
    (event,) = decide(queued(TAKEN, BACK), ResumeJob(OWNER, from_queue=True))
    assert event == AGAIN
    stopped = decide(queued(TAKEN), InterruptJob(None, queue="back"))
    assert stopped == [JobInterrupted(queue="back")]


def crashed(times: int, *progress: AnyEvent) -> JobState:
    """The state after workers died; the progress comes before the last of them."""
    crashes: list[AnyEvent] = []
    for number in range(1, times):
        crashes += [AGAIN, interrupted("work", number, reason="crash")]
        crashes.append(started("work", number + 1, kind="run"))
    if progress:
        crashes = [*crashes[:-2], *progress, *crashes[-2:]]
    return queued(TAKEN, started("work", kind="run"), *crashes)


def test_the_job_of_three_dead_workers_leaves_the_queue_instead_of_being_resumed() -> None:
    state = crashed(TAKES_MAX)
    cut, left = decide(state, ResumeJob(OWNER, from_queue=True))
    assert isinstance(cut, StepInterrupted)
    assert left == JobInterrupted(queue="left", crashes=TAKES_MAX)
    # A person may continue it all the same.
    assert isinstance(decide(state, ResumeJob(OWNER))[0], JobResumed)


def test_the_job_of_two_dead_workers_is_resumed() -> None:
    assert isinstance(decide(crashed(2), ResumeJob(OWNER, from_queue=True))[0], JobResumed)


@pytest.mark.parametrize(
    "progress",
    [
        [succeeded("ask")],
        [requested("ask"), responded("ask")],
        [BACK, AGAIN],
    ],
)
def test_progress_starts_the_count_anew(progress: list[AnyEvent]) -> None:
    before = [started("ask", kind="prompt")] if progress[0] != BACK else []
    state = crashed(TAKES_MAX + 1, *before, *progress)
    assert isinstance(decide(state, ResumeJob(OWNER, from_queue=True))[0], JobResumed)


def test_a_request_alone_is_no_progress() -> None:
    state = crashed(TAKES_MAX, started("ask", kind="prompt"), requested("ask"))
    assert isinstance(decide(state, ResumeJob(OWNER, from_queue=True))[-1], JobInterrupted)
