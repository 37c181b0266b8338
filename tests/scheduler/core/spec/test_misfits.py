"""Wrong types and values out of bounds are named in plain English, for each key of a spec."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.spec.misfits import _WORDS_OF_JOBS, _WORDS_OF_STEPS, wanted_at
from orc.scheduler.core.spec.model import JobSpec
from orc.scheduler.core.spec.parse import parse_spec
from tests.each_case import each_case

SCHEMA = JobSpec.model_json_schema()
SAMPLES: dict[str, Any] = {
    "a text": "x",
    "a whole number": 3,
    "a number": 2.5,
    "true or false": True,
    "a list": [{}],
    "a mapping": {"zz": {}},
    "{file: PATH}": {"file": "x"},
}
PLAIN = re.compile(
    r"\b(should|input|valid|string|str|dict|array|instance|literal)\b", re.IGNORECASE
)
"""Words of pydantic."""


def forms(shape: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of a shape, without references."""
    if "$ref" in shape:
        return forms(SCHEMA["$defs"][shape["$ref"].rpartition("/")[2]])
    if "anyOf" in shape:
        return [form for inner in shape["anyOf"] for form in forms(inner)]
    return [shape]


def places(
    shape: dict[str, Any], path: tuple[str | int, ...] = (), depth: int = 0
) -> Iterator[tuple[tuple[str | int, ...], list[dict[str, Any]]]]:
    """Each place of a spec, down to a depth, with its alternatives."""
    found = forms(shape)
    yield path, found
    if depth == 5:
        return
    for form in found:
        for key, inner in form.get("properties", {}).items():
            if not (key == "steps" and path):
                yield from places(inner, (*path, key), depth + 1)
        if isinstance(form.get("additionalProperties"), dict):
            name = "a" if path == ("steps",) else "named"
            yield from places(form["additionalProperties"], (*path, name), depth + 1)
        if isinstance(form.get("items"), dict):
            yield from places(form["items"], (*path, 0), depth + 1)


PLACES = [(path, found) for path, found in places(SCHEMA) if path not in ((), ("steps",))]


def spec_with(path: tuple[str | int, ...], value: Any) -> str:
    """A spec with the value at the path."""
    for part in reversed(path):
        value = [value] if isinstance(part, int) else {part: value}
    return json.dumps({"project": "p", "steps": {"a": {"value": 1}}} | value)


def dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


def said_at(path: tuple[str | int, ...], value: Any) -> list[str]:
    """What the problems at the path say."""
    try:
        parse_spec(spec_with(path, value))
    except SpecError as error:
        return [problem.message for problem in error.problems]
    return []


def bounds(form: dict[str, Any]) -> Iterator[Any]:
    """Values out of the bounds of a shape."""
    match form.get("type"):
        case "string":
            yield from [""] * ("minLength" in form or "pattern" in form)
            yield from [" é !"] * ("pattern" in form)
            yield from ["x" * (form.get("maxLength", 0) + 1)] * ("maxLength" in form)
            yield from ["no such thing"] * ("enum" in form)
        case "integer" | "number":
            yield from [form.get("minimum", 0) - 1] * ("minimum" in form)
            yield from [form.get("exclusiveMinimum", 0)] * ("exclusiveMinimum" in form)
            yield from [form.get("maximum", 0) + 1] * ("maximum" in form)
        case "array":
            yield from [[]] * ("minItems" in form)
            yield from [[1] * (form.get("maxItems", 0) + 1)] * ("maxItems" in form)
        case "object":
            yield from [{}] * ("minProperties" in form)


@each_case("path, found", PLACES)
def test_each_place_words_wrong_types_and_bounds_in_plain_english(
    path: tuple[str | int, ...], found: list[dict[str, Any]]
) -> None:
    wanted = wanted_at(path)
    is_any = any(
        "type" not in form and "enum" not in form and "const" not in form for form in found
    )
    values = [value for name, value in SAMPLES.items() if name not in wanted and not is_any]
    for value in values:
        for said in said_at(path, value):
            assert "another value" not in said
            check(said)
    for value in (value for form in found for value in bounds(form)):
        about = [said for said in said_at(path, value) if said.startswith(dotted(path))]
        assert about, (path, value)
        for said in about:
            check(said)


def check(said: str) -> None:
    """That a message has no words of pydantic, and names no type that it also refuses."""
    message = said.partition(": ")[2].partition("; got")[0].partition("; known")[0]
    assert not PLAIN.search(re.sub(r"`[^`]*`|'[^']*'", "", message)), said
    assert "does not fit here" not in said, said
    wanted, _, got = said.partition("must be ")[2].partition("; got ")
    if (kind := got.replace("an empty", "a")) in ("a list", "a mapping") and wanted:
        assert kind not in wanted, said


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("steps", "a", "if"), ["x"], "must be a text, true or false; got a list"),
        (("steps", "a", "needs"), {"b": 1}, "must be a text or a list; got a mapping"),
        (("steps", "a", "retry"), ["x"], "must be a whole number or a mapping; got a list"),
        (("project",), "p" * 101, "may have at most 100 characters; got 101"),
        (("steps", "a", "workspace"), "w" * 65, "may have at most 64 characters; got 65"),
        (("steps", "a", "max_turns"), 0, "must be at least 1; got 0"),
        (("steps", "a", "max_turns"), 1001, "must be at most 1,000; got 1001"),
        (("steps", "a", "params", "top_p"), 0, "must be greater than 0; got 0"),
        (("steps", "a", "messages"), [], "must have at least 1 entry; got an empty list"),
        (("steps", "a", "embed", "texts"), [], "must have at least 1 entry; got an empty list"),
        (("steps", "a", "embed", "texts", 0), "", "is empty"),
        (("steps", "a", "embed", "texts"), {}, "must be a text or a list; got an empty mapping"),
        (("steps", "a", "embed"), [], "must be a mapping; got an empty list; write {texts: ...}"),
        (
            ("steps", "a", "tools", 0),
            "./server.py",
            "a file is not a tool; for an MCP server, write {mcp: ./server.py}; got './server.py'",
        ),
        (("steps", "a", "resources", "cpu"), [1] * 101, "may have at most 100 entries; got 101"),
    ],
)
def test_a_message_says_what_may_stand_there(
    path: tuple[str | int, ...], value: Any, message: str
) -> None:
    assert f"{dotted(path)}: {message}" in said_at(path, value)


