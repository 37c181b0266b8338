"""Deadlines that count until the work ends, not until orc looks.

orc may be away when a deadline passes: suspended, stopped, or busy with something else. What the work
did meanwhile (a reply that arrived, a command that ended) lies ready and is seen as soon as orc looks.
trio would cancel the work before that. So a deadline that passed while orc was away is acted on only
after a short look. Times are on trio's clock, which does not count while the machine sleeps.
"""

from __future__ import annotations

import heapq
import math
import time
from itertools import count
from types import TracebackType
from typing import Self

import trio

AWAY_S = 0.05
"""A task that wakes so much later than planned was away."""
LOOK_S = 0.5
"""How long orc looks at what happened meanwhile, before it judges."""
_SWEEP_MIN = 1000


class LookingClock(trio.abc.Clock):
    """A clock with which trio looks at its sockets before it acts on deadlines that have passed.

    If the process was stopped, the wait for sockets ends without telling what came meanwhile. So the
    look at the clock after a wait gives the time before it; trio then polls once more. That covers
    the deadlines of libraries, too, such as the limit on how long a server may send nothing.
    """

    def __init__(self) -> None:
        self._before: float | None = None

    def start_clock(self) -> None:
        """Nothing: this clock always goes."""

    def current_time(self) -> float:
        before, self._before = self._before, None
        return time.perf_counter() if before is None else before

    def deadline_to_sleep_time(self, deadline: float) -> float:
        now = time.perf_counter()
        self._before = now if deadline > now else None
        return deadline - now


class Cut:
    """A block that is cancelled at its deadline, unless `disarm` was called before."""

    def __init__(self, at: float) -> None:
        self.is_armed = True
        self._at = at
        self._scope: trio.CancelScope | None = None

    def __enter__(self) -> Self:
        if self._at != math.inf:
            keeper = _keeper()
            self._scope = trio.CancelScope()
            self._scope.__enter__()
            keeper.add(self._at, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.disarm()
        return self._scope is not None and self._scope.__exit__(kind, error, trace)

    def disarm(self) -> None:
        """The work has ended: the deadline does not matter any more."""
        self.is_armed = False

    @property
    def is_over(self) -> bool:
        """Whether the block was cut by its deadline."""
        return self._scope is not None and self._scope.cancelled_caught

    def act(self) -> None:
        """Cancel the block, if the deadline still matters."""
        if self.is_armed and self._scope is not None:
            self._scope.cancel()


def cut_at(at: float) -> Cut:
    """Cancel the block at that time; see above. `at` may be infinite."""
    return Cut(at)


class Look:
    """Whether a loop that waits for deadlines was away at one, and now looks at what happened."""

    def __init__(self) -> None:
        self._until = -math.inf

    @property
    def is_on(self) -> bool:
        """Whether no deadline may be acted on yet."""
        return trio.current_time() < self._until

    def put_off(self, wake: float) -> float:
        """When the loop that wants to wake at that time should wake: not before the look ends."""
        return max(wake, self._until)

    def woke(self, wake: float) -> None:
        """Begin to look if the loop woke late, unless it has just looked."""
        now = trio.current_time()
        if wake != self._until and now - wake > AWAY_S:
            self._until = now + LOOK_S


class _Keeper:
    """Acts on all deadlines of one `trio.run`, in one task."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Cut]] = []
        self._numbers = count()
        self._added = 0
        self._sleep: trio.CancelScope | None = None
        trio.lowlevel.spawn_system_task(self._run)

    def add(self, at: float, cut: Cut) -> None:
        self._added += 1
        if self._added > max(_SWEEP_MIN, len(self._heap) // 2):
            # Most blocks end long before their deadline.
            self._heap = [entry for entry in self._heap if entry[2].is_armed]
            heapq.heapify(self._heap)
            self._added = 0
        heapq.heappush(self._heap, (at, next(self._numbers), cut))
        if self._heap[0][2] is cut and self._sleep is not None:
            self._sleep.cancel()

    async def _run(self) -> None:
        while True:
            while self._heap and not self._heap[0][2].is_armed:
                heapq.heappop(self._heap)
            at = self._heap[0][0] if self._heap else math.inf
            with trio.CancelScope(deadline=at) as self._sleep:
                await trio.sleep_forever()
            now = trio.current_time()
            if now < at:
                continue
            if now - at > AWAY_S:
                await trio.sleep(LOOK_S)
            while self._heap and self._heap[0][0] <= now:
                _, _, cut = heapq.heappop(self._heap)
                cut.act()


_KEEPER: trio.lowlevel.RunVar[_Keeper] = trio.lowlevel.RunVar("orc deadlines")


def _keeper() -> _Keeper:
    try:
        return _KEEPER.get()
    except LookupError:
        keeper = _Keeper()
        _KEEPER.set(keeper)
        return keeper
