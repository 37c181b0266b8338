"""The variables of each step's expressions: the job, the visible steps, the item and the round.

`steps` in a template is a read-only mapping over the job's state; it reads values on look-up.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from orc.ledger import LedgerReader
from orc.ledger.definition import ForEachDef
from orc.ledger.errors import FileTooLarge
from orc.ledger.events import FileRef, Payload
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.stored_struct import dump
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.containers import CHILDREN_MAX, key_of
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.state import StepState
from orc.scheduler.core.language.names import EACH, STEP_FIELDS
from orc.scheduler.inputs.values import InputReads

Variables = Mapping[str, Any]
ReadPayload = Callable[[Payload | None], Any]


class Scopes:
    """The scopes of one job's steps; `base` is part of every scope."""

    def __init__(
        self,
        state: JobState,
        *,
        base: Variables,
        views: StepViews,
        read: ReadPayload,
        reads: InputReads,
    ) -> None:
        self._state = state
        self._read = read
        self._reads = reads
        self._views = views
        # The top-level steps do not change while the job runs.
        self._top = {name: name for name, step in state.steps.items() if step.parent is None}
        self._base = {**base, "steps": StepsView(self._top, views)}

    def inside(self, step_id: str) -> Variables:
        """The scope of the step's own texts."""
        parent = self._state.steps[step_id].parent
        if parent is None:
            return self._base
        variables, names = self._around(step_id)
        return {**self._base, **variables, "steps": StepsView(names, self._views)}

    def condition(self, step_id: str) -> Variables:
        """The scope of the step's condition. It adds success(), failure(), always(), cancelled()."""
        step = self._state.steps[step_id]
        return {**self.inside(step_id), **self._statuses(step_id, step)}

    def item(self, step_id: str, value: Any, number: int, count: int) -> Variables:
        """The scope of the `key` of an item that is not created yet, the item `number` (from 0)."""
        definition = self._state.graph.steps[step_id]
        assert definition.for_each is not None
        place = {"index": number, "first": number == 0, "last": number == count - 1}
        own = item_variables(definition.for_each, self._reads.restored(value), number)
        return {**self.inside(step_id), EACH: place, **own}

    def after_round(self, step_id: str, round_id: str) -> Variables:
        """The scope of a loop's `until`: it adds the last round, and the members of the last round."""
        names = {
            **self._names_from(round_id),
            _own_name(step_id): round_id,
            **self._members(round_id),
        }
        return {**self.inside(round_id), "steps": StepsView(names, self._views)}

    def score(self, step_id: str) -> Variables:
        """The scope of the step's scores: it adds its output, and the members of a group."""
        names = {**self._names_from(step_id), **self._members(step_id)}
        output = self._read(self._state.steps[step_id].output)
        return {
            **self.inside(step_id),
            "steps": StepsView(names, self._views),
            "output": output,
        }

    def inputs_of(self, step_id: str) -> Mapping[str, ReadInput]:
        """The inputs that were read, of those that the step's templates see."""
        for name in self._enclosing(step_id):
            definition = self._state.graph.steps[name]
            if definition.has_members and definition.inputs is not None:
                return definition.read
        return self._state.definition.read

    def item_names(self, step_id: str) -> list[str]:
        """The variables of the items around the step."""
        found = []
        for name in self._enclosing(step_id):
            definition = self._state.graph.steps[name]
            if definition.for_each is not None:
                found.append(definition.for_each.name)
        return found

    def _enclosing(self, step_id: str) -> Iterator[str]:
        """The steps around the step, the innermost first."""
        name = self._state.steps[step_id].parent
        while name is not None:
            yield name
            name = self._state.steps[name].parent

    def _members(self, step_id: str) -> dict[str, str]:
        """The members of a group, which its own texts can name. Those of a workflow they cannot."""
        inside = self._state.steps[step_id].inside
        definition = self._state.graph.steps[step_id]
        if inside is None or not definition.has_members or definition.inputs is not None:
            return {}
        return {_local(child): child for child in inside.children}

    def _statuses(self, step_id: str, step: StepState) -> dict[str, bool]:
        needs = self._state.graph.needs[step_id]
        before = (self._state.steps[name] for name in needs)
        return {
            "success()": all(
                need.status == "succeeded" or (need.status == "failed" and need.tolerated)
                for need in before
            ),
            "failure()": step.upstream_failed,
            "always()": True,
            "cancelled()": self._state.is_cancelling,
        }

    def _around(self, step_id: str) -> tuple[dict[str, Any], Mapping[str, str]]:
        """The variables of the enclosing items and rounds, and the steps that the step can name."""
        chain = []
        name: str | None = step_id
        while name is not None:
            chain.append(name)
            name = self._state.steps[name].parent
        variables: dict[str, Any] = {}
        for child_id in reversed(chain[:-1]):
            step = self._state.steps[child_id]
            assert step.parent is not None
            holder = self._state.graph.steps[step.parent]
            if holder.for_each is not None:
                variables[EACH] = self._place(step.parent, step.number)
                value = self._reads.restored(self._stored_value(step))
                variables |= item_variables(holder.for_each, value, step.number)
            elif holder.is_loop:
                variables["loop"] = self._loop(step)
            elif holder.inputs is not None:
                # The steps of a workflow see nothing outside it.
                inside = self._state.steps[step.parent].inside
                assert inside is not None
                env = {name: text for name, text in holder.env.items() if text is not None}
                given = self._reads.restored(self._read(inside.values[0]))
                inputs = self._reads.values(given, holder.read)
                variables = {"inputs": inputs, "env": env}
        return variables, self._names_from(step_id)

    def _names_from(self, step_id: str) -> Mapping[str, str]:
        layers: list[Mapping[str, str]] = []
        parent = self._state.steps[step_id].parent
        is_closed = False
        while parent is not None and not is_closed:
            definition = self._state.graph.steps[parent]
            if definition.has_members:
                layers.append({step.id: f"{parent}/{step.id}" for step in definition.steps})
                is_closed = definition.inputs is not None
            parent = self._state.steps[parent].parent
        if not is_closed:
            layers.append(self._top)
        return ChainMap(*(dict(layer) if layer is not self._top else self._top for layer in layers))

    def stored_item(self, step_id: str) -> Any:
        """The value of an item as it is stored."""
        return self._stored_value(self._state.steps[step_id])

    def _stored_value(self, step: StepState) -> Any:
        assert step.parent is not None
        inside = self._state.steps[step.parent].inside
        assert inside is not None
        values = self._read(inside.values[step.number // CHILDREN_MAX])
        return values[step.number % CHILDREN_MAX]

    def _place(self, parent: str, number: int) -> dict[str, Any]:
        """`each`: the place of an item among the others."""
        inside = self._state.steps[parent].inside
        assert inside is not None
        last = number == inside.total - 1
        key = key_of(inside, number)
        return {"index": number, "key": key, "first": number == 0, "last": last}

    def _loop(self, step: StepState) -> dict[str, Any]:
        assert step.parent is not None
        inside = self._state.steps[step.parent].inside
        assert inside is not None
        previous = None
        if step.number > 1:
            before = self._state.steps[inside.children[step.number - 2]]
            previous = self._reads.restored(self._read(before.output))
        return {"index": step.number, "previous": previous}


def repetition_of(state: JobState, step_id: str) -> int:
    """The repetition, from 1, in which the step is; 1 if no step around it has `repeat`."""
    step = state.steps[step_id]
    while step.parent is not None:
        holder = state.graph.steps[step.parent].for_each
        if holder is not None and holder.repeat is not None:
            return holder.repetition_of(step.number)
        step = state.steps[step.parent]
    return 1


def item_variables(holder: ForEachDef, value: Any, number: int) -> dict[str, Any]:
    """The variables of the item with that value and number, from 0."""
    found = holder.variables(value)
    return found if holder.repeat is None else found | {"repetition": holder.repetition_of(number)}


def _local(step_id: str) -> str:
    return step_id.rpartition("/")[2]


def _own_name(step_id: str) -> str:
    """The name of a step in the spec, without the enclosing groups, item keys and round numbers."""
    return _local(step_id).partition("[")[0].partition("#")[0]


class StepViews:
    """Creates the view of a step that templates see as `steps.x`."""

    def __init__(self, state: JobState, *, ledger: LedgerReader, read: ReadPayload) -> None:
        self._state = state
        self._ledger = ledger
        self._read = read

    def of(self, step_id: str) -> Mapping[str, Any]:
        """The view of the step with that full id."""
        return _StepView(self._state, step_id, self._ledger, self._read)


class StepsView(Mapping[str, Any]):
    """`steps`: the steps that one scope can name, by their names in that scope."""

    def __init__(self, names: Mapping[str, str], views: StepViews) -> None:
        self._names = names
        self._views = views

    def __getitem__(self, name: str) -> Any:
        return self._views.of(self._names[name])

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _StepView(Mapping[str, Any]):
    """`steps.x`."""

    def __init__(
        self, state: JobState, step_id: str, ledger: LedgerReader, read: ReadPayload
    ) -> None:
        self._state, self._step_id = state, step_id
        self._step = state.steps[step_id]
        self._files = state.owned.of_step(step_id)
        self._project = state.project
        self._ledger = ledger
        self._read = read

    def __getitem__(self, field: str) -> Any:
        step = self._step
        match field:
            case "items":
                return self._items()
            case "output":
                return self._read(step.output)
            case "status":
                return step.status
            case "error" if step.status != "failed" or step.failure is None:
                return None
            case "error":
                assert step.failure is not None
                return {"kind": step.failure.kind, "message": step.failure.message}
            case "files":
                prefix = f"{self._project}/"
                return {
                    path.removeprefix(prefix): _FileView(owned.file, self._ledger)
                    for path, owned in self._files.items()
                }
            case "attempts":
                return step.attempts
        raise KeyError(field)

    def _items(self) -> list[dict[str, Any]]:
        """What became of each item of a fan-out, with its variables."""
        definition = self._state.graph.steps[self._step_id]
        if definition.for_each is None:
            raise TemplateError(
                f"step {self._step_id!r} has no `for_each` or `matrix`, and so no items"
            )
        inside = self._step.inside
        if inside is None and self._step.status == "succeeded":
            raise TemplateError(
                f"the result of step {self._step_id!r} was taken from another job, without its items; "
                f"use `steps.{self._step_id}.output`, or let the fork begin there (--from "
                f"{self._step_id})"
            )
        found: list[dict[str, Any]] = []
        if inside is None:
            return found
        # A part with the values of many items is read once.
        values = chain.from_iterable(map(self._read, inside.values))
        for number, (child, value) in enumerate(zip(inside.children, values, strict=True)):
            view = _StepView(self._state, child, self._ledger, self._read)
            found.append(
                {
                    **definition.for_each.parts(value),
                    "index": number,
                    "key": key_of(inside, number),
                    "step": child,
                    **{name: view[name] for name in ("status", "output", "error")},
                }
            )
        return found

    def __contains__(self, field: object) -> bool:
        return field in STEP_FIELDS

    def __iter__(self) -> Iterator[str]:
        # A step without items has all other fields.
        return iter(name for name in STEP_FIELDS if name != "items")

    def __len__(self) -> int:
        return len(STEP_FIELDS) - 1


class _FileView(Mapping[str, Any]):
    """`steps.x.files['a.md']`. `content` can be looked up, but is not in the iteration."""

    def __init__(self, file: FileRef, ledger: LedgerReader) -> None:
        # The mode decides nothing in a template: what is rendered depends on path and content alone.
        self._fields = {key: value for key, value in dump(file).items() if key != "mode"}
        self._ledger = ledger

    def __getitem__(self, field: str) -> Any:
        if field != "content":
            return self._fields[field]
        try:
            return self._ledger.read_blob(self._fields["sha256"]).decode()
        except UnicodeDecodeError:
            raise TemplateError(f"{self._fields['path']} is not a UTF-8 text file") from None
        except FileTooLarge as error:
            raise TemplateError(f"{self._fields['path']}: {error}") from None

    def __contains__(self, field: object) -> bool:
        return field == "content" or field in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
