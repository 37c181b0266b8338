"""Finds columns of tables and fields of files that templates name and that are not there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orc.ledger.inputs.read_inputs import FILE_FIELDS, ReadInput
from orc.scheduler.core.errors import TemplateError, nearest
from orc.scheduler.core.language.expressions import Expression
from orc.scheduler.core.language.input_names import only_input
from orc.scheduler.core.source.paths import Path
from orc.scheduler.core.spec.model import StepSpec
from orc.scheduler.core.spec.references import expressions_in, texts_of

_HANDLED = re.compile(r"\bdefault\b|\bdefined\b|\|\s*d\(")
"""What makes a missing key no error."""
_NAMED_MAX = 20
_MATRIX = "matrix."

_Fields = Mapping[str, tuple[str, tuple[str, ...]]]
"""What the names of items and inputs have, by the name: in words, and the fields."""


def unknown_columns(
    steps: Mapping[str, StepSpec],
    read: Mapping[str, ReadInput],
    base: Path = ("steps",),
    items: _Fields | None = None,
) -> Iterator[tuple[Path, str]]:
    """The texts that name such a column or field, each with the problem."""
    if not read:
        # Only what was read has known columns and fields.
        return
    for step_id, step in steps.items():
        path: Path = (*base, step_id)
        known = {**(items or {})}
        if step.for_each is not None:
            known.pop(step.as_, None)
            for fields in _fields_of_items(step.for_each, read):
                known[step.as_] = fields
        if isinstance(step.matrix, dict):
            known = {name: fields for name, fields in known.items() if not _is_of_matrix(name)}
            for name, given in step.matrix.items():
                known |= {f"{_MATRIX}{name}": each for each in _fields_of_items(given, read)}
        for place, text, where in texts_of(step):
            try:
                expressions = expressions_in(text, where)
            except TemplateError:
                continue
            for expression in expressions:
                for said in _problems(expression, known, read):
                    yield (*path, *place), f"${{{{ {expression.source} }}}}: {said}"
        yield from unknown_columns(step.steps or {}, read, (*path, "steps"), known)


def _fields_of_items(
    given: object, read: Mapping[str, ReadInput]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What the items of a list have, if the list is an input that was read."""
    name = only_input(given)
    found = None if name is None else read.get(name)
    # A table without rows may have no columns either.
    if name is not None and found is not None and (found.type == "files" or found.columns):
        yield _fields(name, found)


def _is_of_matrix(name: str) -> bool:
    return name.startswith(_MATRIX)


def _problems(
    expression: Expression, items: _Fields, read: Mapping[str, ReadInput]
) -> Iterator[str]:
    if _HANDLED.search(expression.source):
        return
    for reference in expression.references:
        match reference.path:
            case (root, field, *_) if root in items:
                what, fields = items[root]
            case ("matrix", str(name), field, *_) if _MATRIX + name in items:
                what, fields = items[_MATRIX + name]
            case ("inputs", name, field, *_) if name in read and read[name].type == "file":
                what, fields = _fields(name, read[name])
            case _:
                continue
        if isinstance(field, str) and field not in fields:
            named = ", ".join(fields[:_NAMED_MAX]) + ", ..." * (len(fields) > _NAMED_MAX)
            hint = nearest(field, fields)
            meant = hint if hint.startswith("; did you mean") else ""
            yield f"{what} has no {field!r}; it has: {named}{meant}"


def _fields(name: str, found: ReadInput) -> tuple[str, tuple[str, ...]]:
    if found.type == "table":
        return f"a row of {found.source} (the input {name})", found.columns
    return "a file", FILE_FIELDS
