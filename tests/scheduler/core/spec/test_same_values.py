"""The same text is the same value, by whichever door it comes in: JSON, YAML, `-i`, or a step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.source.yaml_source import parse_yaml
from orc.scheduler.core.source.yaml_text import write_yaml
from orc.scheduler.core.spec.inputs import read_input
from orc.scheduler.core.spec.model import InputSpec
from orc.scheduler.core.spec.parse import parse_spec
from orc.scheduler.core.strict_json import parse_json
from tests.each_case import each_case
from tests.scheduler.profiles import bounded
from tests.strategies import json_values

TYPES: dict[type, Any] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "list",
    dict: "object",
}


def by_json_file(text: str) -> Any:
    return parse_yaml(f'{{"v": {text}}}', source_name="in.json").value["v"]


def by_json_with_tabs(text: str) -> Any:
    return parse_yaml(f'\ufeff{{\r\n\t"v":\t{text}\r\n}}', source_name="-").value["v"]


def by_yaml_file(text: str) -> Any:
    return parse_yaml(f"v: {text}\n", source_name="in.yaml").value["v"]


def in_a_spec(text: str) -> Any:
    return parse_spec(f"project: p\nsteps:\n  a:\n    value: {text}\n").steps["a"].value


def in_a_spec_of_json(text: str) -> Any:
    spec = f'{{"project": "p", "steps": {{"a": {{"value": {text}}}}}}}'
    return parse_spec(spec, source_name="spec.json").steps["a"].value


def by_option(text: str) -> Any:
    value = json.loads(text)
    if isinstance(value, str):
        return read_input([value], InputSpec(type="list"))[0][0]
    found, problem = read_input(text, InputSpec(type=TYPES[type(value)]))
    assert not problem
    return found


DOORS = [by_json_file, by_json_with_tabs, by_yaml_file, in_a_spec, in_a_spec_of_json, by_option]


@each_case("door", DOORS)
@each_case(
    "text",
    [
        '"\\ud83d\\ude80"', '"a \\/ b"', r'"\\ud83d\\ude80"', r'"\"\\ud83d\ude80\""', '"é🚀"',
        '"\\udc00 \\ud83d"', '"\\u00e9\\n\\t"', '"yes"', '"1e5"', '"012"', '"null"', '""',
        "true", "false", "0", "-0", "1", "12345678901234567890", "-98765432109876543210123",
        "1e5", "1E5", "1e+5", "1.5e-7", "1e100", "1.7976931348623157e308", "0.1", "-0.5", "1.0",
        "[]", "{}", "[1, [2, {}]]", '{"k": "\\ud83d\\ude80", "l": [true, null, 1e5]}',
    ],
)  # fmt: skip
def test_a_json_text_is_the_same_value_everywhere(door: Any, text: str) -> None:
    found, expected = door(text), parse_json(text)
    assert json.dumps(found) == json.dumps(expected)
    assert type(found) is type(expected)


@each_case(
    "text, value",
    [
        (".5", 0.5), ("5.", 5.0), ("+1", 1), ("-.5", -0.5), ("True", True), ("FALSE", False),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("012", "012"),
        ("0x10", "0x10"), ("0o10", "0o10"), ("1_000", "1_000"), ("1:30", "1:30"), ("12e4567", "12e4567"),
        ("2024-01-01", "2024-01-01"), (".inf", ".inf"), (".nan", ".nan"), ("NaN", "NaN"), ("1e", "1e"),
    ],
)  # fmt: skip
def test_a_plain_text_is_the_same_by_file_and_by_option(text: str, value: Any) -> None:
    assert by_yaml_file(text) == value
    assert in_a_spec(text) == value
    assert type(by_yaml_file(text)) is type(value)
    if not isinstance(value, str):
        assert read_input(text, InputSpec(type=TYPES[type(value)])) == (value, "")
    else:
        assert read_input(text, InputSpec(type="string")) == (value, "")
        assert read_input(text, InputSpec(type="number"))[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "duplicate key 'a'"), ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"), ('{"a": 1e400}', "too large"),
        ('{"a": [1}', "1:9: not valid JSON"), ('{"a": 1} x', "not valid JSON"),
        ('{"a": ' + "1" * 4301 + "}", "digits"), ('{"a": ' + "[" * 70 + "]" * 70 + "}", "level"),
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused_in_the_words_of_json(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_yaml(text, source_name="in.json")


def test_a_text_that_is_yaml_and_not_json_is_read_as_yaml() -> None:
    text = "{a: 1, b: [x, 'y'], # note\n c: yes}"
    assert parse_yaml(text, source_name="-").value == {"a": 1, "b": ["x", "y"], "c": "yes"}


def test_json_has_the_places_of_its_keys_and_values() -> None:
    text = '{\n  "a": {"b": [1, "x:,{", 2]},\n  "\\u0063": null\n}'
    found = parse_yaml(text, source_name="-")
    assert found.place(("a", "b", 2)) == (2, 26)
    assert found.place(("a", "b"), key=True) == (2, 9)
    assert found.place(("c",), key=True) == (3, 3)
    with pytest.raises(SpecError, match=r"s\.json:3:29: .*retri"):
        parse_spec(
            '{\n"project": "p",\n"steps": {"a": {"run": "x", "retri": 1}}}', source_name="s.json"
        )


def test_pairs_of_surrogates_are_left_alone_where_a_backslash_is_no_escape() -> None:
    text = "a: '\\ud83d\\ude80'\nb: \\ud83d\\ude80\nc: \"\\ud83d\\ude80\"\nd: |\n  \\ud83d\\ude80\n"
    found = parse_yaml(text, source_name="-").value
    plain = "\\ud83d\\ude80"
    assert found == {"a": plain, "b": plain, "c": "\U0001f680", "d": plain + "\n"}


@bounded(200)
@given(json_values)
def test_a_value_that_is_written_is_read_as_the_same_value(value: Any) -> None:
    for text in (write_yaml({"v": value}), json.dumps({"v": value})):
        assert json.dumps(parse_yaml(text, source_name="-").value) == json.dumps({"v": value})


@pytest.mark.parametrize(
    "text", ["1e5", "012", "yes", "12e3", "~", "1.", "\x85", "a: b", "🚀", "- x"]
)
def test_a_text_that_looks_like_another_value_is_written_as_a_text(text: str) -> None:
    assert parse_yaml(write_yaml([text]), source_name="-").value == [text]
