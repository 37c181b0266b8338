"""Which step is next: lanes of ready steps under their limits, and the times of waiting ones.

A lane is a provider, or none. Entries of lanes and heaps are never searched for:
one that no longer holds is passed over when it comes up.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

from scheduler.core.job_state import JobState, StepState


def ready(state: JobState, now: float) -> Iterator[str]:
    """The steps that may start now, longest ready first, as many as the limits have room for.

    `now` is in seconds since 1970. Start none but in this order, or all of them.
    """
    _wake(state, now)
    limits = state.definition.concurrency
    room = limits["total"] - state.running_total
    heads: list[tuple[int, str, str, Iterator[tuple[int, str]], int]] = []
    entries: Iterator[tuple[int, str]]
    for lane, queue in state.lanes.items():
        lane_room = limits[lane] - state.running.get(lane, 0) if lane in limits else room
        while queue and not _is_queued(state, queue[0]):
            queue.popleft()
        if queue and lane_room > 0:
            entries = (entry for entry in queue if _is_queued(state, entry))
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


def leave_running(state: JobState, step_id: str) -> StepState:
    lane = state.lane_of(step_id)
    state.running[lane] -= 1
    state.running_total -= 1
    return state.steps[step_id]


def wait(state: JobState, step_id: str, retry_at: float, delay_s: float) -> None:
    step = state.steps[step_id]
    step.status = "waiting"
    step.retry_at = retry_at
    step.delay_s = delay_s
    heapq.heappush(state._retries, (retry_at, step_id))
    if step.deadline_at is not None:
        heapq.heappush(state._deadlines, (step.deadline_at, step_id))


def enqueue(state: JobState, step_id: str) -> None:
    lane = state.lane_of(step_id)
    queue = state.lanes.setdefault(lane, deque())
    state._ticket += 1
    state.steps[step_id].ticket = state._ticket
    queue.append((state._ticket, step_id))


def leave_queue(state: JobState, step_id: str) -> None:
    """The step is not to be started; its entry is passed over when it comes up."""
    state.steps[step_id].ticket = 0


def _is_queued(state: JobState, entry: tuple[int, str]) -> bool:
    ticket, step_id = entry
    return state.steps[step_id].ticket == ticket


def _wake(state: JobState, now: float) -> None:
    while state._retries and state._retries[0][0] <= now:
        retry_at, step_id = heapq.heappop(state._retries)
        if _is_waiting(state, retry_at, step_id):
            # Still `waiting` to every reader: only step.started makes it run.
            enqueue(state, step_id)


def _is_waiting(state: JobState, retry_at: float, step_id: str) -> bool:
    step = state.steps[step_id]
    return step.status == "waiting" and step.retry_at == retry_at


def _has_deadline(state: JobState, deadline_at: float, step_id: str) -> bool:
    step = state.steps[step_id]
    return step.status in ("waiting", "pending") and step.deadline_at == deadline_at


def clear_queues(state: JobState) -> None:
    state.lanes.clear()
    for step in state.steps.values():
        step.ticket = 0
    state.running.clear()
    state.running_total = 0
    state._retries.clear()
    state._deadlines.clear()
