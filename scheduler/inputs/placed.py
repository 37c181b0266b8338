"""Which files of inputs a step gets in $ORC_INPUTS: those of the inputs that it names.

A step names an input in a template (`inputs.notes`), or in its command as `$ORC_INPUTS/notes`. An
item that is a file, or has some in it, gets these files only, unless a template of the step names
the whole input: a change of another file is then no change for the item.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from orc.ledger.bounds import LazyList
from orc.ledger.definition import StepDef
from orc.ledger.events import FileRef
from orc.ledger.inputs.read_inputs import InputFile, ReadInput
from orc.ledger.stored_struct import dump
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.expressions import Reference
from orc.scheduler.core.language.input_names import names_written
from orc.scheduler.core.language.templates import parse_template, texts_in
from orc.scheduler.inputs.values import FileValue
from orc.worker.declared import INPUTS_FOLDER

_MODE = "444"
_OWN_TEXTS = {"for_each", "condition", "item_condition", "steps", "inputs", "read", "loop"}


class ScopesOfSteps(Protocol):
    """What the templates of steps see; `scheduler/scopes.py` has it."""

    def inside(self, step_id: str) -> Mapping[str, Any]:
        """The names of the step's own texts."""

    def inputs_of(self, step_id: str) -> Mapping[str, ReadInput]:
        """The inputs that were read, of those that the step's templates see."""

    def item_names(self, step_id: str) -> list[str]:
        """The variables of the items around the step."""


class StepInputs:
    """The files of inputs by their paths in the working folders of one job's steps."""

    def __init__(self, scopes: ScopesOfSteps, *, has_any: bool) -> None:
        self._scopes = scopes
        self._has_any = has_any

    def files(self, step_id: str, definition: StepDef) -> dict[str, FileRef]:
        """The files that the step gets, by their paths in its working folder."""
        if not self._has_any:
            return {}
        found = {
            f"{INPUTS_FOLDER}/{name}/{file.path}": file
            for name, file in self._found(step_id, definition)
        }
        return {
            path: FileRef(
                path=path,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                media_type=file.media_type,
                mode=_MODE,
            )
            for path, file in sorted(found.items())
        }

    def _found(self, step_id: str, definition: StepDef) -> Iterator[tuple[str, InputFile]]:
        scope = self._scopes.inside(step_id)
        read, inputs = self._scopes.inputs_of(step_id), scope["inputs"]
        document = {key: value for key, value in dump(definition).items() if key not in _OWN_TEXTS}
        references = [found.path for found in _references(texts_in(document))]
        named = {path[1] for path in references if path[0] == "inputs" and len(path) > 1}
        if ("inputs",) in references:
            named |= set(inputs)
        items = {path[0] for path in references} & set(self._scopes.item_names(step_id))
        of_items = [
            (_input_of(file, read, inputs) or variable, file)
            for variable in items
            for file in _files_in(scope[variable])
        ]
        yield from of_items
        written = set(names_written(document, inputs)) - {name for name, _ in of_items}
        for name in named | written:
            if name in inputs:
                files = read[name].files if name in read else _files_in(inputs[name])
                yield from ((name, file) for file in files)


def _references(texts: Iterable[str]) -> Iterator[Reference]:
    for text in texts:
        with suppress(TemplateError):
            for expression in parse_template(text).expressions:
                yield from expression.references


def _files_in(value: Any) -> Iterator[InputFile]:
    """The files of inputs in a value, at any depth."""
    if isinstance(value, FileValue):
        yield value.file
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _files_in(item)
    elif isinstance(value, list) and not isinstance(value, LazyList):
        for item in value:
            yield from _files_in(item)


def _input_of(
    file: InputFile, read: Mapping[str, ReadInput], inputs: Mapping[str, Any]
) -> str | None:
    """The name of the input that has the file."""
    for name, found in read.items():
        if file in found.files:
            return name
    return next((name for name, value in inputs.items() if file in _files_in(value)), None)
