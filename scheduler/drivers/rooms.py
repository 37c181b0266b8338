"""Which worker of an engine has room for a step: what an engine holds is kept to what fits now.

An engine that is given everything at once binds short steps to workers that run long ones. Amounts
are accounting: nothing holds a step to what it asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field

SLOTS = "slots"
"""How many steps a worker performs at once; every step takes one."""

LABEL_AMOUNT = 0.001
"""What a step with a label takes of it: many such steps fit on a worker that has the label once."""

NOT_PLACED = {"time"}
"""Resources that no worker has an amount of."""


def needs_of(resources: Mapping[str, float], labels: tuple[str, ...]) -> dict[str, float]:
    """What a step takes of a worker, by name."""
    amounts = {name: float(amount) for name, amount in resources.items() if name not in NOT_PLACED}
    # A label may have the name of an amount.
    return dict.fromkeys(labels, LABEL_AMOUNT) | {
        name: amount for name, amount in amounts.items() if amount > 0
    }


class _Room(Struct):
    """A worker: what it has, and what is taken of it by copies that the engine holds."""

    has: Mapping[str, float]
    held: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def left(self, name: str) -> float:
        return self.has.get(name, 0.0) - sum(needs.get(name, 0.0) for needs in self.held.values())

    def takes(self, needs: Mapping[str, float]) -> bool:
        # Half of what a label takes: sums of fractions are not exact.
        return len(self.held) < self.has.get(SLOTS, 1.0) and all(
            self.left(name) >= amount - LABEL_AMOUNT / 2 for name, amount in needs.items()
        )


class Rooms:
    """The workers of an engine, and the copies that it holds: each by a guess until it asks."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._where: dict[str, str] = {}
        self._closed: frozenset[str] = frozenset()

    def close(self, workers: Iterable[str]) -> None:
        """These workers, and no others, take nothing until they are not named here any more."""
        self._closed = frozenset(workers)

    def set_capacity(self, capacity: Mapping[str, Mapping[str, float]]) -> None:
        """The workers that there are now. Copies on others keep no room."""
        for worker in self._rooms.keys() - capacity.keys():
            for copy in self._rooms.pop(worker).held:
                self._where.pop(copy, None)
        for worker, has in capacity.items():
            room = self._rooms.setdefault(worker, _Room(has))
            room.has = has

    def take(self, copy: str, needs: Mapping[str, float]) -> bool:
        """Take room for a copy where it fits; False if there is none."""
        rooms = [(name, room) for name, room in self._rooms.items() if name not in self._closed]
        fitting = [name for name, room in rooms if room.takes(needs)]
        if not fitting:
            return False
        self._hold(copy, needs, min(fitting, key=lambda name: len(self._rooms[name].held)))
        return True

    def move(self, copy: str, worker: str, needs: Mapping[str, float]) -> None:
        """The copy is on this worker, whatever was guessed."""
        self.give_back(copy)
        if worker in self._rooms:
            self._hold(copy, needs, worker)

    def give_back(self, copy: str) -> None:
        """The engine does not hold the copy any more."""
        worker = self._where.pop(copy, None)
        if worker is not None:
            self._rooms[worker].held.pop(copy, None)

    def held(self) -> Iterator[str]:
        """The copies that take room."""
        return iter(tuple(self._where))

    def _hold(self, copy: str, needs: Mapping[str, float], worker: str) -> None:
        self._rooms[worker].held[copy] = needs
        self._where[copy] = worker
