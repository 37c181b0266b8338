"""The queues of ready and waiting steps: which step starts next, and when a waiting one is due.

The queues are bookkeeping of the running process: no event records that a step was evaluated, or
that a waiting step became due. `WorkQueues` therefore keeps them outside the state. It reads new
entries from `JobState.work_items`.

A lane is the queue of the steps with the same route, or of the steps that call no model. Steps
with a named workspace, of which only one may run at a time, have queues of their own, and so have
steps that only compute a value. Entries of
lanes and heaps are never searched for; an entry that is no longer valid is dropped when it
reaches the front.
"""

from __future__ import annotations

import heapq
import math
import sys
from collections import deque
from collections.abc import Callable, Iterator

from orc.ledger.kinds import NOT_RUNNING
from orc.scheduler.core.commands import DecideApproval, ExpireStep
from orc.scheduler.core.fold.batches import BATCHES
from orc.scheduler.core.fold.limits import pick_target, room_at, room_of
from orc.scheduler.core.fold.questions import REJECT
from orc.scheduler.core.fold.state import JobState, WorkItem
from orc.scheduler.core.fold.work import slotless_lane
from orc.scheduler.core.placing_commands import ExpireQueued

Room = Callable[[str], int]
"""How many more steps may call a provider under limits that are not in the state: the rates."""

_Entry = tuple[int, str, int]
"""The entry's number, the step, and its ticket. The entry is valid while the step has the ticket."""
_Lane = tuple[str, str, str, bool]
"""The route's name in the state, the named workspace, and the executor, of which each may be empty,
and whether its steps only compute values."""
_Timed = tuple[float, str, int]
"""A time in seconds since 1970, the step, and its ticket (0 if there is none)."""


Takes = Callable[[str], bool]
"""Takes what the step needs of this machine, if there is room for it."""

MISSES_MAX = 1000
"""How many steps without room are passed over at a time."""


def _always(_step_id: str) -> bool:
    return True


def _unbounded(_provider: str) -> int:
    return sys.maxsize


