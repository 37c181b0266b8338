"""Which step is next: lanes of ready steps under their limits, and the times of waiting ones.

No event records when a waiting step was found to be due, or that a step was looked at. That
is bookkeeping of the process that runs the job, and `WorkQueues` has it, outside of the
state. What the state's events make possible it reads from `JobState.work_items`.

A lane holds the steps that may ask the same targets in the same order, or none. Entries of
lanes and heaps are never searched for: one that no longer holds is passed over when it
comes up.
"""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import Callable, Iterator

from orc.ledger.kinds import NOT_RUNNING
from orc.scheduler.core.commands import DecideApproval, ExpireStep
from orc.scheduler.core.fold.limits import pick_target, room_of
from orc.scheduler.core.fold.questions import REJECT
from orc.scheduler.core.fold.state import JobState, WorkItem

Room = Callable[[str], int]
"""How many more steps may ask a provider, by what the state does not know: rates."""

_Entry = tuple[int, str, int]
"""A place in a lane, the step, and the ticket that it has as long as the entry holds."""
_Timed = tuple[float, str, int]
"""A time in seconds since 1970, the step, and its ticket, where it has one."""


def _unbounded(_provider: str) -> int:
    return sys.maxsize


class WorkQueues:
    """The queues of one job, beside its state, which they read and never change.

    The questions have the same answers until an event changes the state, or until a
    method that says so takes something out or puts something in. Times are in seconds
    since 1970.
    """

    def __init__(self, state: JobState) -> None:
        self._state = state
        self._items: list[WorkItem] = []
        self._items_read = 0
        self._lanes: dict[str, deque[_Entry]] = {}
        self._places: dict[str, int] = {}
        self._last_place = 0
        self._due: deque[str] = deque()
        self._retries: list[_Timed] = []
        self._deadlines: list[_Timed] = []
        self._expiries: list[_Timed] = []

    def wake(self, now: float) -> None:
        """Put the steps whose time to retry has come behind those that are ready."""
        self._catch_up()
        while self._retries and self._retries[0][0] <= now:
            _, step_id, ticket = heapq.heappop(self._retries)
            if self._has_ticket(step_id, ticket):
                # Still `waiting` in the state: only `step.started` makes it run.
                self._put(step_id, ticket)

    def ready(self, now: float, *, room: Room = _unbounded) -> Iterator[str]:
        """The steps that may start now, longest ready first, as many as the limits have room for.

        Waiting steps are among them once `wake` was called. Start none but in this order, or
        all of them.
        """
        self._catch_up()
        state = self._state
        left = state.definition.concurrency["total"] - state.running_total
        rooms: dict[str, int] = {}
        probing: set[str] = set()
        heads: list[tuple[_Entry, str, Iterator[_Entry]]] = []
        entries: Iterator[_Entry]
        for lane, queue in self._lanes.items():
            if queue:
                entries = filter(self._is_queued, queue)
                heads.append((next(entries), lane, entries))
        heapq.heapify(heads)
        while heads and left > 0:
            (_, step_id, _), lane, entries = heapq.heappop(heads)
            if state.routes[lane] and not _take_room(state, lane, now, rooms, probing, room):
                continue
            yield step_id
            left -= 1
            following = next(entries, None)
            if following is not None:
                heapq.heappush(heads, (following, lane, entries))

    def next_due(self, now: float) -> float | None:
        """When a waiting step has to be seen to next, if `ready` was asked at `now`."""
        self._catch_up()
        times = [
            circuit.retry_at
            for circuit in self._state.circuits.values()
            if circuit.retry_at is not None and circuit.retry_at > now
        ]
        heaps = (self._retries, self._deadlines, self._expiries)
        times += [heap[0][0] for heap in heaps if heap]
        return min(times, default=None)

    def waits_for_person_only(self) -> bool:
        """Whether nothing goes on by itself any more, and persons are asked."""
        self._catch_up()
        state = self._state
        if not (state.questions or state.over_budget) or state.running_total or self._due:
            return False
        if any(self._is_queued(entry) for queue in self._lanes.values() for entry in queue):
            return False
        return not any(self._has_ticket(step_id, ticket) for _, step_id, ticket in self._retries)

    def take_due(self) -> list[str]:
        """Take out the steps that have to be looked at: to judge, to expand, to gather."""
        self._catch_up()
        taken = list(self._due)
        self._due.clear()
        return taken

    def add_ready(self, step_id: str) -> None:
        """Put a step that was looked at, and may start, behind those that are ready."""
        self._catch_up()
        self._put(step_id, self._state.steps[step_id].ticket)

    def take_overdue(self, now: float) -> list[ExpireStep | DecideApproval]:
        """Take out the steps whose total time is over, and the questions that have had theirs."""
        self._catch_up()
        overdue: list[ExpireStep | DecideApproval] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            entry = heapq.heappop(self._deadlines)
            if self._has_deadline(entry):
                overdue.append(ExpireStep(entry[1]))
        while self._expiries and self._expiries[0][0] <= now:
            entry = heapq.heappop(self._expiries)
            if self._has_question(entry):
                question = self._state.steps[entry[1]].question
                on_timeout = None if question is None else question.on_timeout
                overdue.append(DecideApproval(entry[1], on_timeout or REJECT))
        return overdue

    def _catch_up(self) -> None:
        """Take in what events have made possible since, and pass over what holds no more."""
        if self._items is not self._state.work_items:
            self._clear()
        for item in self._items[self._items_read :]:
            self._take_in(item)
        self._items_read = len(self._items)
        for queue in self._lanes.values():
            while queue and not self._is_queued(queue[0]):
                queue.popleft()
        while self._retries and not self._has_ticket(*self._retries[0][1:]):
            heapq.heappop(self._retries)
        while self._deadlines and not self._has_deadline(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        while self._expiries and not self._has_question(self._expiries[0]):
            heapq.heappop(self._expiries)

    def _clear(self) -> None:
        """The job was reopened, or has ended: nothing from before holds."""
        self._items = self._state.work_items
        self._items_read = 0
        for queue in (self._lanes, self._places, self._due):
            queue.clear()
        for heap in (self._retries, self._deadlines, self._expiries):
            heap.clear()

    def _take_in(self, item: WorkItem) -> None:
        timed = (item.at, item.step, item.ticket)
        match item.kind:
            case "start":
                if self._has_ticket(item.step, item.ticket):
                    self._put(item.step, item.ticket)
            case "evaluate":
                self._due.append(item.step)
            case "retry":
                heapq.heappush(self._retries, timed)
            case "deadline":
                heapq.heappush(self._deadlines, timed)
            case "expiry":
                heapq.heappush(self._expiries, timed)

    def _put(self, step_id: str, ticket: int) -> None:
        if not self._state.wants(step_id):
            return
        assert ticket, "only a step that an event lets start is queued"
        self._last_place += 1
        self._places[step_id] = self._last_place
        lane = self._lanes.setdefault(self._state.steps[step_id].lane, deque())
        lane.append((self._last_place, step_id, ticket))

    def _is_queued(self, entry: _Entry) -> bool:
        place, step_id, ticket = entry
        return self._places.get(step_id) == place and self._has_ticket(step_id, ticket)

    def _has_ticket(self, step_id: str, ticket: int) -> bool:
        return self._state.steps[step_id].ticket == ticket

    def _has_deadline(self, entry: _Timed) -> bool:
        step = self._state.steps[entry[1]]
        return step.status in NOT_RUNNING and step.deadline_at == entry[0]

    def _has_question(self, entry: _Timed) -> bool:
        question = self._state.steps[entry[1]].question
        return question is not None and question.expires_at == entry[0]


def _take_room(
    state: JobState,
    lane: str,
    now: float,
    rooms: dict[str, int],
    probing: set[str],
    room: Room,
) -> bool:
    """Take one place of the lane's target out of `rooms`, if there is one."""
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
