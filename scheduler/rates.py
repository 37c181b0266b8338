"""Rate limits: how many calls and tokens a provider receives per minute.

The limits hold over every window of 60 seconds: a call is sent when the calls and tokens of the
last minute leave room for it. The tokens of a call are unknown before its reply; until then the
mean of the earlier calls is used. Times are on trio's clock. Circuits and adaptive concurrency
are left to `core/fold/limits.py`.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from orc.ledger.definition import RateDef

WINDOW_S = 60.0
FIRST_TOKENS = 1000
"""The assumed tokens of a call, until the first call of its provider has ended."""


@dataclass(slots=True, eq=False)
class _Call:
    """One sent call. It counts against the limits `until` a minute after it was sent."""

    until: float
    tokens: int
    is_counted: bool = True


@dataclass(slots=True)
class _Meter:
    """The calls of the last minute to one provider, and the places reserved for first calls."""

    rate: RateDef
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
        now = trio.current_time()
        while self.sent and self.sent[0].until <= now:
            call = self.sent.popleft()
            call.is_counted = False
            self.tokens -= call.tokens
        return self._room_beside(len(self.sent), self.tokens)

    def next_at(self) -> float:
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

    def send(self) -> _Call:
        call = _Call(trio.current_time() + WINDOW_S, self.expected())
        self.sent.append(call)
        self.tokens += call.tokens
        return call


class Rates:
    """The rate limits of one job. A step reserves a place from its start to its first call."""

    def __init__(self, rates: Mapping[str, RateDef]) -> None:
        self._meters = {
            name: _Meter(rate)
            for name, rate in rates.items()
            if rate.requests_per_min is not None or rate.tokens_per_min is not None
        }
        self._places: dict[str, _Meter] = {}
        self._calls: dict[str, tuple[_Meter, _Call]] = {}
        self._full: set[str] = set()

    def room(self, provider: str) -> int:
        """How many more steps that call the provider may start now."""
        meter = self._meters.get(provider)
        if meter is None:
            return sys.maxsize
        # Running steps already hold a slot, so their calls come first.
        room = 0 if meter.turn.locked() else meter.room()
        if room == 0:
            self._full.add(provider)
        return room

    def next_at(self) -> float:
        """When a provider that had no room will have some, on trio's clock.

        Infinity: not before a reserved place is used or given back.
        """
        full, self._full = self._full, set()
        return min((self._meters[name].next_at() for name in full), default=math.inf)

    def reserve(self, provider: str, step: str) -> None:
        """Reserve a place for the first call of a step that starts."""
        meter = self._meters.get(provider)
        if meter is not None:
            meter.places += 1
            self._places[step] = meter

    async def admit(self, provider: str, step: str) -> None:
        """Wait until the step's next call may be sent. A reserved place needs no wait."""
        meter = self._meters.get(provider)
        if meter is None:
            return
        if self._places.get(step) is meter:
            self._give_back(step)
        else:
            await self._wait_for_room(meter)
        self._calls[step] = (meter, meter.send())

    async def _wait_for_room(self, meter: _Meter) -> None:
        async with meter.turn:
            while not meter.room():
                with trio.move_on_at(meter.next_at()):
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

    def release(self, step: str) -> None:
        """Record the end of the attempt: give back a place that it did not use."""
        self._calls.pop(step, None)
        if step in self._places:
            self._give_back(step)

    def _give_back(self, step: str) -> None:
        meter = self._places.pop(step)
        meter.places -= 1
        meter.changed.unpark_all()
