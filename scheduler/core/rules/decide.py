"""`decide(state, command) -> events`: the rules of the scheduler.

It is pure: it reads the state, and takes times from the commands. A command that no longer applies
gives no events; one that only a bug can send fails an assertion. `core/fold` applies the events.
"""

from __future__ import annotations

import json
from typing import assert_never

from orc.ledger.digest import canonical_json
from orc.ledger.events import (
    AnyEvent,
    BudgetExceeded,
    BudgetRaised,
    JobInterrupted,
    JobResumed,
    JobStarted,
    LlmFailed,
    LlmResponded,
    StepConfigured,
    StepInterrupted,
    StepStarted,
    StepSucceeded,
)
from orc.ledger.kinds import JOB_RESUMABLE, NOT_RUNNING
from orc.ledger.wording import duration_text
from orc.scheduler.core.assessments import NoteJob, RecordScores, ScoreByPerson, TagJob
from orc.scheduler.core.batch_commands import LeaveBatches, RecordBatch, SubmitBatch
from orc.scheduler.core.commands import (
    AmendJob,
    AskAboutDoubt,
    AskPerson,
    CancelJob,
    Command,
    ConfigureStep,
    DecideApproval,
    ExpandStep,
    ExpireStep,
    Failed,
    FailStep,
    FinishAttempt,
    Interrupted,
    InterruptJob,
    OutOfBudget,
    PauseJob,
    RaiseBudget,
    RecordCall,
    ResumeJob,
    ReuseStep,
    Settle,
    SkipStep,
    StartAttempt,
    StartJob,
    SubmitJob,
    Succeeded,
    TakeOver,
    TimeOutJob,
)
from orc.scheduler.core.fold.cancelling import end_cancelled
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.limits import awaits_server, circuit_events, pick_target
from orc.scheduler.core.fold.placing import open_remote, placement_fields
from orc.scheduler.core.fold.questions import REJECT
from orc.scheduler.core.fold.queued_job import TAKES_MAX
from orc.scheduler.core.fold.reopen import find_kept, with_kept
from orc.scheduler.core.fold.work import metered_provider, runs_elsewhere, takes_slot
from orc.scheduler.core.hook_commands import EndHook, StartHook
from orc.scheduler.core.placing_commands import (
    EndPlaced,
    ExpireQueued,
    PlaceAttempt,
    ReattachAttempt,
    UnplaceAttempt,
)
from orc.scheduler.core.rules.batches import (
    cut_batched,
    leave_batches,
    record_batch,
    submit_batch,
)
from orc.scheduler.core.rules.containers import (
    approval_given,
    ask,
    decision,
    end_decided_steps,
    expand,
    is_asked,
    pause,
    rejection,
    take_over,
)
from orc.scheduler.core.rules.doubt import ask_about_doubt
from orc.scheduler.core.rules.ending import settle, time_out
from orc.scheduler.core.rules.failures import (
    fail_finally,
    finish_failed,
    skip,
    skip_dependents,
    switch,
)
from orc.scheduler.core.rules.files import can_own, file_events, with_file_conflicts
from orc.scheduler.core.rules.hooks import hook_events, lost_hook
from orc.scheduler.core.rules.placing import (
    end_placed,
    expire_queued,
    is_late,
    lost_too_often,
    place,
    reattach,
    unplace,
)
from orc.scheduler.core.rules.scores import note, record_scores, score_by_person, tag


