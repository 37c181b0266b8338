"""The state of a job as a fold of its events.

`evolve` changes the state that it is given, in time that does not grow with
the number of steps; purity here means no I/O, no clock and no chance.
"""

from __future__ import annotations

import heapq
from datetime import datetime
from typing import assert_never

from ledger.events import (
    CacheHit,
    Failure,
    FileRef,
    FileWritten,
    JobCancelled,
    JobFailed,
    JobInterrupted,
    JobResumed,
    JobStarted,
    JobSubmitted,
    JobSucceeded,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Recorded,
    StepFailed,
    StepInterrupted,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from scheduler.core.graph import Graph
from scheduler.core.job_state import CommittedReply, JobState, JobStatus, StepState, StepStatus
from scheduler.core.queues import (
    clear_queues,
    enqueue,
    expired,
    leave_queue,
    leave_running,
    next_due,
    ready,
    wait,
)
from scheduler.core.resolved import REPLAY, JobDef

__all__ = [
    "JobState",
    "StepState",
    "evolve",
    "expired",
    "initial_state",
    "next_due",
    "ready",
]


def initial_state(definition: JobDef, graph: Graph) -> JobState:
    """A job before its first event."""
    steps = {
        step_id: StepState(index=index, needs_left=len(graph.needs[step_id]))
        for index, step_id in enumerate(graph.steps)
    }
    return JobState(
        definition=definition,
        graph=graph,
        steps=steps,
        lanes={},
        project=definition.project,
        timeout_s=definition.timeout_s,
        unfinished=len(steps),
    )


def evolve(state: JobState, recorded: Recorded) -> JobState:
    """The state after the event: the same object, changed. Accepts every event ever recorded."""
    before_at, state.last_at = state.last_at, recorded.recorded_at
    state.version = recorded.version
    event = recorded.event
    match event:
        case StepStarted():
            _step_started(state, event)
        case StepSucceeded():
            step = leave_running(state, event.step)
            step.output = event.output
            step.replies.clear()
            _end(state, event.step, "succeeded")
            _open_dependents(state, event.step)
        case StepFailed():
            _step_failed(state, event)
        case StepSkipped():
            state.steps[event.step].skipped = event.reason
            _end(state, event.step, "skipped")
        case StepInterrupted():
            step = leave_running(state, event.step)
            step.status = "pending"
            if step.deadline_at is not None:
                heapq.heappush(state._deadlines, (step.deadline_at, event.step))
            enqueue(state, event.step)
        case LlmRequested() | CacheHit():
            pass
        case LlmResponded():
            step = state.steps[event.step]
            step.calls_ended += 1
            step.calls_recorded += 1
            step.replies.append(
                CommittedReply(recorded.version, event.request_sha256, event.reply, event.provider)
            )
        case LlmFailed():
            step = state.steps[event.step]
            step.calls_ended += 1
            # A failure of a real provider uses up no recorded reply; a recorded failure does.
            step.calls_recorded += event.provider == REPLAY
        case FileWritten():
            state.file_owners[event.path] = event.step
            state.file_names.add(event.path)
            state.steps[event.step].files[event.path] = FileRef(
                path=event.path,
                sha256=event.sha256,
                size_bytes=event.size_bytes,
                media_type=event.media_type,
            )
        case JobSubmitted():
            state.submitted = event
            state.replies = event.replies
            _enqueue_roots(state)
        case JobStarted():
            state.status = "running"
            state.owned_since = recorded.recorded_at
        case JobResumed():
            _job_resumed(state, event, recorded.recorded_at, before_at)
        case JobInterrupted():
            state.stopped_by = event.signal
            _stop(state, "stopped")
        case JobSucceeded():
            _stop(state, "succeeded")
        case JobFailed():
            of_job = (failure for failure in event.failures if failure.step is None)
            state.job_failure = next(of_job, None)
            _stop(state, "failed")
        case JobCancelled():
            _job_cancelled(state, event)
        case _:
            assert_never(event)
    return state


def _step_started(state: JobState, event: StepStarted) -> None:
    step_id = event.step
    step = state.steps[step_id]
    lane = state.lane_of(step_id)
    leave_queue(state, step_id)
    step.status = "running"
    step.attempts = event.attempt
    step.retry_at = step.delay_s = None
    if event.deadline_at is not None:
        step.deadline_at = event.deadline_at
    state.running[lane] = state.running.get(lane, 0) + 1
    state.running_total += 1


def _step_failed(state: JobState, event: StepFailed) -> None:
    step = state.steps[event.step]
    if step.status == "running":
        leave_running(state, event.step)
    else:
        leave_queue(state, event.step)
    step.failures += 1
    step.failure = Failure(step=event.step, kind=event.kind, message=event.message)
    if event.on_content:
        step.replies.clear()
    if event.retry_at is not None and event.delay_s is not None:
        wait(state, event.step, event.retry_at, event.delay_s)
        return
    step.tolerated = bool(event.tolerated)
    _end(state, event.step, "failed")
    if step.tolerated:
        _open_dependents(state, event.step)
    else:
        state.failed[event.step] = step.failure


def _end(state: JobState, step_id: str, status: StepStatus) -> None:
    step = state.steps[step_id]
    state.unfinished -= 1
    step.status = status
    step.retry_at = step.delay_s = step.deadline_at = None


def _open_dependents(state: JobState, step_id: str) -> None:
    for name in state.graph.dependents[step_id]:
        step = state.steps[name]
        step.needs_left -= 1
        if step.needs_left == 0 and step.status == "pending":
            enqueue(state, name)


def _stop(state: JobState, status: JobStatus) -> None:
    state.status = status
    state.owned_s += _seconds_between(state.owned_since, state.last_at)
    state.owned_since = None


def _job_cancelled(state: JobState, event: JobCancelled) -> None:
    _stop(state, "cancelled")
    state.signal_seen = max(state.signal_seen, event.signal_id or 0)
    for step in state.steps.values():
        if step.status in ("pending", "running", "waiting"):
            step.status = "cancelled"
            step.retry_at = step.delay_s = step.deadline_at = None
    state.unfinished = 0
    clear_queues(state)


def _job_resumed(state: JobState, event: JobResumed, recorded_at: str, before_at: str) -> None:
    if state.owned_since is not None:
        # The last owner died without a word: its time ran to its last event.
        state.owned_s += _seconds_between(state.owned_since, before_at)
    state.status = "running"
    state.stopped_by = None
    state.job_failure = None
    state.owned_since = recorded_at
    if event.timeout_s is not None:
        state.timeout_s = event.timeout_s
    if event.replies is not None:
        state.replies = event.replies
    state.provider_override = event.provider
    state.signal_seen = max(state.signal_seen, event.signal_id or 0)
    _reopen(state, _epoch(recorded_at))


def _reopen(state: JobState, now: float) -> None:
    """Open what has not succeeded, and rebuild the indexes; in-flight steps stay `running`."""
    clear_queues(state)
    state.failed.clear()
    state.unfinished = 0
    done = {
        step_id
        for step_id, step in state.steps.items()
        if step.status == "succeeded" or (step.status == "failed" and step.tolerated)
    }
    for step_id, step in state.steps.items():
        if step_id in done:
            continue
        state.unfinished += 1
        step.needs_left = sum(1 for name in state.graph.needs[step_id] if name not in done)
        if step.status in ("failed", "cancelled", "skipped"):
            step.status = "pending"
            step.failures = 0
            step.failure = step.skipped = None
        _clamp_deadline(state, step_id, now)
        if step.status == "running":
            lane = state.lane_of(step_id)
            state.running[lane] = state.running.get(lane, 0) + 1
            state.running_total += 1
        elif step.status == "waiting":
            _clamp(state, step_id, now)
        elif step.needs_left == 0:
            enqueue(state, step_id)


def _clamp(state: JobState, step_id: str, now: float) -> None:
    """A recorded time is trusted no further than its own length from now: clocks jump."""
    step = state.steps[step_id]
    delay_s = step.delay_s or 0.0
    retry_at = step.retry_at if step.retry_at is not None else now
    wait(state, step_id, min(retry_at, now + delay_s), delay_s)


def _clamp_deadline(state: JobState, step_id: str, now: float) -> None:
    step = state.steps[step_id]
    total_s = state.graph.steps[step_id].total_timeout_s
    if step.deadline_at is None or total_s is None:
        return
    step.deadline_at = min(step.deadline_at, now + total_s)
    if step.status == "pending":
        heapq.heappush(state._deadlines, (step.deadline_at, step_id))


def _enqueue_roots(state: JobState) -> None:
    for step_id, step in state.steps.items():
        if step.needs_left == 0:
            enqueue(state, step_id)


def _seconds_between(start: str | None, end: str) -> float:
    return 0.0 if start is None else max(0.0, _epoch(end) - _epoch(start))


def _epoch(recorded_at: str) -> float:
    return datetime.fromisoformat(recorded_at).timestamp()
