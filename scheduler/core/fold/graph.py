"""The graph of a job: who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orc.ledger.definition import StepDef
from orc.scheduler.core.errors import Problem, SpecError

Names = tuple[str, ...]


@dataclass(slots=True)
class Graph:
    """An acyclic graph of steps, in the spec's order; it grows while it runs.

    `needs[x]` are the steps that x waits for, `dependents[x]` those that wait for x.
    Steps that came of one definition share it: the key is the id, not the definition's.
    """

    steps: dict[str, StepDef]
    needs: dict[str, tuple[str, ...]]
    dependents: dict[str, tuple[str, ...]]
    _bodies: dict[int, Body] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for definition in self.steps.values():
            self._add_body(definition)

    def levels(self) -> list[list[str]]:
        """The steps by the length of the longest way to them; a step only needs earlier levels."""
        return _levels(self.needs, self.dependents)

    def body(self, step_id: str) -> Body:
        """What a step that holds others brings into being."""
        return self._bodies[id(self.steps[step_id])]

    def add(self, child_id: str, definition: StepDef, *, needs: Names, dependents: Names) -> None:
        """A step that came into being while the job ran."""
        self.steps[child_id] = definition
        self.needs[child_id] = needs
        self.dependents[child_id] = dependents
        self._add_body(definition)

    def _add_body(self, definition: StepDef) -> None:
        # Items and rounds share their definition: its body is made once.
        if definition.shape is not None and id(definition) not in self._bodies:
            self._bodies[id(definition)] = Body.of(definition)


@dataclass(frozen=True, slots=True)
class Body:
    """The steps that a definition holds: one for all items or rounds, or those of a group.

    `needs` and `dependents` are those within a group, by the ids that its definition has.
    """

    steps: tuple[StepDef, ...]
    dependents: tuple[Names, ...]

    @classmethod
    def of(cls, definition: StepDef) -> Body:
        """The body of a definition that has a shape."""
        if definition.for_each is not None:
            changes: dict[str, Any] = {"for_each": None, "item_condition": None}
            changes["condition"] = definition.item_condition
        elif definition.loop is not None:
            # A round that fails ends the loop; the loop itself may be tolerated.
            changes = {"loop": None, "condition": None, "continue_on_error": False}
        else:
            waiting: dict[str, list[str]] = {step.id: [] for step in definition.steps}
            for step in definition.steps:
                for name in step.needs:
                    if name not in waiting:
                        raise _unknown_need(step.id, name)
                    waiting[name].append(step.id)
            return cls(definition.steps, tuple(tuple(names) for names in waiting.values()))
        changes |= {"needs": (), "runs_after": "success", "budget": None}
        return cls((definition.model_copy(update=changes),), ((),))


def build_graph(steps: Iterable[StepDef]) -> Graph:
    """The graph of some steps.

    Raises SpecError for an unknown or repeated id and for a cycle. A spec that
    was parsed has none of these; a ledger from elsewhere might.
    """
    by_id: dict[str, StepDef] = {}
    dependents: dict[str, list[str]] = {}
    for step in steps:
        if step.id in by_id:
            raise SpecError("the graph", [Problem(f"step {step.id!r} is there twice")])
        by_id[step.id] = step
        dependents[step.id] = []
    needs = {step.id: step.needs for step in by_id.values()}
    for step_id, names in needs.items():
        for name in names:
            if name not in by_id:
                raise _unknown_need(step_id, name)
            dependents[name].append(step_id)
    graph = Graph(by_id, needs, {name: tuple(found) for name, found in dependents.items()})
    placed = sum(len(level) for level in graph.levels())
    if placed != len(by_id):
        raise SpecError("the graph", [Problem("some steps wait for each other")])
    return graph


def _unknown_need(step_id: str, name: str) -> SpecError:
    return SpecError("the graph", [Problem(f"step {step_id!r} needs {name!r}, which is not there")])


def reachable(dependents: Mapping[str, Iterable[str]], names: Iterable[str]) -> set[str]:
    """The named steps, and all that follow from them by the edges; of `needs`, all that they need."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += dependents[name]
    return found


def _levels(
    needs: dict[str, tuple[str, ...]], dependents: dict[str, tuple[str, ...]]
) -> list[list[str]]:
    left = {step_id: len(names) for step_id, names in needs.items()}
    level = [step_id for step_id, count in left.items() if count == 0]
    levels = []
    while level:
        levels.append(level)
        following = []
        for step_id in level:
            for name in dependents[step_id]:
                left[name] -= 1
                if left[name] == 0:
                    following.append(name)
        level = following
    return levels