def decide(state: JobState, command: Command) -> list[AnyEvent]:
    """The events that the command leads to in the state."""
    # The most frequent commands come first.
    match command:
        case Settle():
            return settle(state)
        case StartAttempt():
            return _start_attempt(state, command)
        case FinishAttempt():
            return _finish_attempt(state, command)
        case SubmitJob():
            assert state.version == 0
            return [command.event]
        case StartJob():
            assert state.status == "submitted"
            return [
                JobStarted(
                    owner=command.owner, only=command.only, from_queue=command.from_queue or None
                )
            ]
        case ResumeJob():
            return _resume(state, command)
        case AmendJob():
            cut = [
                *_cut_by_crash(state),
                *_cut_elsewhere(state),
                *cut_batched(state, command.event),
            ]
            return [*cut, with_kept(state, command.event)]
        case ConfigureStep():
            assert state.steps[command.step].status == "pending"
            # The keys have the order that a reader of the ledger gets.
            settings = json.loads(canonical_json(dict(command.settings)))
            return [StepConfigured(step=command.step, settings=settings)]
        case ReuseStep():
            return _reuse_step(state, command)
        case TakeOver():
            return take_over(state, command)
        case PlaceAttempt():
            return place(state, command)
        case UnplaceAttempt():
            return unplace(state, command)
        case ReattachAttempt():
            return reattach(state, command)
        case EndPlaced():
            return end_placed(state, command)
        case ExpireQueued():
            return expire_queued(state, command)
        case RecordCall():
            return _record_call(state, command)
        case SubmitBatch():
            return submit_batch(state, command)
        case RecordBatch():
            return record_batch(state, command)
        case LeaveBatches():
            return leave_batches(state)
        case ExpireStep():
            return fail_finally(state, command.step, _total_timeout(state, command.step))
        case SkipStep():
            return skip(state, command.step)
        case FailStep():
            return fail_finally(state, command.step, command.failed)
        case ExpandStep():
            return expand(state, command)
        case AskPerson():
            return ask(state, command)
        case AskAboutDoubt():
            return [*ask_about_doubt(state, command.step)]
        case DecideApproval():
            return _decide_approval(state, command)
        case RecordScores():
            return record_scores(state, command)
        case ScoreByPerson():
            return score_by_person(state, command)
        case TagJob():
            return tag(state, command)
        case NoteJob():
            return note(command)
        case RaiseBudget():
            return [_raised(command)]
        case PauseJob():
            return pause(state)
        case InterruptJob():
            assert state.running_total == state.running_elsewhere
            return [JobInterrupted(signal=command.signal, queue=command.queue)]
        case CancelJob():
            cut = [*_cut_by_crash(state), *_cut_elsewhere(state), *cut_batched(state)]
            return [*cut, end_cancelled(state, command)]
        case TimeOutJob():
            assert state.running_total == 0
            return time_out(state)
        case StartHook() | EndHook():
            return hook_events(state, command)
        case _:
            assert_never(command)


def _resume(state: JobState, command: ResumeJob) -> list[AnyEvent]:
    assert state.status in JOB_RESUMABLE
    if command.from_queue and state.takes >= TAKES_MAX:
        return [*_cut_by_crash(state), JobInterrupted(queue="left", crashes=state.takes)]
    resumed = JobResumed(
        owner=command.owner,
        provider=command.provider,
        replies=command.replies,
        timeout_s=command.timeout_s,
        signal_id=command.signal_id,
        only=command.only,
        from_queue=command.from_queue or None,
        kept=find_kept(state) or None,
    )
    # Attempts that were running when the last owner died have no end in the stream yet.
    return [*end_decided_steps(state), resumed, *_cut_by_crash(state)]


def _cut_by_crash(state: JobState) -> list[AnyEvent]:
    """The interruption of each attempt and of the hook that ran here when the last owner died.

    Attempts on workers, and those that wait for batches, go on without an owner.
    """
    cut = (
        StepInterrupted(step=step_id, attempt=step.attempts, reason="crash")
        for step_id, step in state.steps.items()
        if step.status == "running"
        and takes_slot(state, step_id)
        and not runs_elsewhere(state, step_id)
        and step.batched is None
    )
    return [*lost_hook(state), *cut]


def _cut_elsewhere(state: JobState) -> list[AnyEvent]:
    """The interruption of each open attempt on a worker, which the caller has ended there."""
    return [
        StepInterrupted(step=step_id, attempt=attempt, reason="cancel")
        for step_id, attempt, _ in open_remote(state)
    ]


def _record_call(state: JobState, command: RecordCall) -> list[AnyEvent]:
    event = command.event
    step = state.steps[event.step]
    assert step.status == "running"
    assert step.attempts == event.attempt
    if isinstance(event, LlmResponded | LlmFailed):
        return [event, *circuit_events(state, event, command.now)]
    return [event]


