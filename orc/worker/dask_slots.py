"""A task of the engine as a slot: it performs one copy after another, as long as more are offered.

A task costs the engine's scheduler, its worker and the driver more time than a short command takes.
A copy that ends soon after its task began therefore leaves the slot open for a moment, and the driver
may offer the next copy with the same needs there. A slot is given back to the engine after a second,
so that others get their turn.
"""

from __future__ import annotations

import threading
import time

HOLD_S = 1.0
"""How long after its begin a task may still take a further copy."""
WAIT_S = 0.1
"""How long a slot waits for an offer."""


class Slot:
    """The slot of one task, in the thread that performs it."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._changed = threading.Condition()
        self._give_back_at = time.monotonic() + HOLD_S
        self._is_open = False
        self._payload: bytes | None = None

    def open(self) -> bool:
        """Let the next copy be offered, unless others shall have their turn; whether it may."""
        with self._changed:
            self._is_open = time.monotonic() < self._give_back_at
            return self._is_open

    def offer(self, payload: bytes) -> bool:
        """Take the next copy; False if the slot does not wait for one."""
        with self._changed:
            if not self._is_open:
                return False
            self._payload, self._is_open = payload, False
            self._changed.notify()
            return True

    def next(self) -> bytes | None:
        """The next copy, if one is offered in time; otherwise the slot is closed."""
        with self._changed:
            if self._is_open:
                self._changed.wait_for(lambda: self._payload is not None, timeout=WAIT_S)
            payload, self._payload, self._is_open = self._payload, None, False
            return payload


class Slots:
    """The slots of this process, by the names of their tasks."""

    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}

    def add(self, key: str) -> Slot:
        """The slot of a task that begins."""
        slot = self._slots[key] = Slot(key)
        return slot

    def remove(self, slot: Slot) -> None:
        """The task ends."""
        self._slots.pop(slot.key, None)

    def offer(self, key: str, payload: bytes) -> bool:
        """Offer a copy to the slot of a task; whether it is taken."""
        slot = self._slots.get(key)
        return slot is not None and slot.offer(payload)