def test_the_schema_for_editors_has_a_limit_beside_each_form_that_has_it() -> None:
    limits = {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
    beside = [path for path, shape in mappings(SCHEMA) if "anyOf" in shape and limits & {*shape}]
    assert beside == []
    assert {"minItems": 1, "items": {"minLength": 1, "type": "string"}, "type": "array"} in (
        SCHEMA["$defs"]["ToolSpec"]["properties"]["mcp"]["anyOf"]
    )


def mappings(shape: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each mapping of a document with its place."""
    if isinstance(shape, dict):
        yield path, shape
    for key, inner in shape.items() if isinstance(shape, dict) else enumerate(shape):
        if isinstance(inner, dict | list):
            yield from mappings(inner, f"{path}/{key}")


@pytest.mark.parametrize(
    "path",
    [
        ("messages", 0, "content", 0, "text"),
        ("messages", 1, "content"),
        ("embed", "texts", 1),
        ("tools", 0, "description"),
        ("for_each", 1),
        ("env", "NAME"),
        ("files", 1, "path"),
    ],
)
def test_a_place_is_written_with_the_number_of_an_item_in_brackets(
    path: tuple[str | int, ...],
) -> None:
    value: Any = "${{ nothing.at_all }}"
    other = {
        "messages": {"role": "user", "content": "hi"},
        "texts": "a",
        "tools": {"python": "a:b"},
        "for_each": 1,
        "files": {"path": "x.txt"},
    }
    for position in range(len(path) - 1, -1, -1):
        part = path[position]
        key = path[position - 1]
        if isinstance(part, int):
            before = [other[str(key)]] * part if key in other else []
            around = other.get(str(key))
            value = {**around, **value} if isinstance(around, dict) else value
            value = [*before, value]
        else:
            value = {part: value}
    kind = {} if path[0] in ("messages", "embed") else {"run": "true"}
    kind = {"prompt": "hi"} if path[0] == "tools" else kind
    said = said_at(("steps", "a"), {**kind, **value})
    assert any(line.startswith(f"steps.a.{dotted(path)}: ") for line in said), said


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (("steps", "a", "script"), "in orc this is `run`"),
        (("steps", "a", "depends_on"), "in orc this is `needs`"),
        (("steps", "a", "uses"), "in orc this is `workflow`"),
        (("steps", "a", "timeout-minutes"), "in orc this is `timeout`"),
        (("steps", "a", "retries"), "in orc this is `retry: {max_attempts: ...}`"),
        (("steps", "a", "name"), "the name of a step is its key under `steps`"),
        (("steps", "g", "steps", "a", "cmd"), "in orc this is `run`"),
        (("defaults", "working_directory"), "in orc this is `cwd`"),
        (("defaults", "script"), "docs/spec.md lists the keys"),
        (("jobs",), "in orc this is `steps`"),
        (("name",), "in orc this is `project`"),
        (("on",), "a spec does not say when it starts: start it by cron or CI"),
        (("steps", "a", "continue-on-error"), "did you mean 'continue_on_error'?"),
        (("hooks", "failed", "script"), "did you mean 'secrets'?"),
    ],
)
def test_a_key_of_another_tool_is_told_with_the_one_of_orc(
    path: tuple[str | int, ...], hint: str
) -> None:
    assert f"{dotted(path)}: unknown key; {hint}" in said_at(path, "x")


def test_the_words_of_other_tools_lead_to_keys_and_are_none() -> None:
    for keys, words_of in (
        (SCHEMA["$defs"]["StepSpec"]["properties"], _WORDS_OF_STEPS),
        (SCHEMA["properties"], _WORDS_OF_JOBS),
    ):
        words = [word for found in words_of.values() for word in found.split()]
        assert not keys.keys() & set(words)
        assert len(words) == len(set(words))
        assert {meant.partition(":")[0] for meant in words_of} <= keys.keys()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("steps", "a", "output"), "json", "must be a mapping; got 'json'; write {format: json}"),
        (("inputs", "x"), "string", "must be a mapping; got 'string'; write {type: string}"),
        (("inputs", "x"), "many", "must be a mapping; got 'many'"),
    ],
)
def test_a_word_in_place_of_a_mapping_is_told_with_its_key(
    path: tuple[str | int, ...], value: str, said: str
) -> None:
    assert f"{dotted(path)}: {said}" in said_at(path, value)
