"""The fields of inputs: what a form shows for each type, and which values it gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orc.cli.errors import UsageProblem
from orc.cli.jobs.acting.input_forms import fields_of, read_fields
from orc.scheduler.core.spec.inputs import read_input
from orc.scheduler.core.spec.model import InputSpec
from tests.each_case import each_case


def value_of(declared: dict[str, Any], typed: str) -> Any:
    """The value that the job gets; `...` if none is given."""
    spec = InputSpec.model_validate(declared)
    found = read_fields({"x": spec}, {"x": typed}, Path("/specs"))
    if "x" not in found:
        return ...
    value, problem = read_input(found["x"], spec)
    assert not problem
    return value


@each_case(
    "declared, typed, value",
    [
        ({}, "a\r\nb", "a\nb"),
        ({}, "7", "7"),
        ({}, "", ...),
        ({"default": "a"}, "", ""),
        ({"type": "integer"}, "7", 7),
        ({"type": "number"}, "7.5", 7.5),
        ({"type": "number", "default": 1}, "", ...),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "false", False),
        ({"type": "boolean", "required": False}, "", ...),
        ({"type": "boolean", "required": False}, "0", True),
        ({"type": "boolean", "required": False}, "1", False),
        ({"enum": ["a", "true", ""]}, "1", "true"),
        ({"enum": ["a", "true", ""]}, "2", ""),
        ({"enum": [1, 2], "type": "integer"}, "1", 2),
        ({"enum": ["a"]}, "", ...),
        ({"type": "list"}, "a\r\n\r\n b \r\n7", ["a", "b", "7"]),
        ({"type": "list"}, ' ["a", 7]', ["a", 7]),
        ({"type": "list"}, " ", ...),
        ({"type": "list", "default": ["a"]}, " ", []),
        ({"type": "object"}, '{"a": [1]}', {"a": [1]}),
        ({"type": "file"}, " notes.md ", "notes.md"),
        ({"type": "table"}, '[{"a": 1}]', [{"a": 1}]),
    ],
)
def test_a_typed_text_becomes_a_value(declared: dict[str, Any], typed: str, value: Any) -> None:
    assert value_of(declared, typed) == value


def test_a_path_is_relative_to_the_folder_of_the_spec() -> None:
    spec = InputSpec.model_validate({"type": "file"})
    found = read_fields({"x": spec}, {"x": "a.md"}, Path("/specs"))
    assert found["x"].folder == Path("/specs")


@pytest.mark.parametrize("typed", ["2", "-1", "x", "9" * 50, "²"])
def test_a_value_that_is_not_in_the_list_is_refused(typed: str) -> None:
    with pytest.raises(UsageProblem, match="one of the values in the list"):
        value_of({"enum": ["a", "b"]}, typed)


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        ({}, "two\nlines"),
        ({}, "two\r\nlines\r\x1b \u200d\u202e"),
        ({"default": "x"}, ""),
        ({"type": "list"}, ["a", "b"]),
        ({"type": "list"}, ["[", "b"]),
        ({"type": "list"}, [" a", 1, None, "x\ny"]),
        ({"type": "list"}, []),
        ({"type": "object"}, {"a": 1}),
        ({"type": "number"}, 1e300),
        ({"type": "boolean"}, False),
        ({"enum": ["a", "b"]}, "b"),
        ({"enum": [[1], {"a": 2}], "type": "object"}, {"a": 2}),
    ],
)
def test_a_value_that_is_sent_back_as_it_was_shown_does_not_change(
    declared: dict[str, Any], given: Any
) -> None:
    spec = {"x": InputSpec.model_validate(declared)}
    (field,) = fields_of(spec, {"x": given})
    sent = {"x": field.value.replace("\n", "\r\n")}
    assert read_fields(spec, sent, Path("/"), shown={"x": given}) == {}


@pytest.mark.parametrize("default", ["two\r\nlines\x1b", "a\u200db\u2009", "", False, 0, []])
def test_a_default_that_is_sent_back_as_it_was_shown_is_the_default(default: Any) -> None:
    kinds = {bool: "boolean", int: "integer", list: "list"}
    declared = {"default": default, "type": kinds.get(type(default), "string")}
    spec = {"x": InputSpec.model_validate(declared)}
    (field,) = fields_of(spec)
    assert read_fields(spec, {"x": field.value.replace("\n", "\r\n")}, Path("/")) == {}


def test_a_field_shows_the_text_that_it_sends_back() -> None:
    (field,) = fields_of({"x": InputSpec.model_validate({"default": "a\r\nb\u200dc\x1b"})})
    assert field.value == "a\nb\u200dc\\x1b"
