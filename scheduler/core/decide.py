"""`decide(state, command) -> events`: every rule of the scheduler, and nothing else.

Pure: the state is read, never changed, and times arrive in the commands. A
command that makes no sense in the state gives no events; one that only a bug
can send fails an assertion.
"""

from __future__ import annotations

from collections import deque
from typing import assert_never

from ledger.events import (
    AnyEvent,
    Failure,
    JobCancelled,
    JobFailed,
    JobInterrupted,
    JobResumed,
    JobStarted,
    JobSucceeded,
    LlmFailed,
    LlmResponded,
    SkipReason,
    StepFailed,
    StepInterrupted,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepSwitched,
)
from scheduler.core.commands import (
    AmendJob,
    CancelJob,
    Command,
    ExpireStep,
    Failed,
    FinishAttempt,
    Interrupted,
    InterruptJob,
    RecordCall,
    ResumeJob,
    ReuseStep,
    Settle,
    StartAttempt,
    StartJob,
    SubmitJob,
    Succeeded,
    TimeOutJob,
)
from scheduler.core.decide_files import file_events, with_file_conflicts
from scheduler.core.decide_reuse import reuse_step, stop_when_reached
from scheduler.core.durations import format_duration
from scheduler.core.limits import TRANSIENT, circuit_events, pick_target
from scheduler.core.state import JobState

BECAUSE_MAX = 20
FAILURES_MAX = 1000
_SWITCHED_ON = TRANSIENT | {"auth", "bad_request", "refused", "context_length", "schema"}


def decide(state: JobState, command: Command) -> list[AnyEvent]:
    """The events that the command leads to in the state."""
    match command:
        case SubmitJob():
            assert state.version == 0
            return [command.event]
        case StartJob():
            assert state.status == "submitted"
            return [JobStarted(owner=command.owner, only=command.only)]
        case ResumeJob():
            return _resume(state, command)
        case AmendJob():
            return [*_cut_by_crash(state), command.event]
        case ReuseStep():
            return [*reuse_step(state, command)]
        case StartAttempt():
            return _start_attempt(state, command)
        case RecordCall():
            return _record_call(state, command)
        case FinishAttempt():
            return _finish_attempt(state, command)
        case ExpireStep():
            return _fail_finally(state, command.step, _total_timeout(state, command.step))
        case InterruptJob():
            assert state.running_total == 0
            return [JobInterrupted(signal=command.signal)]
        case CancelJob():
            cancelled = JobCancelled(signal_id=command.signal_id, reason=command.reason)
            return [*_cut_by_crash(state), cancelled]
        case TimeOutJob():
            assert state.running_total == 0
            return _time_out(state)
        case Settle():
            return _settle(state)
        case _:
            assert_never(command)


def retries(state: JobState, step_id: str, failed: Failed) -> bool:
    """Whether the spec lets the step be tried again after this failure."""
    definition = state.graph.steps[step_id]
    if failed.final or state.steps[step_id].failures + 1 >= definition.retry.max_attempts:
        return False
    if definition.retry_on:
        return failed.kind in definition.retry_on
    return failed.kind not in ("template", "path", "environment")


def _resume(state: JobState, command: ResumeJob) -> list[AnyEvent]:
    assert state.status in ("running", "stopped", "failed", "cancelled")
    resumed = JobResumed(
        owner=command.owner,
        provider=command.provider,
        replies=command.replies,
        timeout_s=command.timeout_s,
        signal_id=command.signal_id,
        only=command.only,
    )
    # What was in flight when the last owner died has said nothing; it starts again.
    return [resumed, *_cut_by_crash(state)]


def _cut_by_crash(state: JobState) -> list[StepInterrupted]:
    """An end for each attempt that was running when the last owner died; a live one has none."""
    return [
        StepInterrupted(step=step_id, attempt=step.attempts, reason="crash")
        for step_id, step in state.steps.items()
        if step.status == "running"
    ]


def _record_call(state: JobState, command: RecordCall) -> list[AnyEvent]:
    event = command.event
    step = state.steps[event.step]
    assert step.status == "running"
    assert step.attempts == event.attempt
    if isinstance(event, LlmResponded | LlmFailed):
        return [event, *circuit_events(state, event, command.now)]
    return [event]


def _start_attempt(state: JobState, command: StartAttempt) -> list[AnyEvent]:
    definition = state.graph.steps[command.step]
    step = state.steps[command.step]
    assert step.status in ("pending", "waiting")
    assert step.needs_left == 0
    deadline_at = step.deadline_at
    if deadline_at is None and definition.total_timeout_s is not None:
        deadline_at = command.now + definition.total_timeout_s
    started = StepStarted(
        step=command.step,
        attempt=step.attempts + 1,
        kind=definition.kind,
        needs=definition.needs,
        deadline_at=deadline_at,
        cache_key=command.cache_key,
    )
    lane = state.lane_of(command.step)
    place = pick_target(state, lane, command.now) if state.routes[lane] else 0
    assert place is not None, "only a step whose target may be asked is ready"
    if place == 0:
        return [started]
    return [_switch(state, command.step, place, "its circuit is open"), started]


