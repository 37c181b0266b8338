"""What this machine has for steps: their `resources` count against the site file's `local`.

It is accounting, not enforcement: a step that uses more than it asks for is not stopped.
"""

from __future__ import annotations

from collections.abc import Mapping

from orc.scheduler.core.fold.evolve import JobState


class LocalRoom:
    """The room for the local steps of one job; `amounts` is what the machine has, by resource.

    A resource that `amounts` does not name has no limit.
    """

    def __init__(self, state: JobState, amounts: Mapping[str, float]) -> None:
        self._state = state
        self._amounts = amounts
        self._used: dict[str, dict[str, float]] = {}

    def take(self, step_id: str) -> bool:
        """Take the room for the step's next attempt, until `release`. Returns whether there is room."""
        definition = self._state.graph.steps[step_id]
        if not self._amounts or not definition.resources or definition.is_remote:
            return True
        needs = definition.resources_of(self._state.steps[step_id].attempts + 1)
        for name, amount in needs.items():
            if amount > self._left(name):
                return False
        self._used[step_id] = needs
        return True

    def release(self, step_id: str) -> None:
        """Give back what the step has taken."""
        self._used.pop(step_id, None)

    def _left(self, name: str) -> float:
        if name not in self._amounts:
            return float("inf")
        if not self._used:
            # Alone, a step may have all of it, also if that is less than it asks for.
            return float("inf")
        return self._amounts[name] - sum(used.get(name, 0.0) for used in self._used.values())
