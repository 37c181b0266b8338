"""Conditions are true or false: the truth of a text, a number or a list is never guessed."""

from __future__ import annotations

from typing import Any

import pytest

from orc.scheduler.core.errors import SpecError, TemplateError
from orc.scheduler.core.language.templates import parse_condition, parse_template
from orc.scheduler.core.spec.parse import parse_spec
from tests.each_case import each_case

SCOPE: dict[str, Any] = {
    "yes": True, "no": False, "text": "false", "empty": "", "one": 1, "zero": 0, "none": None,
    "list": [1], "map": {"a": 1, "flag": False},
}  # fmt: skip


@each_case(
    "condition, holds",
    [
        ("yes", True), ("no", False), ("map.flag", False), ("not no", True),
        ("text == 'false'", True), ("text | bool", False), ("one | bool", True),
        ("yes and no", False), ("no or yes", True), ("no and text", False), ("yes or text", True),
        ("list | length > 0", True), ("none is none", True), ("'a' in text", True),
        ("missing | default(false)", False), ("none | default(false, true)", False),
        ("yes if no else (zero == 0)", True), ("1 < 2 < 3", True), ("true", True),
        ("(empty or 'x') == 'x'", True),
    ],
)  # fmt: skip
def test_a_condition_is_true_or_false(condition: str, holds: bool) -> None:
    assert parse_condition(condition).holds(SCOPE) is holds


@each_case(
    "condition, fix",
    [
        ("text", r"got text: false; write `... == 'true'` or `... \| bool`"),
        ("empty", "== 'true'"), ("one", "> 0"), ("zero", "> 0"), ("none", "is not none"),
        ("list", "length > 0"), ("map", "length > 0"),
        ("not text", "== 'true'"), ("not list", "length"), ("yes and text", "== 'true'"),
        ("text and yes", "== 'true'"), ("text or yes", "== 'true'"), ("no or text", "== 'true'"),
        ("not (yes and one)", "> 0"), ("1 if text else 2", "== 'true'"), ("yes if one else no", "> 0"),
        ("text or 'x'", "== 'true'"),
    ],
)  # fmt: skip
def test_another_value_is_an_error_with_the_fix(condition: str, fix: str) -> None:
    with pytest.raises(TemplateError, match=fix):
        parse_condition(condition).holds(SCOPE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ empty or 'x' }}", "x"), ("${{ none or 'x' }}", "x"), ("${{ text or 'x' }}", "false"),
        ("${{ map and map.a }}", 1), ("${{ none and none.a }}", None), ("${{ yes and 'a' }}", "a"),
        ("${{ 'a' if yes else 'b' }}", "a"), ("${{ not no }}", True),
    ],
)  # fmt: skip
def test_or_and_and_still_choose_values(text: str, value: Any) -> None:
    assert parse_template(text).render(SCOPE) == value


@pytest.mark.parametrize(
    "text", ["${{ 'a' if text else 'b' }}", "${{ not text }}", "${{ text and 'a' or 'b' }}"]
)
def test_a_value_is_not_chosen_by_the_truth_of_a_text(text: str) -> None:
    with pytest.raises(TemplateError, match=r"\| bool"):
        parse_template(text).render(SCOPE)


@each_case("true", [True, 1, 1.0, "true", "True", " yes ", "ON", "1"])
@each_case("false", [False, 0, 0.0, "false", "FALSE", "no", "off", "0"])
def test_the_filter_bool_reads_the_usual_texts(true: Any, false: Any) -> None:
    assert parse_template("${{ x | bool }}").render({"x": true}) is True
    assert parse_template("${{ x | bool }}").render({"x": false}) is False


@pytest.mark.parametrize("value", ["", "y", "2", 2, -1, 0.5, None, [], {}, "nope", "t"])
def test_the_filter_bool_guesses_nothing(value: Any) -> None:
    with pytest.raises(TemplateError, match="neither true nor false"):
        parse_template("${{ x | bool }}").render({"x": value})


STEPS = """\
project: p
inputs: {{deploy: {{}}, count: {{type: integer}}, files: {{type: list}}, ready: {{type: boolean}}}}
env: {{E: a}}
steps:
  text: {{run: echo}}
  data: {{run: echo, output: {{format: json}}}}
  value: {{value: 1}}
  ask: {{approval: Go?}}
  each: {{for_each: [1], value: 1}}
  last: {{{key}, value: 1}}
"""


@each_case(
    "condition",
    [
        "inputs.deploy", "not inputs.deploy", "inputs.count", "inputs.files", "env.E", "project",
        "steps.text.output", "steps.text.status", "steps.text.attempts", "steps.ask.output",
        "steps.each.output", "inputs.ready and inputs.deploy", "inputs.deploy or inputs.ready",
        "inputs.deploy | lower", "steps.value.output | length", "'true'", "steps.text.output ~ ''",
        "inputs.ready if inputs.deploy else false", "inputs['deploy']",
    ],
)  # fmt: skip
def test_a_condition_that_cannot_be_true_or_false_is_refused(condition: str) -> None:
    for key in (f"if: {condition!r}", f'loop: {{until: "{condition}", max_iterations: 2}}'):
        with pytest.raises(SpecError, match="a condition must be true or false"):
            parse_spec(STEPS.format(key=key))


@pytest.mark.parametrize(
    "condition",
    [
        "inputs.deploy == 'true'", "inputs.deploy | bool", "inputs.ready", "not inputs.ready",
        "steps.data.output", "steps.data.output.ok", "steps.value.output", "steps.value.output.x",
        "inputs.count > 0", "inputs.files | length > 0", "always() and inputs.ready", "true",
        "steps.text.output in ['a']", "steps.ask.output.decision == 'approve'",
        "inputs.deploy | default(false)",
    ],
)  # fmt: skip
def test_a_condition_that_may_be_true_or_false_is_accepted(condition: str) -> None:
    parse_spec(STEPS.format(key=f'if: "{condition}"'))


def test_a_condition_inside_a_value_is_checked_too() -> None:
    with pytest.raises(SpecError, match=r"'inputs\.deploy' is a text"):
        parse_spec(
            STEPS.format(key="env: {}").replace(
                "value: 1}", "value: \"${{ 'a' if inputs.deploy else 'b' }}\"}"
            )
        )


@each_case(
    "value, is_refused",
    [
        ("inputs.deploy and 'x'", True), ("inputs.ready and inputs.deploy and 'x'", True),
        ("(inputs.deploy | lower and 'x') or 'y'", True), ("inputs.ready and 'x'", False),
        ("inputs.ready and inputs.deploy", False), ("inputs.files and 'x'", False),
        ("inputs.deploy or 'x'", False), ("steps.data.output and 'x'", False),
    ],
)  # fmt: skip
def test_a_text_before_and_is_refused_in_a_value(value: str, is_refused: bool) -> None:
    spec = STEPS.format(key="if: inputs.ready").replace(
        "value: 1}", f'value: "${{{{ {value} }}}}"}}'
    )
    if not is_refused:
        parse_spec(spec)
        return
    with pytest.raises(SpecError, match=r"a text before `and` .* write `\.\.\. == 'true'`"):
        parse_spec(spec)