def _switch(state: JobState, step_id: str, places: int, message: str) -> StepSwitched:
    """The step goes on with the target that stands `places` further in its list."""
    step = state.steps[step_id]
    route = state.routes[state.lane_of(step_id)]
    return StepSwitched(
        step=step_id,
        attempt=step.attempts,
        fallback=step.fallback + places,
        from_target=route[0].name,
        to_target=route[places].name,
        provider=route[places].provider,
        model=route[places].model,
        message=message,
    )


def _finish_attempt(state: JobState, command: FinishAttempt) -> list[AnyEvent]:
    step = state.steps[command.step]
    assert step.status == "running"
    assert step.attempts == command.attempt
    outcome = with_file_conflicts(state, command.step, command.outcome)
    match outcome:
        case Succeeded():
            return [
                *file_events(step, command, outcome),
                StepSucceeded(
                    step=command.step,
                    attempt=command.attempt,
                    output=outcome.output,
                    duration_s=outcome.duration_s,
                    log=outcome.log,
                    artifacts=outcome.artifacts,
                    warning=outcome.warning,
                ),
            ]
        case Interrupted():
            return [
                StepInterrupted(
                    step=command.step,
                    attempt=command.attempt,
                    reason=outcome.reason,
                    duration_s=outcome.duration_s,
                    log=outcome.log,
                )
            ]
        case Failed():
            return _finish_failed(state, command, outcome)
        case _:
            assert_never(outcome)


def _finish_failed(state: JobState, command: FinishAttempt, failed: Failed) -> list[AnyEvent]:
    step_id = command.step
    is_retried = retries(state, step_id, failed)
    wait_s = command.wait_s if is_retried else 0.0
    is_switched = not is_retried and _has_fallback(state, step_id, failed)
    retry_at = command.now + wait_s
    deadline_at = state.steps[step_id].deadline_at
    in_time = deadline_at is None or retry_at < deadline_at
    if not in_time or not (is_retried or is_switched):
        return _fail_finally(state, step_id, failed)
    event = _failed_event(state, step_id, failed, wait_s=wait_s, retry_at=retry_at)
    if not is_switched:
        return [event]
    return [event, _switch(state, step_id, 1, f"{failed.kind}: {failed.message}")]


def _has_fallback(state: JobState, step_id: str, failed: Failed) -> bool:
    if failed.final or failed.kind not in _SWITCHED_ON:
        return False
    return len(state.routes[state.lane_of(step_id)]) > 1


def _fail_finally(state: JobState, step_id: str, failed: Failed) -> list[AnyEvent]:
    tolerated = failed.tolerable and state.graph.steps[step_id].continue_on_error
    event = _failed_event(state, step_id, failed, tolerated=tolerated)
    if tolerated:
        return [event]
    return [event, *_skip_downstream(state, step_id)]


def _failed_event(
    state: JobState,
    step_id: str,
    failed: Failed,
    *,
    wait_s: float | None = None,
    retry_at: float | None = None,
    tolerated: bool = False,
) -> StepFailed:
    return StepFailed(
        step=step_id,
        attempt=state.steps[step_id].attempts,
        kind=failed.kind,
        message=failed.message,
        duration_s=failed.duration_s,
        delay_s=wait_s,
        retry_at=retry_at,
        tolerated=tolerated or None,
        on_content=failed.on_content or None,
        exit_code=failed.exit_code,
        signal=failed.signal,
        log=failed.log,
        artifacts=failed.artifacts,
    )


def _skip_downstream(state: JobState, step_id: str) -> list[AnyEvent]:
    """Everything that waits for the failed step, directly or not, in breadth-first order."""
    skipped: dict[str, StepSkipped] = {}
    queue = deque([step_id])
    while queue:
        name = queue.popleft()
        for dependent in state.graph.dependents[name]:
            if dependent in skipped or state.steps[dependent].status != "pending":
                continue
            reason: SkipReason = "dependency_failed" if name == step_id else "dependency_skipped"
            skipped[dependent] = StepSkipped(step=dependent, reason=reason, because=(name,))
            queue.append(dependent)
    return list(skipped.values())


def _total_timeout(state: JobState, step_id: str) -> Failed:
    total_s = state.graph.steps[step_id].total_timeout_s or 0.0
    last = state.steps[step_id].failure
    after = f"; the last attempt failed: {last.message}" if last else ""
    return Failed(
        kind="timeout",
        message=f"its total_timeout of {format_duration(total_s)} is over{after}",
        duration_s=0.0,
        final=True,
    )


def _time_out(state: JobState) -> list[AnyEvent]:
    message = f"the job's timeout of {format_duration(state.timeout_s or 0.0)} is over"
    events: list[AnyEvent] = []
    for step_id, step in state.steps.items():
        if step.status in ("pending", "waiting"):
            events.append(StepSkipped(step=step_id, reason="job_timeout", because=()))
    failures = [Failure(kind="timeout", message=message), *state.failed.values()]
    events.append(JobFailed(failures=tuple(failures[:FAILURES_MAX]), failures_total=len(failures)))
    return events


def _settle(state: JobState) -> list[AnyEvent]:
    if state.status != "running":
        return []
    if state.unfinished:
        return [*stop_when_reached(state)]
    if not state.failed:
        return [JobSucceeded()]
    failures = tuple(state.failed.values())
    return [JobFailed(failures=failures[:FAILURES_MAX], failures_total=len(failures))]
