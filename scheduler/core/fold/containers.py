"""Folds the events of container steps: fan-outs, loops and groups, and their children.

A child is a step with an id derived from its container's: item `x[0]` or `x[key]`, round `x#1`,
group member `x/member`. A container takes no slot. It is due for evaluation when all its
children have ended; its result is left to `scheduler/branching.py`.
"""

from __future__ import annotations

from collections.abc import Container

from orc.ledger.definition import StepDef
from orc.ledger.events import StepExpanded
from orc.ledger.kinds import OPEN
from orc.scheduler.core.fold.limits import set_route
from orc.scheduler.core.fold.state import Inside, JobState, StepState
from orc.scheduler.core.fold.work import add_evaluation, became_ready

CHILDREN_MAX = 1000
"""The maximum number of children in one event."""


def child_ids(parent: str, definition: StepDef, keys: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The ids of a fan-out's items, from their keys, or of a group's members."""
    if definition.for_each is not None:
        return tuple(f"{parent}[{key}]" for key in keys)
    return tuple(f"{parent}/{step.id}" for step in definition.steps)


def key_of(inside: Inside, number: int) -> str:
    """The key of an item as the spec gave it; without one, its number."""
    chunk, place = divmod(number, CHILDREN_MAX)
    if inside.keys:
        return inside.keys[chunk][place]
    return inside.children[number].rpartition("[")[2].removesuffix("]")


def round_id(parent: str, number: int) -> str:
    """The id of a loop's round; `number` counts from 1."""
    return f"{parent}#{number}"


def expanded(state: JobState, event: StepExpanded) -> None:
    """Fold the event: create the children; those without needs may start, up to max_parallel."""
    parent = state.steps[event.step]
    definition = state.graph.steps[event.step]
    if parent.inside is None:
        parent.inside = Inside()
    inside = parent.inside
    inside.total = event.total
    if event.values is not None:
        inside.values.append(event.values)
    if event.keys is not None:
        inside.keys.append(event.keys)
    body = state.graph.body(event.step)
    is_group = definition.has_members
    for number, child_id in enumerate(event.children, event.first):
        place = number if is_group else 0
        member = body.steps[place]
        needs = tuple(f"{event.step}/{name}" for name in member.needs)
        waiting = tuple(f"{event.step}/{name}" for name in body.dependents[place])
        state.graph.add(child_id, member, needs=needs, dependents=waiting)
        child = StepState(
            index=len(state.steps), needs_left=len(needs), parent=event.step, number=number
        )
        # A failure upstream of the container is upstream of its children.
        child.upstream_failed = parent.upstream_failed
        before = state.retired.pop(child_id, None)
        if before is not None:
            # Numbering continues, because numbers identify attempts and calls.
            child.attempts, child.calls_ended = before.attempts, before.calls_ended
        state.steps[child_id] = child
        set_route(state, child_id)
        is_held = _is_full(definition, inside)
        inside.children.append(child_id)
        inside.open += 1
        state.unfinished += 1
        if needs:
            continue
        if is_held:
            inside.held.append(child_id)
        else:
            became_ready(state, child_id)
    if not inside.open and len(inside.children) == inside.total:
        add_evaluation(state, event.step)


def child_ended(state: JobState, step_id: str) -> None:
    """Fold the end of a child: the next held child may start, or the container is due."""
    parent_id = state.steps[step_id].parent
    if parent_id is None:
        return
    inside = state.steps[parent_id].inside
    assert inside is not None
    inside.open -= 1
    if inside.held and not _is_full(state.graph.steps[parent_id], inside):
        _release(state, inside.held.popleft())
    if not inside.open and len(inside.children) == inside.total:
        add_evaluation(state, parent_id)


def reopen_inside(state: JobState, step_id: str, reopened: Container[str]) -> None:
    """Count the open children again, after they were reopened.

    Under max_parallel, items that were running continue first; `reopened` items and items that
    have not begun are held. An item whose own children have all ended takes no place.
    """
    inside = state.steps[step_id].inside
    assert inside is not None
    left = [name for name in inside.children if state.steps[name].status in OPEN]
    inside.open = len(left)
    held = set(inside.held)
    inside.held.clear()
    if not left:
        add_evaluation(state, step_id)
    definition = state.graph.steps[step_id]
    if definition.for_each is None or definition.for_each.max_parallel is None:
        return
    busy = [name for name in left if not _is_gathered_next(state, name)]

    def is_not_begun(name: str) -> bool:
        return name in held or name in reopened or state.steps[name].status == "pending"

    busy.sort(key=is_not_begun)
    inside.held.extend(busy[definition.for_each.max_parallel :])


def _is_gathered_next(state: JobState, step_id: str) -> bool:
    inside = state.steps[step_id].inside
    if inside is None or state.graph.steps[step_id].is_loop:
        # A loop may still begin another round.
        return False
    return not inside.open and len(inside.children) == inside.total


def _release(state: JobState, step_id: str) -> None:
    """Let a held step start; of a reopened container, let its open children start."""
    inside = state.steps[step_id].inside
    if inside is None:
        if state.steps[step_id].is_shut:
            add_evaluation(state, step_id)
        else:
            became_ready(state, step_id)
        return
    for name in inside.children:
        child = state.steps[name]
        has_turn = child.is_shut or not child.needs_left
        is_left = child.status in ("pending", "running") and has_turn
        if is_left and name not in inside.held:
            _release(state, name)


def _is_full(definition: StepDef, inside: Inside) -> bool:
    """Whether max_parallel items are running."""
    if definition.for_each is None or definition.for_each.max_parallel is None:
        return False
    return inside.open - len(inside.held) >= definition.for_each.max_parallel
