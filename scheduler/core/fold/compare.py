"""Compares two definitions of a job: which steps changed, and which steps therefore run again."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.definition import JobDef, StepDef, dump_whole_step, walk_steps
from orc.ledger.stored_struct import dump
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.graph import Graph, reachable
from orc.scheduler.core.fold.reopen import find_done
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.language.expressions import Expression
from orc.scheduler.core.language.input_names import names_written, only_input
from orc.scheduler.core.language.templates import parse_condition, parse_template, texts_in

EXECUTION_FIELDS = {
    "retry",
    "retry_on",
    "timeout_s",
    "attempt_timeout_s",
    "total_timeout_s",
    "wait_for_server_s",
    "continue_on_error",
    "cache",
    "cache_prompt",
    "executor",
    "resources",
    "labels",
    "queue_timeout_s",
}
"""Fields that affect how a step is run, but not its result."""
# Whether a failed step inside counts is part of the result of the outer step.
_EXECUTION_INSIDE = EXECUTION_FIELDS - {"continue_on_error"}
_CONDITIONS = ("condition", "item_condition", "until")
_JOB_FIELDS = ("task_description", "inputs", "env")


class Plan(Struct, frozen=True):
    """What a changed job will do. `runs` maps the steps that will run to the reason.

    `reset` are the running steps that exist in the job already, `kept` the steps that keep their
    results, and `removed` the steps that the new definition lacks. In the steps `kept_items`, the
    items whose work is that of before keep their results. The scores of `rescored` steps, which are
    kept, are computed again.
    """

    runs: Mapping[str, str]
    reset: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    kept_items: tuple[str, ...] = ()
    rescored: tuple[str, ...] = ()


def find_changes(before: JobDef, after: JobDef) -> dict[str, tuple[str, ...]]:
    """The steps in both definitions that differ, with the names of the fields that differ."""
    old_steps = {step.id: step for step in before.steps}
    found = {}
    for step in after.steps:
        old = old_steps.get(step.id)
        if old is None:
            continue
        only_scored = _needed_by_scores(old) | _needed_by_scores(step)
        one = _content(before, old, apart_from=only_scored)
        other = _content(after, step, apart_from=only_scored)
        # A value that only one of them refers to shows as a difference in the referring text.
        names = [name for name in one if name in other and one[name] != other[name]]
        if names:
            found[step.id] = tuple(names)
    return found


def find_same_items(before: JobDef, after: JobDef) -> set[str]:
    """The steps with items whose work for an item is the same in both definitions, if the item is."""
    old_steps = {step.id: step for step in before.steps}
    found = set()
    for step in after.steps:
        old = old_steps.get(step.id)
        if old is None or not (_has_items(step) and _has_items(old)):
            continue
        if _content_of_items(before, old) == _content_of_items(after, step):
            found.add(step.id)
    return found


def _has_items(step: StepDef) -> bool:
    return any(inner.for_each is not None for inner in walk_steps((step,)))


def plan_changes(
    state: JobState,
    graph: Graph,
    changes: Mapping[str, Iterable[str]],
    others: Mapping[str, str] | None = None,
    definition: JobDef | None = None,
    *,
    same_items: Collection[str] = (),
) -> Plan:
    """The plan for a resume with the graph, which is that of the `definition`.

    `others` maps further steps to run to reasons. Without a definition, no scores are computed again.
    `same_items` are steps whose work for an item did not change (`find_same_items`).
    """
    whys = {step_id: "new" for step_id in graph.steps if step_id not in state.steps}
    whys |= {step_id: f"changed: {', '.join(names)}" for step_id, names in changes.items()}
    whys |= others or {}
    again = reachable(graph.dependents, whys)
    done = find_done(state, had_ended=True)
    runs = {}
    for step_id in graph.steps:
        if step_id in whys:
            runs[step_id] = whys[step_id]
        elif step_id in again:
            after = [name for name in graph.needs[step_id] if name in again]
            runs[step_id] = f"after {', '.join(after[:3])}{', ...' * (len(after) > 3)}"
        elif step_id not in done:
            runs[step_id] = _was(state, step_id)
    kept_items = tuple(
        name
        for name in graph.steps
        if name in same_items
        and name in again
        and name in state.steps
        and name not in (others or ())
    )
    for name in kept_items:
        runs[name] += "; items that did not change keep their results"
    results = {name for name in state.steps if name in graph.steps and name not in again}
    rescored = find_rescored(state.definition, definition, results) if definition else ()
    return Plan(
        runs=runs,
        reset=tuple(name for name in graph.steps if name in again and name in state.steps),
        kept=tuple(name for name in graph.steps if name not in runs),
        removed=tuple(
            name
            for name, step in state.steps.items()
            if step.parent is None and name not in graph.steps
        ),
        kept_items=kept_items,
        rescored=rescored,
    )


def find_rescored(before: JobDef, after: JobDef, kept: Container[str]) -> tuple[str, ...]:
    """The `kept` steps whose scores, or those of steps inside them, have other expressions or inputs."""
    old_steps = {step.id: step for step in before.steps}
    return tuple(
        step.id
        for step in after.steps
        if step.id in kept and _scored(before, old_steps[step.id]) != _scored(after, step)
    )


def _was(state: JobState, step_id: str) -> str:
    """The state of a step that has no result. A container is running also while it waits."""
    status = state.steps[step_id].status
    is_container = state.graph.steps[step_id].shape is not None
    return "had not ended" if is_container and status == "running" else f"was {status}"


def rebase(recorded: JobDef, base: JobDef, edited: JobDef) -> JobDef:
    """Apply the edits between `base` and `edited` to `recorded`.

    `recorded` is the definition from the job's submission. `base` is the same spec resolved
    under the current settings, `edited` the edited spec under the current settings. A field that
    is equal in `base` and `edited` keeps its recorded value.
    """
    recorded_steps = {step.id: step for step in recorded.steps}
    base_steps = {step.id: step for step in base.steps}
    steps = []
    for step in edited.steps:
        then, now = recorded_steps.get(step.id), base_steps.get(step.id)
        if then is not None and now is not None and now.kind == step.kind == then.kind:
            step = _merge(then, now, step)
        steps.append(step)
    merged: JobDef = _merge(recorded, base, edited)
    return replace(merged, steps=tuple(steps))


def _merge(recorded: Any, base: Any, edited: Any) -> Any:
    same = {
        name: getattr(recorded, name)
        for name in edited.__struct_fields__
        if getattr(base, name) == getattr(edited, name)
    }
    return replace(edited, **same)


def _content_of_items(definition: JobDef, step: StepDef) -> dict[str, Any]:
    """Everything that determines the results of items, except their values and other steps."""
    lists = [
        given
        for inner in walk_steps((step,))
        if inner.for_each is not None
        for given in (inner.for_each.items, *(inner.for_each.matrix or {}).values())
    ]
    inputs = set(filter(None, map(only_input, lists)))
    # An item that is a file gets this file of its input only (`scheduler/inputs/placed.py`).
    files = {name for name in inputs if (own := definition.read.get(name)) and own.type == "files"}
    return _content(definition, _without_lists(step), without_files_of=files)


def _without_lists(step: StepDef) -> StepDef:
    """The step without the lists of the items in it, which are compared one by one."""
    changes: dict[str, Any] = {"steps": tuple(map(_without_lists, step.steps))}
    if step.for_each is not None:
        matrix = step.for_each.matrix and dict.fromkeys(step.for_each.matrix)
        has_items = step.for_each.items is not None or None
        changes["for_each"] = replace(step.for_each, items=has_items, matrix=matrix)
    return replace(step, **changes)


def _content(
    definition: JobDef,
    step: StepDef,
    *,
    apart_from: Set[str] = frozenset(),
    without_files_of: Set[str] = frozenset(),
) -> dict[str, Any]:
    """Everything that determines the step's result, except the results of other steps.

    That the step needs the steps `apart_from` does not count.
    """
    dumped = dump_whole_step(step, without=EXECUTION_FIELDS)
    found = _without_scores(dumped, apart_from)
    found |= _of_job(definition, found)
    names = _files_of(definition, step) - without_files_of
    found |= {f"inputs.{name}": definition.read[name] for name in names}
    if any(inner.facts.runs_code for inner in walk_steps((step,))):
        found["the job's env"] = definition.env
    return found


def _without_scores(step: dict[str, Any], apart_from: Set[str]) -> dict[str, Any]:
    """The fields without scores, also of the steps inside: scores follow from the result."""
    inside = [
        {name: value for name, value in each.items() if name not in _EXECUTION_INSIDE}
        for each in step["steps"]
    ]
    return {name: value for name, value in step.items() if name != "score"} | {
        "steps": [_without_scores(each, apart_from) for each in inside],
        "needs": [name for name in step["needs"] if name not in apart_from],
    }


def _needed_by_scores(step: StepDef) -> set[str]:
    """The steps that the scores of the step, and of those inside it, refer to."""
    scores = [dump(inner.score) for inner in walk_steps((step,))]
    return {path[1] for path in _references(scores) if path[0] == "steps" and len(path) > 1}


def _scored(definition: JobDef, step: StepDef) -> dict[str, Any]:
    """Everything that determines the scores in the step, except results."""
    found: dict[str, Any] = {}
    for place, inner in enumerate(walk_steps((step,))):
        given = {name: dump(score) for name, score in inner.score.items()}
        if given:
            found[f"{place} {inner.id}"] = given
            found |= _of_job(definition, given)
    return found


def _of_job(definition: JobDef, value: Any) -> dict[str, Any]:
    """The values of the job that the texts in the value refer to."""
    found = {}
    for path in list(_references(value)):
        root, *keys = path[:2]
        if root in _JOB_FIELDS:
            named = _values_of(definition)[root]
            if keys and isinstance(named, Mapping):
                named = named.get(keys[0])
            found[".".join((root, *keys))] = named
    return found


def _values_of(definition: JobDef) -> dict[str, Any]:
    """What the steps may refer to, by its root."""
    return {
        "task_description": definition.task_description,
        "inputs": {**definition.inputs, **definition.read},
        "env": definition.env,
    }


def _files_of(definition: JobDef, step: StepDef) -> set[str]:
    """The inputs whose files the commands in the step name."""
    return {
        name
        for inner in walk_steps((step,))
        if inner.facts.runs_code
        for name in names_written({"run": inner.run, "env": inner.env}, definition.read)
    }


def _references(value: Any) -> Iterator[tuple[str, ...]]:
    for expression in _expressions(value, texts_in(value)):
        for reference in expression.references:
            yield reference.path


def _expressions(value: Any, texts: Iterable[str]) -> Iterator[Expression]:
    for text in texts:
        with suppress(TemplateError):
            yield from parse_template(text).expressions
    for text in _conditions(value):
        with suppress(TemplateError):
            yield parse_condition(text)


def _conditions(value: Any) -> Iterator[str]:
    """The texts of conditions (expressions without braces) in a step and in its members."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _CONDITIONS and isinstance(item, str):
                yield item
            else:
                yield from _conditions(item)
    elif isinstance(value, list):
        for item in value:
            yield from _conditions(item)
