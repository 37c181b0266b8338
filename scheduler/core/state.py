"""The state of a job: a fold of its events, and which steps are ready in it.

`evolve` changes the state that it is given, in time that does not grow with
the number of steps; purity here means no I/O, no clock and no chance.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, assert_never

from ledger.digest import Digest
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
    Payload,
    Recorded,
    SkipReason,
    StepFailed,
    StepInterrupted,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from scheduler.core.graph import Graph
from scheduler.core.resolved import REPLAY, JobDef

StepStatus = Literal["pending", "running", "waiting", "succeeded", "failed", "skipped", "cancelled"]
JobStatus = Literal["submitted", "running", "stopped", "succeeded", "failed", "cancelled"]
"""`stopped` is not ended and no owner has said that it runs it; readers show it as interrupted."""


@dataclass(frozen=True, slots=True)
class CommittedReply:
    """A reply that the ledger holds, which a later attempt may be answered from."""

    version: int
    request_sha256: Digest
    reply: Payload
    provider: str


@dataclass(slots=True)
class StepState:
    """One step, now.

    `needs_left` counts the needs that have not yet ended well enough for it,
    `calls_recorded` the calls that recorded replies would have answered so far.
    """

    index: int
    needs_left: int
    status: StepStatus = "pending"
    attempts: int = 0
    failures: int = 0
    output: Payload | None = None
    failure: Failure | None = None
    tolerated: bool = False
    skipped: SkipReason | None = None
    retry_at: float | None = None
    delay_s: float | None = None
    deadline_at: float | None = None
    calls_ended: int = 0
    calls_recorded: int = 0
    replies: list[CommittedReply] = field(default_factory=list)
    files: dict[str, FileRef] = field(default_factory=dict)


@dataclass(slots=True)
class JobState:
    """A job, now: what its events say, and the indexes that keep each question cheap."""

    definition: JobDef
    graph: Graph
    steps: dict[str, StepState]
    lanes: dict[str, deque[tuple[int, str]]]
    version: int = 0
    status: JobStatus = "submitted"
    project: str = ""
    submitted: JobSubmitted | None = None
    timeout_s: float | None = None
    provider_override: str | None = None
    replies: Payload | None = None
    file_owners: dict[str, str] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    running_total: int = 0
    unfinished: int = 0
    failed: dict[str, Failure] = field(default_factory=dict)
    job_failure: Failure | None = None
    owned_s: float = 0.0
    owned_since: str | None = None
    last_at: str = ""
    signal_seen: int = 0
    stopped_by: str | None = None
    _retries: list[tuple[float, str]] = field(default_factory=list)
    _deadlines: list[tuple[float, str]] = field(default_factory=list)
    _ticket: int = 0

    def lane_of(self, step_id: str) -> str:
        """The limit that the step counts against besides the total: its provider, or none."""
        provider = self.graph.steps[step_id].provider
        if provider is None:
            return ""
        return self.provider_override or provider

    def files(self) -> Iterator[FileRef]:
        """Every file that steps have written, as it is now."""
        for path, step_id in self.file_owners.items():
            yield self.steps[step_id].files[path]

    def summary(self) -> dict[str, Any]:
        """All that decides what happens next, as plain values: equal states have equal summaries."""
        return {
            "status": self.status,
            "version": self.version,
            "unfinished": self.unfinished,
            "running": {lane: count for lane, count in sorted(self.running.items()) if count},
            "failed": sorted(self.failed),
            "file_owners": dict(sorted(self.file_owners.items())),
            "steps": {
                step_id: (
                    step.status,
                    step.attempts,
                    step.failures,
                    step.needs_left,
                    step.output,
                    step.failure,
                    step.calls_ended,
                    len(step.replies),
                    step.retry_at,
                    step.deadline_at,
                )
                for step_id, step in self.steps.items()
            },
        }


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


def ready(state: JobState, now: float) -> Iterator[str]:
    """The steps that may start now, longest ready first, as many as the limits have room for.

    `now` is in seconds since 1970. Start none but in this order, or all of them.
    """
    _wake(state, now)
    limits = state.definition.concurrency
    room = limits["total"] - state.running_total
    heads: list[tuple[int, str, str, Iterator[tuple[int, str]], int]] = []
    for lane, queue in state.lanes.items():
        lane_room = limits[lane] - state.running.get(lane, 0) if lane in limits else room
        if queue and lane_room > 0:
            entries = iter(queue)
            heads.append((*next(entries), lane, entries, lane_room))
    heapq.heapify(heads)
    while heads and room > 0:
        _, step_id, lane, entries, lane_room = heapq.heappop(heads)
        yield step_id
        room -= 1
        following = next(entries, None)
        if following is not None and lane_room > 1:
            heapq.heappush(heads, (*following, lane, entries, lane_room - 1))


def next_due(state: JobState) -> float | None:
    """When a waiting step has to be looked at next, in seconds since 1970."""
    times = []
    while state._retries and not _is_waiting(state, *state._retries[0]):
        heapq.heappop(state._retries)
    if state._retries:
        times.append(state._retries[0][0])
    while state._deadlines and not _has_deadline(state, *state._deadlines[0]):
        heapq.heappop(state._deadlines)
    if state._deadlines:
        times.append(state._deadlines[0][0])
    return min(times, default=None)


def expired(state: JobState, now: float) -> list[str]:
    """The steps whose total time is over while no attempt of theirs runs."""
    found = []
    while state._deadlines and state._deadlines[0][0] <= now:
        deadline, step_id = heapq.heappop(state._deadlines)
        if _has_deadline(state, deadline, step_id):
            found.append(step_id)
    return found


def evolve(state: JobState, recorded: Recorded) -> JobState:
    """The state after the event: the same object, changed. Accepts every event ever recorded."""
    before_at, state.last_at = state.last_at, recorded.recorded_at
    state.version = recorded.version
    event = recorded.event
    match event:
        case StepStarted():
            _step_started(state, event)
        case StepSucceeded():
            step = _leave_running(state, event.step)
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
            step = _leave_running(state, event.step)
            step.status = "pending"
            if step.deadline_at is not None:
                heapq.heappush(state._deadlines, (step.deadline_at, event.step))
            _enqueue(state, event.step)
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
    queue = state.lanes.get(lane)
    if queue and queue[0][1] == step_id:
        queue.popleft()
    else:
        # A retry that is read back was never woken, and is in no lane: only a live clock wakes it.
        _drop_from_lane(state, step_id)
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
        _leave_running(state, event.step)
    else:
        _drop_from_lane(state, event.step)
    step.failures += 1
    step.failure = Failure(step=event.step, kind=event.kind, message=event.message)
    if event.on_content:
        step.replies.clear()
    if event.retry_at is not None and event.delay_s is not None:
        _wait(state, event.step, event.retry_at, event.delay_s)
        return
    step.tolerated = bool(event.tolerated)
    _end(state, event.step, "failed")
    if step.tolerated:
        _open_dependents(state, event.step)
    else:
        state.failed[event.step] = step.failure


def _leave_running(state: JobState, step_id: str) -> StepState:
    lane = state.lane_of(step_id)
    state.running[lane] -= 1
    state.running_total -= 1
    return state.steps[step_id]


def _wait(state: JobState, step_id: str, retry_at: float, delay_s: float) -> None:
    step = state.steps[step_id]
    step.status = "waiting"
    step.retry_at = retry_at
    step.delay_s = delay_s
    heapq.heappush(state._retries, (retry_at, step_id))
    if step.deadline_at is not None:
        heapq.heappush(state._deadlines, (step.deadline_at, step_id))


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
            _enqueue(state, name)


def _enqueue(state: JobState, step_id: str) -> None:
    lane = state.lane_of(step_id)
    queue = state.lanes.setdefault(lane, deque())
    state._ticket += 1
    queue.append((state._ticket, step_id))


def _drop_from_lane(state: JobState, step_id: str) -> None:
    queue = state.lanes.get(state.lane_of(step_id))
    if queue:
        state.lanes[state.lane_of(step_id)] = deque(e for e in queue if e[1] != step_id)


def _wake(state: JobState, now: float) -> None:
    while state._retries and state._retries[0][0] <= now:
        retry_at, step_id = heapq.heappop(state._retries)
        if _is_waiting(state, retry_at, step_id):
            # Still `waiting` to every reader: only step.started makes it run.
            _enqueue(state, step_id)


def _is_waiting(state: JobState, retry_at: float, step_id: str) -> bool:
    step = state.steps[step_id]
    return step.status == "waiting" and step.retry_at == retry_at


def _has_deadline(state: JobState, deadline_at: float, step_id: str) -> bool:
    step = state.steps[step_id]
    return step.status in ("waiting", "pending") and step.deadline_at == deadline_at


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
    _clear_queues(state)


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
    _clear_queues(state)
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
            _enqueue(state, step_id)


def _clamp(state: JobState, step_id: str, now: float) -> None:
    """A recorded time is trusted no further than its own length from now: clocks jump."""
    step = state.steps[step_id]
    delay_s = step.delay_s or 0.0
    retry_at = step.retry_at if step.retry_at is not None else now
    _wait(state, step_id, min(retry_at, now + delay_s), delay_s)


def _clamp_deadline(state: JobState, step_id: str, now: float) -> None:
    step = state.steps[step_id]
    total_s = state.graph.steps[step_id].total_timeout_s
    if step.deadline_at is None or total_s is None:
        return
    step.deadline_at = min(step.deadline_at, now + total_s)
    if step.status == "pending":
        heapq.heappush(state._deadlines, (step.deadline_at, step_id))


def _clear_queues(state: JobState) -> None:
    state.lanes.clear()
    state.running.clear()
    state.running_total = 0
    state._retries.clear()
    state._deadlines.clear()


def _enqueue_roots(state: JobState) -> None:
    for step_id, step in state.steps.items():
        if step.needs_left == 0:
            _enqueue(state, step_id)


def _seconds_between(start: str | None, end: str) -> float:
    return 0.0 if start is None else max(0.0, _epoch(end) - _epoch(start))


def _epoch(recorded_at: str) -> float:
    return datetime.fromisoformat(recorded_at).timestamp()
