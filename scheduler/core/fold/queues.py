"""Which step is next: lanes of ready steps under their limits, and the times of waiting ones.

A lane holds the steps that may ask the same targets in the same order, or none.
Entries of lanes and heaps are never searched for:
one that no longer holds is passed over when it comes up.
"""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import Callable, Iterator

from orc.ledger.kinds import NOT_RUNNING
from orc.scheduler.core.fold.doubt import is_held_back
from orc.scheduler.core.fold.limits import pick_target, room_of, step_left
from orc.scheduler.core.fold.questions import next_expiry
from orc.scheduler.core.fold.state import JobState, StepState

Room = Callable[[str], int]
"""How many more steps may ask a provider, by what the state does not know: rates."""


def _unbounded(_provider: str) -> int:
    return sys.maxsize


def ready(state: JobState, now: float, *, room: Room = _unbounded) -> Iterator[str]:
    """The steps that may start now, longest ready first, as many as the limits have room for.

    `now` is in seconds since 1970. Start none but in this order, or all of them.
    """
    _wake(state, now)
    left = state.definition.concurrency["total"] - state.running_total
    rooms: dict[str, int] = {}
    probing: set[str] = set()
    heads: list[tuple[int, str, str, Iterator[tuple[int, str]]]] = []
    entries: Iterator[tuple[int, str]]
    for lane, queue in state.lanes.items():
        while queue and not _is_queued(state, queue[0]):
            queue.popleft()
        if queue:
            entries = (entry for entry in queue if _is_queued(state, entry))
            heads.append((*next(entries), lane, entries))
    heapq.heapify(heads)
    while heads and left > 0:
        _, step_id, lane, entries = heapq.heappop(heads)
        if state.routes[lane] and not _take_room(state, lane, now, rooms, probing, room):
            continue
        yield step_id
        left -= 1
        following = next(entries, None)
        if following is not None:
            heapq.heappush(heads, (*following, lane, entries))


def _take_room(
    state: JobState,
    lane: str,
    now: float,
    rooms: dict[str, int],
    probing: set[str],
    room: Room,
) -> bool:
    place = pick_target(state, lane, now, probing=probing)
    if place is None:
        return False
    target = state.routes[lane][place]
    provider = target.provider
    if provider not in rooms:
        rooms[provider] = min(room_of(state, provider), room(provider))
    if rooms[provider] <= 0:
        return False
    rooms[provider] -= 1
    circuit = state.circuits.get(target.name)
    if circuit is not None and circuit.retry_at is not None:
        probing.add(target.name)
    return True


def next_due(state: JobState, now: float) -> float | None:
    """When a waiting step has to be looked at next, after `ready` was asked at `now`.

    Both in seconds since 1970.
    """
    times = [
        circuit.retry_at
        for circuit in state.circuits.values()
        if circuit.retry_at is not None and circuit.retry_at > now
    ]
    expiry = next_expiry(state)
    if expiry is not None:
        times.append(expiry)
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


def became_ready(state: JobState, step_id: str) -> None:
    """All that the step waits for has ended: it may start, or has to be looked at first."""
    if not state.wants(step_id):
        return
    if state.graph.steps[step_id].is_plain:
        go_on(state, step_id)
    else:
        state.due.append(step_id)


def go_on(state: JobState, step_id: str) -> None:
    """The step, which nothing has to be judged of, may start; one in doubt is looked at.

    Not one whose needs are open again: it is told when they have ended.
    """
    if state.steps[step_id].needs_left or not state.wants(step_id):
        return
    if is_held_back(state, step_id):
        state.due.append(step_id)
    else:
        enqueue(state, step_id)


def takes_slot(state: JobState, step_id: str) -> bool:
    """Whether the step counts against the limits while it runs: not if it holds others, or asks."""
    definition = state.graph.steps[step_id]
    return definition.shape is None and definition.facts.holds_slot


def is_at_rest(state: JobState) -> bool:
    """Whether nothing goes on by itself any more, and persons are asked."""
    if not (state.questions or state.short) or state.running_total or state.due:
        return False
    if any(_is_queued(state, entry) for queue in state.lanes.values() for entry in queue):
        return False
    return not any(_is_waiting(state, *entry) for entry in state._retries)


def enter_running(state: JobState, step_id: str) -> None:
    provider = state.provider_of(step_id)
    state.running[provider] = state.running.get(provider, 0) + 1
    state.running_total += 1


def leave_running(state: JobState, step_id: str) -> StepState:
    state.running[state.provider_of(step_id)] -= 1
    state.running_total -= 1
    step_left(state, step_id)
    return state.steps[step_id]


def wait(state: JobState, step_id: str, retry_at: float, delay_s: float) -> None:
    step = state.steps[step_id]
    step.status = "waiting"
    step.waits_for = "retry"
    step.retry_at = retry_at
    step.delay_s = delay_s
    heapq.heappush(state._retries, (retry_at, step_id))
    if step.deadline_at is not None:
        heapq.heappush(state._deadlines, (step.deadline_at, step_id))


def enqueue(state: JobState, step_id: str) -> None:
    if not state.wants(step_id):
        return
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
    return step.status in NOT_RUNNING and step.deadline_at == deadline_at


def clear_queues(state: JobState) -> None:
    state.lanes.clear()
    for step in state.steps.values():
        step.ticket = 0
    state.running.clear()
    state.running_total = 0
    state.due.clear()
    state.questions.clear()
    state.short.clear()
    state._expiries.clear()
    state._retries.clear()
    state._deadlines.clear()
