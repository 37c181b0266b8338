"""The fold of `job.resumed`: what has not succeeded is open again, under limits that start afresh."""

from __future__ import annotations

import heapq
from datetime import datetime

from ledger.events import JobResumed
from scheduler.core.graph import downstream
from scheduler.core.job_state import JobState
from scheduler.core.queues import clear_queues, enqueue, enter_running, wait


def job_resumed(state: JobState, event: JobResumed, recorded_at: str, before_at: str) -> None:
    """Fold the event; `before_at` is the time of the one before it."""
    if state.owned_since is not None:
        # The last owner died without a word: its time ran to its last event.
        state.owned_s += seconds_between(state.owned_since, before_at)
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
    limit_to(state, event.only)
    reopen(state, recorded_at)


def limit_to(state: JobState, names: tuple[str, ...] | None) -> None:
    """From now on only these steps, and what they need, are run; none means all of them."""
    state.only = None if names is None else frozenset(downstream(state.graph.needs, names))
    state.only_left = sum(1 for name in state.only or () if not state.steps[name].is_done)
    for step_id, step in state.steps.items():
        if not state.wants(step_id):
            step.ticket = 0


def reopen(state: JobState, recorded_at: str) -> None:
    """Open what has not succeeded, and rebuild the indexes; in-flight steps stay `running`."""
    now = _epoch(recorded_at)
    clear_queues(state)
    # Whoever resumes a job wants its models to be asked now.
    state.circuits.clear()
    state.adaptive.clear()
    state.failed.clear()
    state.unfinished = 0
    done = {step_id for step_id, step in state.steps.items() if step.is_done}
    for step_id, step in state.steps.items():
        if step_id in done:
            continue
        if step.fallback and not step.replies:
            # There is nothing to go on from: the first of its targets is asked again, as at first.
            step.fallback = step.failures = 0
        step.lane = None
        state.unfinished += 1
        step.needs_left = sum(1 for name in state.graph.needs[step_id] if name not in done)
        if step.status in ("failed", "cancelled", "skipped"):
            step.status = "pending"
            step.failures = 0
            step.failure = step.skipped = None
        _clamp_deadline(state, step_id, now)
        if step.status == "running":
            enter_running(state, step_id)
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


def seconds_between(start: str | None, end: str) -> float:
    """From one recorded time to another; 0 without a start, and where a clock went back."""
    return 0.0 if start is None else max(0.0, _epoch(end) - _epoch(start))


def _epoch(recorded_at: str) -> float:
    return datetime.fromisoformat(recorded_at).timestamp()
