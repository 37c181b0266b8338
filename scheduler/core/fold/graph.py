"""The dependency graph of a job's steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.definition import StepDef
from orc.scheduler.core.errors import Problem, SpecError
from orc.scheduler.core.step_settings import with_settings

Names = tuple[str, ...]


class Graph:
    """An acyclic graph of steps in the spec's order. It grows when containers expand.

    `needs[x]` are the steps that x waits for, `dependents[x]` those that wait for x. The items or
    rounds of one container share a definition; the key in `steps` is the step's id.

    A step whose settings have templates gets a definition of its own when it is ready
    (`configure`); `written` keeps the one with the templates.
    """

    def __init__(
        self,
        steps: dict[str, StepDef],
        needs: dict[str, tuple[str, ...]],
        dependents: dict[str, tuple[str, ...]],
    ) -> None:
        self.steps = steps
        self.needs = needs
        self.dependents = dependents
        self._written: dict[str, StepDef] = {}
        self._settings: dict[str, Mapping[str, Any]] = {}
        self._bodies: dict[int, Body] = {}
        for definition in steps.values():
            self._add_body(definition)

    def __eq__(self, other: object) -> bool:
        # The bodies follow from the definitions.
        return isinstance(other, Graph) and self._compared() == other._compared()

    __hash__ = None  # type: ignore[assignment]

    def _compared(self) -> tuple[object, ...]:
        return self.steps, self.needs, self.dependents, self._written, self._settings

    def levels(self) -> list[list[str]]:
        """The steps by level. A step needs only steps of earlier levels."""
        return _levels(self.needs, self.dependents)

    def body(self, step_id: str) -> Body:
        """The body of a container step."""
        return self._bodies[id(self.written(step_id))]

    def written(self, step_id: str) -> StepDef:
        """The step's definition with its templates."""
        return self._written.get(step_id) or self.steps[step_id]

    def lacks_settings(self, step_id: str) -> bool:
        """Whether the step has templates that were not rendered yet."""
        return bool(self.steps[step_id].own_templates)

    def settings_of(self, step_id: str) -> Mapping[str, Any] | None:
        """The settings that the step got when it was ready; None if it got none."""
        return self._settings.get(step_id)

    def configure(self, step_id: str, settings: Mapping[str, Any]) -> None:
        """Give the step a definition with these settings."""
        written = self.written(step_id)
        self._written[step_id], self._settings[step_id] = written, settings
        self.steps[step_id] = with_settings(written, settings)

    def add(self, child_id: str, definition: StepDef, *, needs: Names, dependents: Names) -> None:
        """Add a step that was created while the job ran."""
        self.steps[child_id] = definition
        self.needs[child_id] = needs
        self.dependents[child_id] = dependents
        self._add_body(definition)

    def _add_body(self, definition: StepDef) -> None:
        # Items and rounds share a definition, and so its body.
        if definition.shape is not None and id(definition) not in self._bodies:
            self._bodies[id(definition)] = Body.of(definition)


class Body(Struct, frozen=True):
    """The definitions of a container's children: one for all items or rounds, or a group's members.

    `dependents` are those within the group, by the ids in its definition.
    """

    steps: tuple[StepDef, ...]
    dependents: tuple[Names, ...]

    @classmethod
    def of(cls, definition: StepDef) -> Body:
        """The body of a container's definition."""
        if definition.for_each is not None:
            changes: dict[str, Any] = {"for_each": None, "item_condition": None}
            changes["templates"] = {
                key: text for key, text in definition.templates.items() if key != "max_parallel"
            }
            changes["condition"] = definition.item_condition
        elif definition.loop is not None:
            # A failed round ends the loop; `continue_on_error` applies to the loop only,
            # as its scores do.
            changes = {"loop": None, "condition": None, "continue_on_error": False, "score": {}}
        else:
            waiting: dict[str, list[str]] = {step.id: [] for step in definition.steps}
            for step in definition.steps:
                for name in step.needs:
                    if name not in waiting:
                        raise _unknown_need(step.id, name)
                    waiting[name].append(step.id)
            return cls(definition.steps, tuple(tuple(names) for names in waiting.values()))
        changes |= {"needs": (), "runs_after": "success", "budget": None}
        return cls((replace(definition, **changes),), ((),))


def build_graph(steps: Iterable[StepDef]) -> Graph:
    """The graph of the steps.

    Raises SpecError for an unknown need, a duplicate id or a cycle. A parsed spec has none of
    these, but a foreign ledger may.
    """
    by_id: dict[str, StepDef] = {}
    for step in steps:
        if step.id in by_id:
            raise SpecError("the graph", [Problem(f"the step id {step.id!r} is used twice")])
        by_id[step.id] = step
    needs: dict[str, Names] = {}
    waiting: dict[str, list[str]] = {}
    is_in_order = True
    for step_id, step in by_id.items():
        for name in step.needs:
            if name not in by_id:
                raise _unknown_need(step_id, name)
            is_in_order = is_in_order and name in needs
            waiting.setdefault(name, []).append(step_id)
        needs[step_id] = step.needs
    graph = Graph(by_id, needs, {name: tuple(waiting.get(name, ())) for name in by_id})
    # Steps that need only steps before them have no cycle.
    if not is_in_order and sum(map(len, graph.levels())) != len(by_id):
        raise SpecError("the graph", [Problem("the steps' needs have a cycle")])
    return graph


def _unknown_need(step_id: str, name: str) -> SpecError:
    return SpecError("the graph", [Problem(f"step {step_id!r} needs unknown step {name!r}")])


def reachable(edges: Mapping[str, Iterable[str]], names: Iterable[str]) -> set[str]:
    """The named steps, and all steps reachable from them along the edges."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += edges[name]
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
