"""Each mistake in the form of a YAML text is told with its place, and with what to do."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.source.yaml_mistakes import mistake_in
from orc.scheduler.core.source.yaml_source import parse_yaml
from tests.each_case import each_case

LOADERS = [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)]


@pytest.mark.parametrize("loader", LOADERS, ids=["python", "libyaml"])
@each_case(
    "text, line, remedy",
    [
        ("a:\n\tb: 1\n", 2, "indent with spaces, not with tabs"),
        ("a: @name\n", 1, "begins with @ in quotes"),
        ("a: `date`\n", 1, "begins with ` in quotes"),
        ("a: %d\n", 1, "begins with % in quotes"),
        ("a: *bold* text\n", 1, "begins with * or & in quotes"),
        ("a: echo one: two\n", 1, "has `: ` in quotes"),
        ("a\n  b: 1\n", 2, "correct the indentation or the colons"),
        ("a: {b: c: d}\n", 1, "put a text that has `: `"),
        ("a: [b\nc: 1\n", 2, "close the brackets"),
        ("a:\n  b: [1, 2\n\n", 2, "close the brackets"),
        ('x: 1\na: "b\nc: 1\n', 2, "the quote that begins here has no end"),
        ('a: "\\d+"\n', 1, r"write \\ for a backslash"),
        ("a: - b\n", 1, "begin a list on a line of its own"),
        ('a: "say "hello" now"\n', 1, "correct the indentation or the quotes"),
        ("a:\n  b: 1\n   c: 2\n", 3, "correct the indentation"),
        ("a: |\n  b\nc\n", 3, "write `: ` after a key"),
        ("a: 1\nb: \x1b[31mred\n", 2, "it has the control character U+001B; remove it"),
        ("a: \U0001f600\nb: \x00\n", 2, "it has the control character U+0000; remove it"),
    ],
)
def test_a_mistake_has_its_line_and_a_remedy(
    loader: Any, text: str, line: int, remedy: str
) -> None:
    with pytest.raises(yaml.YAMLError) as refused:
        list(yaml.parse(text, Loader=loader))
    problem = mistake_in(text, refused.value)
    assert problem.line == line
    assert problem.message.startswith("not valid YAML: ")
    assert remedy in problem.message


@each_case(
    "text, piece",
    [
        ("a: {b:}", "write a space after the colon"),
        ("a: 1\na: 2", "rename or remove one of them"),
        ("a: !important", "put a text in quotes"),
        ("a: {{ b }}", "begins with a brace or bracket in quotes"),
        ("b: &b {c: 1}\na:\n  <<: *b", "write the keys here"),
        ("a: *b", "put a text in quotes"),
        ("a: 1\n---\nb: 1", "remove what begins here"),
    ],
)
def test_what_a_spec_must_not_have_is_reported_with_a_remedy(text: str, piece: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_yaml(text, source_name="spec.yaml")
    assert piece in str(refused.value)


def test_a_control_character_in_a_json_file_is_a_problem_of_json() -> None:
    with pytest.raises(SpecError, match=r"a\.json:1:8: not valid JSON"):
        parse_yaml('{"a": "\x07"}', source_name="a.json")
