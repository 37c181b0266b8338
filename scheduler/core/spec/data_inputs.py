"""Inputs whose values are files and tables: what may be given for them, and what is to be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from orc.ledger.inputs.read_inputs import DATA_TYPES, ReadInput
from orc.scheduler.core.errors import shown_value
from orc.scheduler.core.spec.model import InputSpec
from orc.scheduler.core.strict_json import parse_json

_OF_TABLES = ("columns", "format", "encoding")
_OF_DATA = (*_OF_TABLES, "allow_empty", "max_size")
_EXPECTED = {
    "file": "the path of a file",
    "files": "a path such as notes/*.md, or a list of paths",
    "table": "the path of a table's file, or a list of mappings",
}
_JSON_LIST = re.compile(r'\s*\[\s*["{]')
"""The beginning of a list in JSON; a path may begin with `[`, too."""


class ReadRequest(Struct, frozen=True):
    """An input that is to be read, and what was given for it: paths, or the rows of a table.

    `folder` is that to which relative paths of a default belong, relative to the spec's folder.
    """

    name: str
    spec: InputSpec
    value: Any
    is_default: bool
    folder: str = ""


def is_data(spec: InputSpec) -> bool:
    """Whether the value of the input is read from files."""
    return spec.type in DATA_TYPES


def data_value(given: Any, spec: InputSpec) -> tuple[Any, str]:
    """What is to be read, and why nothing can be read of it (empty if it can).

    A text that begins with `[` is a list in JSON, as on the command line.
    """
    value = given
    if isinstance(given, ReadInput):
        return given, "" if given.type == spec.type else f"was of type {given.type}; give it anew"
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            value = parse_json(given, is_exact=True)
        except ValueError as error:
            if _JSON_LIST.match(given):
                return given, f"is not JSON: {error}"
    return value, data_problem(value, spec)


def data_problem(value: Any, spec: InputSpec) -> str:
    """Why nothing can be read of the value; empty if it can."""
    if isinstance(value, str):
        return "" if value.strip() else f"must be {_EXPECTED[spec.type]}; got an empty text"
    if isinstance(value, list):
        if spec.type == "files" and all(isinstance(item, str) and item.strip() for item in value):
            return "" if value or spec.allow_empty else "has no path; write `allow_empty: true`"
        if spec.type == "table" and all(isinstance(item, dict) for item in value):
            return ""
    shown = "a list" if isinstance(value, list) else shown_value(value)
    return f"must be {_EXPECTED[spec.type]}; got {shown}"


def key_problems(spec: InputSpec) -> Iterator[tuple[str, str]]:
    """The keys of an input that its type does not have, each with the problem."""
    for key in _OF_DATA:
        if key not in spec.model_fields_set:
            continue
        allowed = ("table",) if key in _OF_TABLES else DATA_TYPES
        if key == "allow_empty":
            allowed = ("files", "table")
        if spec.type not in allowed:
            types = " and ".join(f"`{name}`" for name in allowed)
            yield key, f"is for inputs of type {types} only"
    if is_data(spec) and spec.enum is not None:
        yield "enum", f"is not for inputs of type `{spec.type}`"
