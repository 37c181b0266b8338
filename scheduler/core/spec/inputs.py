"""Reads and checks the values of a spec's inputs."""

from __future__ import annotations

from json import JSONDecodeError
from typing import Any

from orc.ledger.bounds import INNER_LEVELS_MAX, Unstorable, check_value
from orc.ledger.digest import clean_json
from orc.scheduler.core.errors import shown_value
from orc.scheduler.core.source.plain_scalars import read_plain
from orc.scheduler.core.spec.base import no_value
from orc.scheduler.core.spec.data_inputs import data_problem, data_value, is_data
from orc.scheduler.core.spec.model import InputSpec
from orc.scheduler.core.strict_json import parse_json

_SHOWN_CHARS = 200

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}


_FITTING = {"boolean": (bool,), "integer": (int,), "number": (float,)}


def input_problem(value: Any, type_name: str, enum: list[Any] | None) -> str:
    """Why a value does not fit an input's type or enum; empty if it does."""
    is_bool = isinstance(value, bool)
    if not isinstance(value, _TYPES[type_name]) or (is_bool and type_name != "boolean"):
        return f"must be of type {type_name}; got {_shown(value)}"
    if enum is not None and value not in enum:
        return f"must be one of {', '.join(map(_shown, enum))}; got {_shown(value)}"
    return ""


def enum_problem(value: Any, spec: InputSpec) -> str:
    """Why a value in an input's `enum` can never be given; empty if it can."""
    reason = input_problem(value, spec.type, None)
    if not reason:
        return ""
    if spec.type == "string" and isinstance(value, int | float):
        fitting = next(name for name, kinds in _FITTING.items() if type(value) in kinds)
        return f"{reason}; put it in quotes, or write `type: {fitting}`"
    return reason


def default_problem(spec: InputSpec) -> str:
    """Why the default of an input does not fit it; empty if it does, or if there is none."""
    if "default" not in spec.model_fields_set:
        return ""
    if spec.default is None:
        return no_value("for an input that may be left out, write `required: false` in its place")
    if is_data(spec):
        return data_problem(spec.default, spec)
    return input_problem(spec.default, spec.type, spec.enum)


def _shown(value: Any) -> str:
    shown = repr(value) if isinstance(value, dict | list) else shown_value(value)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[: _SHOWN_CHARS - 3]}..."


def is_required(spec: InputSpec) -> bool:
    """Whether the caller must give a value."""
    return spec.required is True or (spec.required is None and spec.default is None)


def _read_scalar(text: str) -> Any:
    """A text that is not JSON, as a file of inputs would have it: `.5`, `True`."""
    try:
        value = read_plain(text.strip())
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text


def read_input(given: Any, spec: InputSpec) -> tuple[Any, str]:
    """The value, and why it does not fit (empty if it does).

    A text is parsed as JSON unless the input's type is `string`; else, as a number or a boolean of
    YAML. Of an input that is read from files, the value is what is to be read.
    """
    if is_data(spec):
        return data_value(given, spec)
    try:
        check_value(given, levels_max=INNER_LEVELS_MAX)
    except ValueError as error:
        return given, f"cannot be stored: {error}"
    value = given = clean_json(given)
    if isinstance(given, str) and spec.type != "string":
        try:
            value = parse_json(given)
            check_value(value, levels_max=INNER_LEVELS_MAX)
        except Unstorable as error:
            return given, f"cannot be stored: {error}"
        except ValueError as error:
            value = _read_scalar(given)
            problem = input_problem(value, spec.type, spec.enum)
            # Of a text that was not meant as JSON, only the type is of interest.
            is_meant = given.lstrip()[:1] in ("{", "[") or not isinstance(error, JSONDecodeError)
            return value, f"{problem}; as JSON: {error}" if problem and is_meant else problem
    return value, input_problem(value, spec.type, spec.enum)
