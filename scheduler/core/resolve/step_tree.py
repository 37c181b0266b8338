"""The steps of a definition with those inside them, and what each depends on, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING

from orc.ledger.definition import StepDef
from orc.ledger.step_names import KEY_CHARS_MAX, STEP_CHARS_MAX, lineage
from orc.scheduler.core.source.paths import Path

if TYPE_CHECKING:
    from orc.scheduler.core.spec.model import StepSpec

_DIGITS_MAX = 5
"""Of the number of an item or a round."""


def walk(steps: Iterable[StepDef], prefix: str = "") -> Iterator[tuple[str, StepDef]]:
    """Each step with its name, such as `group/member`; containers come before what is in them."""
    for step in steps:
        name = f"{prefix}{step.id}"
        yield name, step
        if step.steps:
            yield from walk(step.steps, f"{name}/")


def too_long_names(steps: Iterable[StepDef], prefix: str = "", around: int = 0) -> Iterator[str]:
    """The innermost steps whose ids, with those of items and rounds, may be longer than allowed.

    `around` is the length of the longest id of the step around them.
    """
    for step in steps:
        length = around + len(step.id)
        if step.for_each is not None:
            length += len("[]") + (KEY_CHARS_MAX if step.for_each.key else _DIGITS_MAX)
        if step.loop is not None:
            length += len("#") + _DIGITS_MAX
        name = f"{prefix}{step.id}"
        if step.steps:
            yield from too_long_names(step.steps, f"{name}/", length + len("/"))
        elif length > STEP_CHARS_MAX:
            yield name


def upstream_of(name: str, steps: Mapping[str, StepDef]) -> set[str]:
    """The steps that a step needs, directly, through others, or through the steps around it."""
    found: set[str] = set()
    left = [name]
    while left:
        current = left.pop()
        parent, _, _ = current.rpartition("/")
        prefix = f"{parent}/" if parent else ""
        # A spec with problems may need steps that do not exist.
        needs = (f"{prefix}{need}" for need in steps[current].needs)
        needed = {need for need in needs if need in steps and need not in found}
        found |= needed
        left += needed
        if parent:
            left.append(parent)
    return found


def is_before(step: str, needed: Set[str]) -> bool:
    """Whether the step, or a container around it, is among the needed ones."""
    return not needed.isdisjoint(lineage(step))


def path_in_spec(step_id: str, steps: Mapping[str, StepSpec]) -> Path:
    """Where the spec has the step, or the workflow that has it."""
    path: Path = ()
    for name in step_id.split("/"):
        path = (*path, "steps", name)
        step = steps.get(name)
        if step is None or step.workflow is not None:
            return (*path, "workflow")
        steps = step.steps or {}
    return path
