"""Limits a minute: how many calls, and how many tokens, a provider is asked for.

Exact over any sixty seconds: a call is let go when the calls, or the tokens, of
the last minute leave room for it. What a call will take is not known before its
reply; the mean of the calls so far stands for it until then. Time is trio's.
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
"""What a provider's first calls are taken to need, until one of them has been counted."""


@dataclass(slots=True, eq=False)
class _Call:
    """One call, counted `until` a minute after it was sent; two of them are never the same one."""

    until: float
    tokens: int
    is_counted: bool = True


@dataclass(slots=True)
class _Meter:
    """The last minute of one provider, and the places held for calls that are still to be sent."""

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
        """How many calls may go now."""
        now = trio.current_time()
        while self.sent and self.sent[0].until <= now:
            call = self.sent.popleft()
            call.is_counted = False
            self.tokens -= call.tokens
        return self._room_beside(len(self.sent), self.tokens)

    def next_at(self) -> float:
        """When there will be room by time alone; infinity where the places leave none."""
        calls, tokens = len(self.sent), self.tokens
        for call in self.sent:
            calls -= 1
            tokens -= call.tokens
            if self._room_beside(calls, tokens):
                return call.until
        return math.inf

    def _room_beside(self, calls: int, tokens: int) -> int:
        """A call that is larger than a whole limit goes alone."""
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
    """The meters of a job's providers. A step holds a place from its start to its first call."""

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
        """How many steps may start to ask the provider now."""
        meter = self._meters.get(provider)
        if meter is None:
            return sys.maxsize
        # What runs already has a slot, and goes first.
        room = 0 if meter.turn.locked() else meter.room()
        if room == 0:
            self._full.add(provider)
        return room

    def next_at(self) -> float:
        """When a provider that had no room will have some, on trio's clock; infinity for never.

        Never is until something is recorded: a place that is used, or given back.
        """
        full, self._full = self._full, set()
        return min((self._meters[name].next_at() for name in full), default=math.inf)

    def reserve(self, provider: str, step: str) -> None:
        """The step starts: its first call has its place."""
        meter = self._meters.get(provider)
        if meter is not None:
            meter.places += 1
            self._places[step] = meter

    async def admit(self, provider: str, step: str) -> None:
        """Wait until the step's next call may go; at once where it has its place."""
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
        """The step's call has ended; `tokens` is what it took, where that is known."""
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
        """The attempt is over; a place that it did not use is free again."""
        self._calls.pop(step, None)
        if step in self._places:
            self._give_back(step)

    def _give_back(self, step: str) -> None:
        meter = self._places.pop(step)
        meter.places -= 1
        meter.changed.unpark_all()
