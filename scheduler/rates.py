"""Limits of providers that hold for all jobs of a process: calls and tokens per minute, and slots.

The rates hold over every window of 60 seconds: a call is sent when the calls and tokens of the
last minute leave room for it. The tokens of a call are unknown before its reply; until then the
mean of the earlier calls is used. Times are on trio's clock. The slots limit how many steps that
call a provider run at the same time. Of several jobs' limits on a provider, the smallest holds for
all of them. Circuits, adaptive concurrency and the slots of one job are left to
`core/fold/limits.py`.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import trio
from msgspec import Struct, field

from orc.ledger.definition import JobDef, RateDef

WINDOW_S = 60.0
FIRST_TOKENS = 1000
"""The assumed tokens of a call, until the first call of its provider has ended."""


class _Call(Struct, eq=False):
    """One sent call. It counts against the limits `until` a minute after it was sent."""

    until: float
    tokens: int
    is_counted: bool = True


class _Meter(Struct):
    """One provider: its limits, the calls of the last minute, and the steps that run.

    `places` are reserved for first calls. `slots` is the limit of `running`.
    """

    rate: RateDef = field(default_factory=RateDef)
    slots: int = sys.maxsize
    running: int = 0
    sent: deque[_Call] = field(default_factory=deque)
    tokens: int = 0
    places: int = 0
    settled: int = 0
    settled_tokens: int = 0
    turn: trio.StrictFIFOLock = field(default_factory=trio.StrictFIFOLock)
    changed: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    def expected(self) -> int:
        mean = self.settled_tokens / self.settled if self.settled else FIRST_TOKENS
        return max(1, math.ceil(mean))

    def room(self) -> int:
        """How many calls may be sent now."""
        self._forget_old()
        return self._room_beside(len(self.sent), self.tokens)

    def room_for_steps(self) -> int:
        """How many more steps may start now. The calls of running steps that wait come first."""
        rates = 0 if self.turn.locked() else self.room()
        return max(0, min(rates, self.slots - self.running))

    def next_at(self) -> float:
        """When another step may start; infinity if that depends on a slot or on a reserved place."""
        return math.inf if self.running >= self.slots else self.next_at_for_calls()

    def next_at_for_calls(self) -> float:
        """When the window will have room for a call; infinity if reserved places take all of it."""
        calls, tokens = len(self.sent), self.tokens
        for call in self.sent:
            calls -= 1
            tokens -= call.tokens
            if self._room_beside(calls, tokens):
                return call.until
        return math.inf

    def _room_beside(self, calls: int, tokens: int) -> int:
        """The room beside that usage. A call that is larger than a whole limit is sent alone."""
        requests, limit = self.rate.requests_per_min, self.rate.tokens_per_min
        taken = calls + self.places
        rooms = [sys.maxsize]
        if requests is not None:
            rooms.append(int(max(1.0, requests)) - taken)
        if limit is not None:
            expected = self.expected()
            left = limit - tokens - self.places * expected
            rooms.append(max(0 if taken else 1, int(left // expected)))
        return max(0, min(rooms))

    def _forget_old(self) -> None:
        now = trio.current_time()
        while self.sent and self.sent[0].until <= now:
            call = self.sent.popleft()
            call.is_counted = False
            self.tokens -= call.tokens

    def send(self) -> _Call:
        self._forget_old()
        call = _Call(trio.current_time() + WINDOW_S, self.expected())
        self.sent.append(call)
        self.tokens += call.tokens
        return call


class SharedLimits:
    """The limits of the jobs that run in one process.

    It counts the calls of every provider, so that the limits of a job that joins later hold at once.
    """

    def __init__(self) -> None:
        self._members: list[Rates] = []
        self._meters: dict[str, _Meter] = {}

    def meter(self, provider: str) -> _Meter | None:
        """The meter of a provider; None for a step that calls no model."""
        return self._meters.setdefault(provider, _Meter()) if provider else None

    def join(self, member: Rates) -> None:
        """Apply the limits of a job that starts."""
        self._members.append(member)
        self._apply_limits(member)

    def leave(self, member: Rates) -> None:
        """Apply the limits of a job no longer."""
        if member in self._members:
            self._members.remove(member)
            self._apply_limits(member)
            self.made_room(member)

    def made_room(self, by: Rates) -> None:
        """Wake the other jobs that found no room: there may be some now."""
        for member in self._members:
            if member is not by:
                member.look_again()

    def _apply_limits(self, changed: Rates) -> None:
        for provider in {*changed.rates, *changed.slots}:
            meter = self.meter(provider)
            if meter is None:
                continue
            rates = [found.rates[provider] for found in self._members if provider in found.rates]
            meter.rate = RateDef(
                requests_per_min=_smallest(rate.requests_per_min for rate in rates),
                tokens_per_min=_smallest(rate.tokens_per_min for rate in rates),
            )
            slots = (found.slots.get(provider, sys.maxsize) for found in self._members)
            meter.slots = min(slots, default=sys.maxsize)
            meter.changed.unpark_all()


_Number = TypeVar("_Number", int, float)


def _smallest(limits: Iterable[_Number | None]) -> _Number | None:
    return min((limit for limit in limits if limit is not None), default=None)


class Rates:
    """The limits of one job, which also hold the limits of the jobs that it shares them with.

    A step holds a slot while it runs, and reserves a place from its start to its first call.
    `slots` has the limits of running steps by provider. `on_room` is called when another job has
    made room for which this one waits.
    """

    def __init__(
        self,
        rates: Mapping[str, RateDef],
        slots: Mapping[str, int] | None = None,
        shared: SharedLimits | None = None,
        *,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self.rates = rates
        self.slots = slots or {}
        self._shared = shared or SharedLimits()
        self._on_room = on_room
        self._running: dict[str, _Meter] = {}
        self._places: dict[str, _Meter] = {}
        self._calls: dict[str, tuple[_Meter, _Call]] = {}
        self._full: set[str] = set()
        self._is_short = False
        self._shared.join(self)

    def close(self) -> None:
        """The job has stopped: its steps and limits no longer count. Its calls still do."""
        for step in [*self._running, *self._places]:
            self.release(step)
        self._shared.leave(self)

    def look_again(self) -> None:
        """Another job has made room."""
        if self._is_short:
            self._is_short = False
            self._on_room()

    def room(self, provider: str) -> int:
        """How many more steps that call the provider may start now."""
        meter = self._shared.meter(provider)
        if meter is None:
            return sys.maxsize
        room = meter.room_for_steps()
        if room == 0:
            self._full.add(provider)
            self._is_short = True
        return room

    def next_at(self) -> float:
        """When a provider that had no room will have some, on trio's clock.

        Infinity: not before a step ends, or a reserved place is used or given back.
        """
        full, self._full = self._full, set()
        meters = filter(None, map(self._shared.meter, full))
        return min((meter.next_at() for meter in meters), default=math.inf)

    def reserve(self, provider: str, step: str) -> None:
        """Reserve a slot, and a place for the first call, of a step that starts."""
        meter = self._shared.meter(provider)
        if meter is not None:
            meter.places += 1
            meter.running += 1
            self._places[step] = self._running[step] = meter

    async def admit(self, provider: str, step: str) -> None:
        """Wait until the step's next call may be sent. A reserved place needs no wait."""
        meter = self._shared.meter(provider)
        if meter is None:
            return
        if self._places.get(step) is meter:
            self._give_back(step)
        else:
            await self._wait_for_room(meter)
        self._calls[step] = (meter, meter.send())
        self._shared.made_room(self)

    async def _wait_for_room(self, meter: _Meter) -> None:
        async with meter.turn:
            while not meter.room():
                with trio.move_on_at(meter.next_at_for_calls()):
                    await meter.changed.park()

    def settle(self, step: str, tokens: int | None) -> None:
        """Record the end of the step's call; `tokens` is its actual usage, None if unknown."""
        meter, call = self._calls.pop(step, (None, None))
        if meter is None or call is None or tokens is None:
            return
        meter.settled += 1
        meter.settled_tokens += tokens
        if call.is_counted:
            meter.tokens += tokens - call.tokens
            call.tokens = tokens
        meter.changed.unpark_all()
        self._shared.made_room(self)

    def release(self, step: str) -> None:
        """Record the end of the attempt: give back its slot, and a place that it did not use."""
        self._calls.pop(step, None)
        if step in self._places:
            self._give_back(step)
        if step in self._running:
            self._running.pop(step).running -= 1
            self._shared.made_room(self)

    def _give_back(self, step: str) -> None:
        meter = self._places.pop(step)
        meter.places -= 1
        meter.changed.unpark_all()


def slots_of(definition: JobDef) -> dict[str, int]:
    """The job's limits of running steps by provider, without the limit on all steps."""
    return {name: limit for name, limit in definition.concurrency.items() if name != "total"}