def _reuse_step(state: JobState, command: ReuseStep) -> list[AnyEvent]:
    """End the step with a result from the ledger."""
    event = command.event
    assert state.steps[event.step].status in NOT_RUNNING
    assert can_own(state, event.step, event.files)
    return [event, *skip_dependents(state, event.step, "succeeded")]


def _start_attempt(state: JobState, command: StartAttempt) -> list[AnyEvent]:
    definition = state.graph.steps[command.step]
    step = state.steps[command.step]
    assert step.status in NOT_RUNNING
    assert step.needs_left == 0
    deadline_at = step.deadline_at
    if deadline_at is None and definition.total_timeout_s is not None:
        deadline_at = command.now + definition.total_timeout_s
    started = StepStarted(
        step=command.step,
        attempt=step.attempts + 1,
        kind=definition.kind,
        needs=state.graph.needs[command.step],
        deadline_at=deadline_at,
        cache_key=command.cache_key,
        executor=definition.executor if runs_elsewhere(state, command.step) else None,
    )
    asks_model = bool(metered_provider(state, command.step))
    place = pick_target(state, step.lane, command.now) if asks_model else 0
    assert place is not None, "a step is ready only if one of its targets may be called"
    if place == 0:
        return [started]
    return [switch(state, command.step, place, "its circuit is open"), started]


def _finish_attempt(state: JobState, command: FinishAttempt) -> list[AnyEvent]:
    step = state.steps[command.step]
    if is_late(state, command):
        return []
    assert step.status == "running"
    assert step.attempts == command.attempt
    outcome = with_file_conflicts(state, command.step, command.outcome)
    match outcome:
        case Succeeded():
            return [
                *file_events(state, command, outcome),
                StepSucceeded(
                    step=command.step,
                    attempt=command.attempt,
                    output=outcome.output,
                    duration_s=outcome.duration_s,
                    log=outcome.log,
                    artifacts=outcome.artifacts,
                    folders=outcome.folders or None,
                    warning=outcome.warning,
                    **placement_fields(state, command.step, waited_s=outcome.queued_s),
                ),
                *skip_dependents(state, command.step, "succeeded"),
            ]
        case Interrupted():
            failed = lost_too_often(state, command, outcome)
            if failed is not None:
                return fail_finally(state, command.step, failed)
            return [
                StepInterrupted(
                    step=command.step,
                    attempt=command.attempt,
                    reason=outcome.reason,
                    duration_s=outcome.duration_s,
                    log=outcome.log,
                )
            ]
        case OutOfBudget():
            return [
                BudgetExceeded(
                    step=command.step,
                    attempt=command.attempt,
                    account=outcome.account or None,
                    limit=outcome.limit,
                    maximum=outcome.maximum,
                    spent=outcome.spent,
                    needed=outcome.needed,
                    duration_s=outcome.duration_s,
                )
            ]
        case Failed() if awaits_server(state, command.step, outcome.not_ready, command.now):
            return [
                StepInterrupted(
                    step=command.step,
                    attempt=command.attempt,
                    reason="server",
                    duration_s=outcome.duration_s,
                    log=outcome.log,
                )
            ]
        case Failed():
            return finish_failed(state, command, outcome)
        case _:
            assert_never(outcome)


def _raised(command: RaiseBudget) -> BudgetRaised:
    return BudgetRaised(
        account=command.account or None,
        max_cost_nano_usd=command.max_cost_nano_usd,
        max_tokens=command.max_tokens,
        max_calls=command.max_calls,
        signal_id=command.signal_id,
    )


def _decide_approval(state: JobState, command: DecideApproval) -> list[AnyEvent]:
    if not is_asked(state, command):
        return []
    decided = decision(state, command)
    if command.option == REJECT:
        return [decided, *fail_finally(state, command.step, rejection(command))]
    if not state.graph.steps[command.step].facts.asks_person:
        return [decided]
    return [decided, *approval_given(state, decided)]


def _total_timeout(state: JobState, step_id: str) -> Failed:
    total_s = state.graph.steps[step_id].total_timeout_s or 0.0
    last = state.steps[step_id].failure
    after = f"; the last attempt failed: {last.message}" if last else ""
    return Failed(
        kind="timeout",
        message=f"the step's total_timeout of {duration_text(total_s)} is over{after}",
        duration_s=0.0,
        final=True,
    )
