"""The fields of a form for the inputs of a spec, and the values that a person typed into them.

A value is given to the use cases as `-i NAME=VALUE` would be, so that both are read and checked alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.read_inputs import beside
from orc.ledger.wording import field_text
from orc.projections.pages.actions import FieldKind, InputField
from orc.scheduler.core.spec.data_inputs import is_data
from orc.scheduler.core.spec.inputs import is_required
from orc.scheduler.core.spec.model import InputSpec

_KINDS: dict[str, FieldKind] = {
    "string": "text",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "list": "lines",
    "object": "json",
    "file": "path",
    "files": "path",
    "table": "path",
}
_HINTS = {
    "lines": "One item a line, or a list in JSON.",
    "json": "An object in JSON.",
    "file": "The path of a file, from the folder of the spec.",
    "files": "A path or pattern such as notes/*.md, from the folder of the spec, or a JSON list.",
    "table": "The path of a file, from the folder of the spec, or a list of rows in JSON.",
}
_NOT_GIVEN = object()


def fields_of(
    declared: Mapping[str, InputSpec], given: Mapping[str, Any] | None = None
) -> tuple[InputField, ...]:
    """The fields of the declared inputs, with the values `given`, or else with the defaults."""
    return tuple(_field(name, spec, (given or {}).get(name)) for name, spec in declared.items())


def read_fields(
    declared: Mapping[str, InputSpec],
    typed: Mapping[str, str],
    folder: Path,
    *,
    shown: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The values of inputs; those that were left empty, or as their fields showed them, are left out.

    `shown` are the values of a job that its form showed. Paths are relative to `folder`. Raises
    UsageProblem.
    """
    found = {}
    for name, spec in declared.items():
        field = _field(name, spec, (shown or {}).get(name))
        text = typed.get(name)
        has_value = shown is not None or spec.default is not None
        if text is None or (has_value and field_text(text) == field.value):
            continue
        value = _value(field, spec, text.replace("\r\n", "\n"), folder)
        if value is not _NOT_GIVEN:
            found[name] = value
    return found


def _field(name: str, spec: InputSpec, given: Any) -> InputField:
    value = spec.default if given is None else given
    kind, hint = _KINDS[spec.type], ""
    options: tuple[str, ...] = ()
    if spec.enum:
        kind, options = "choice", tuple(map(_as_text, spec.enum))
        value = str(spec.enum.index(value)) if value in spec.enum else ""
    elif spec.type == "boolean":
        # A box is ticked or not: an optional input without a default has a third state.
        if value is None and not is_required(spec):
            kind, options, value = "choice", ("true", "false"), ""
        else:
            value = "true" if value is True else "false"
    elif kind == "lines":
        value, hint = _as_lines(value), _HINTS["lines"]
    elif is_data(spec):
        value, hint = _as_path(value), _HINTS[spec.type]
    else:
        value, hint = "" if value is None else _as_text(value), _HINTS.get(kind, "")
    return InputField(
        name,
        kind,
        spec.type,
        field_text(value),
        # What a job has read is there, also if it has no place that the field could show.
        is_required(spec) and not (is_data(spec) and given is not None),
        spec.description or "",
        hint,
        options,
        spec.type == "integer",
    )


def _value(field: InputField, spec: InputSpec, text: str, folder: Path) -> Any:
    if field.kind == "choice":
        if not text:
            return _NOT_GIVEN
        if not (text.isascii() and text.isdigit() and int(text[:6]) < len(field.options)):
            raise UsageProblem(f"inputs.{field.name}: choose one of the values in the list")
        return spec.enum[int(text)] if spec.enum else text == "0"
    if field.kind == "boolean":
        return text == "true"
    if not text.strip():
        # A text or a list that was emptied is empty; of any other type, there is no empty value.
        empty = {"text": "", "lines": []} if field.value else {}
        return empty.get(field.kind, _NOT_GIVEN)
    if field.kind == "lines" and not text.lstrip().startswith("["):
        return [line.strip() for line in text.split("\n") if line.strip()]
    if field.kind == "path":
        return beside(text.strip(), folder)
    return text


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _as_lines(value: Any) -> str:
    if not isinstance(value, list):
        return ""
    is_simple = all(
        isinstance(item, str) and item == item.strip() != "" and "\n" not in item for item in value
    )
    if is_simple and not (value and value[0].startswith("[")):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False, indent=1)


def _as_path(value: Any) -> str:
    return "" if value is None else _as_text(value)