class WorkQueues:
    """The queues of one job. They read its state and never change it.

    Queries return the same until an event changes the state, or until a method that is named for
    it takes entries out or puts entries in. Times are in seconds since 1970.
    """

    def __init__(self, state: JobState) -> None:
        self._state = state
        self._items: list[WorkItem] = []
        self._items_read = 0
        self._version = -1
        self._lanes: dict[_Lane, deque[_Entry]] = {}
        self._places: dict[str, int] = {}
        self._last_place = 0
        self._due: deque[str] = deque()
        self._retries: list[_Timed] = []
        self._deadlines: list[_Timed] = []
        self._expiries: list[_Timed] = []
        self._queue_ends: list[_Timed] = []

    def wake(self, now: float) -> None:
        """Add the steps whose retry is due to the end of the ready queues."""
        self._catch_up()
        while self._retries and self._retries[0][0] <= now:
            _, step_id, ticket = heapq.heappop(self._retries)
            self._version = -1
            if self._has_ticket(step_id, ticket):
                # The state still says `waiting`, until `step.started`.
                self._put(step_id, ticket)

    def ready(
        self,
        now: float,
        *,
        room: Room = _unbounded,
        takes: Takes = _always,
        with_values: bool = True,
    ) -> Iterator[str]:
        """The steps that may start now within the limits, those that became ready first in front.

        Waiting steps are included after `wake`, and steps that only compute a value if they are asked
        for. A step for which `takes` finds no room lets others
        pass. Start the steps in this order: the room for a
        step is computed under the assumption that all steps before it start.
        """
        self._catch_up()
        state = self._state
        running_here = state.running_total - state.running_slotless
        left = state.definition.concurrency["total"] - running_here
        rooms: dict[str, int] = {}
        probing: set[str] = set()
        busy = set(state.busy_workspaces)
        heads: list[tuple[_Entry, _Lane, Iterator[_Entry]]] = []
        entries: Iterator[_Entry]
        for lane, queue in self._lanes.items():
            if queue and (with_values or not lane[3]):
                entries = filter(self._is_queued, queue)
                heads.append((next(entries), lane, entries))
        heapq.heapify(heads)
        misses = 0
        while heads:
            (_, step_id, _), lane, entries = heapq.heappop(heads)
            route, workspace, executor, _ = lane
            if left <= 0 and not executor:
                continue
            if workspace in busy:
                continue
            if executor and not _take_room_at(state, executor, rooms):
                continue
            asks = state.routes[route] and executor != BATCHES
            if asks and not _take_room(state, route, now, rooms, probing, room):
                continue
            if takes(step_id):
                yield step_id
                left -= not executor
                if workspace:
                    busy.add(workspace)
            else:
                misses += 1
                if misses == MISSES_MAX:
                    return
            following = next(entries, None)
            if following is not None:
                heapq.heappush(heads, (following, lane, entries))

    def has_values_only(self, now: float) -> bool:
        """Whether all steps that are ready or due only compute a value, and there is one."""
        due = self.next_due(-math.inf)
        if due is not None and due <= now:
            return False
        filled = [lane for lane, queue in self._lanes.items() if queue]
        return bool(filled) and all(is_value for *_, is_value in filled)

    def next_due(self, now: float) -> float | None:
        """When the next waiting step is due, if `ready` was called at `now`; None for never."""
        self._catch_up()
        times = [
            circuit.retry_at
            for circuit in self._state.circuits.values()
            if circuit.retry_at is not None and circuit.retry_at > now
        ]
        heaps = (self._retries, self._deadlines, self._expiries, self._queue_ends)
        times += [heap[0][0] for heap in heaps if heap]
        return min(times, default=None)

    def waits_for_person_only(self) -> bool:
        """Whether the job can continue only after a person's decision or a raised budget."""
        self._catch_up()
        state = self._state
        if not (state.questions or state.over_budget) or state.running_total or self._due:
            return False
        if any(self._is_queued(entry) for queue in self._lanes.values() for entry in queue):
            return False
        return not any(self._has_ticket(step_id, ticket) for _, step_id, ticket in self._retries)

    def take_due(self) -> list[str]:
        """Take out the steps that are due for evaluation."""
        self._catch_up()
        taken = list(self._due)
        self._due.clear()
        return taken

    def add_ready(self, step_id: str) -> None:
        """Add an evaluated step that may start to the end of its ready queue."""
        self._catch_up()
        self._put(step_id, self._state.steps[step_id].ticket)

    def take_overdue(self, now: float) -> list[ExpireStep | DecideApproval | ExpireQueued]:
        """Take out waiting steps whose total_timeout is over, questions whose timeout is over, and
        attempts that no worker took in time."""
        self._catch_up()
        overdue: list[ExpireStep | DecideApproval | ExpireQueued] = []
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
        while self._queue_ends and self._queue_ends[0][0] <= now:
            entry = heapq.heappop(self._queue_ends)
            if self._is_queued_until(entry):
                overdue.append(ExpireQueued(entry[1], self._state.steps[entry[1]].attempts))
        if overdue:
            self._version = -1
        return overdue

    def _catch_up(self) -> None:
        """Read the new work items, and drop invalid entries from the fronts."""
        if self._version == self._state.version and self._items is self._state.work_items:
            # Only an event makes an entry invalid; what was taken out since is noted as -1.
            return
        self._version = self._state.version
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
        while self._queue_ends and not self._is_queued_until(self._queue_ends[0]):
            heapq.heappop(self._queue_ends)

    def _clear(self) -> None:
        """Drop all entries, because the job was reopened or has ended."""
        self._items = self._state.work_items
        self._items_read = 0
        for queue in (self._lanes, self._places, self._due):
            queue.clear()
        for heap in (self._retries, self._deadlines, self._expiries, self._queue_ends):
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
            case "queued":
                heapq.heappush(self._queue_ends, timed)

    def _put(self, step_id: str, ticket: int) -> None:
        if not self._state.wants(step_id):
            return
        assert ticket, "only a step with a work item can be queued"
        self._last_place += 1
        self._places[step_id] = self._last_place
        definition = self._state.graph.steps[step_id]
        executor = slotless_lane(self._state, step_id)
        is_value = definition.facts.is_immediate
        name = (self._state.steps[step_id].lane, definition.workspace or "", executor, is_value)
        lane = self._lanes.setdefault(name, deque())
        lane.append((self._last_place, step_id, ticket))

    def _is_queued(self, entry: _Entry) -> bool:
        place, step_id, ticket = entry
        return self._places.get(step_id) == place and self._has_ticket(step_id, ticket)

    def _has_ticket(self, step_id: str, ticket: int) -> bool:
        return self._state.steps[step_id].ticket == ticket

    def _has_deadline(self, entry: _Timed) -> bool:
        step = self._state.steps[entry[1]]
        return step.status in NOT_RUNNING and step.deadline_at == entry[0]

    def _is_queued_until(self, entry: _Timed) -> bool:
        step = self._state.steps[entry[1]]
        return step.status == "running" and step.queue_ends_at == entry[0]

    def _has_question(self, entry: _Timed) -> bool:
        question = self._state.steps[entry[1]].question
        return question is not None and question.expires_at == entry[0]


def _take_room_at(state: JobState, executor: str, rooms: dict[str, int]) -> bool:
    """Take one place at the executor from `rooms`. Returns whether there was one."""
    left = rooms.setdefault(executor, room_at(state, executor))
    rooms[executor] = left - 1
    return left > 0


def _take_room(
    state: JobState,
    lane: str,
    now: float,
    rooms: dict[str, int],
    probing: set[str],
    room: Room,
) -> bool:
    """Take one place for the lane's next target from `rooms`. Returns whether there was one."""
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
