"""The graph of a job: who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from scheduler.core.errors import Problem, SpecError
from scheduler.core.resolved import StepDef


@dataclass(frozen=True, slots=True)
class Graph:
    """An acyclic graph of steps, in the spec's order.

    `needs[x]` are the steps that x waits for, `dependents[x]` those that wait for x.
    """

    steps: dict[str, StepDef]
    needs: dict[str, tuple[str, ...]]
    dependents: dict[str, tuple[str, ...]]

    def levels(self) -> list[list[str]]:
        """The steps by the length of the longest way to them; a step only needs earlier levels."""
        return _levels(self.needs, self.dependents)


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
                problem = Problem(f"step {step_id!r} needs {name!r}, which is not there")
                raise SpecError("the graph", [problem])
            dependents[name].append(step_id)
    graph = Graph(by_id, needs, {name: tuple(found) for name, found in dependents.items()})
    placed = sum(len(level) for level in graph.levels())
    if placed != len(by_id):
        raise SpecError("the graph", [Problem("some steps wait for each other")])
    return graph


def lineage(step_id: str) -> Iterator[str]:
    """The step's id, and those of what it is an item, a round or a part of: `x#2`, then `x`."""
    yield step_id
    while (place := max(step_id.rfind(mark) for mark in "[#/")) > 0:
        step_id = step_id[:place]
        yield step_id


def downstream(dependents: Mapping[str, Iterable[str]], names: Iterable[str]) -> set[str]:
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
