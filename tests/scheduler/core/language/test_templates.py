"""Templates and shell texts: only the spec's own text is parsed; values stay values."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.templates import parse_condition, parse_template, render_value
from orc.scheduler.core.language.values import to_text
from orc.scheduler.core.shell.insertion import parse_shell
from tests.each_case import each_case
from tests.scheduler.profiles import bounded
from tests.strategies import json_values


def render(text: str, **scope: Any) -> Any:
    return parse_template(text).render(scope)


@bounded(100)
@given(json_values)
def test_a_value_that_is_exactly_one_template_keeps_its_type(value: Any) -> None:
    assert render("${{ x }}", x=value) == value
    assert render("${{ (x) }}", x=value) == value


@bounded(100)
@given(st.text().filter(lambda text: "\0" not in text))
def test_a_text_that_a_model_wrote_is_never_read_as_a_template(text: str) -> None:
    hostile = f"${{{{ secret }}}}{text}{{{{ secret }}}}${{{{"
    assert render("<${{ x }}>", x=hostile, secret="no") == f"<{hostile}>"


@pytest.mark.parametrize("text", ["{{ x }}", "{% if x %}", "{# x #}", "${x}", "$x", "}}", "{{ x"])
def test_other_brackets_are_left_alone(text: str) -> None:
    assert render(text, x=1) == text
    assert render(text + "${{ x }}", x=1) == text + "1"


@pytest.mark.parametrize(
    "text", ["${{ y }}", "${{ x.y }}", "${{ x['y'] }}", "${{ l[5] }}", "${{ n.a }}"]
)
def test_a_missing_name_is_an_error_that_quotes_the_expression(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(text, x={}, l=[1], n=None)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "${{ x.__class__ }}",
        "${{ x.upper }}",
        "${{ l.append }}",
        "${{ x['__class__'] }}",
        "${{ d.keys }}",
    ],
)
def test_no_attribute_of_a_value_can_be_reached(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text, x="a", l=[], d={})


@pytest.mark.parametrize(
    "text", ["${{ x() }}", "${{ x.upper() }}", "${{ range(3) }}", "${{ x|map('y') }}"]
)
def test_calls_are_not_allowed(text: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(text)


@pytest.mark.parametrize("text", ["${{", "${{ }}", "${{ 1 + }}", "${{ a b }}", "${{ 'a }}"])
def test_what_does_not_parse_is_a_template_error(text: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ missing | default('d') }}", "d"),
        ("${{ x.y | default(3) }}", 3),
        ("${{ x | default('d') }}", {"a-b": 1}),
        ("${{ x['a-b'] }}", 1),
        ("${{ l | join(', ') }}", "1, 2"),
        ("${{ 'yes' if l | length > 0 else 'no' }}", "yes"),
        ("n=${{ l | length }}, ${{ x }}", 'n=2, {"a-b": 1}'),
        ("${{ l[0] + 1 }}", 2),
        ("${{ {'k': l} }}", {"k": [1, 2]}),
        ("${{ nothing is defined }}", False),
        ("${{ 1 in l and not (3 in l) }}", True),
        ("a\n${{ none }}\n", "a\nnull\n"),
    ],
)
def test_expressions_have_the_expected_values(text: str, value: Any) -> None:
    assert render(text, x={"a-b": 1}, l=[1, 2]) == value


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("{${{ x }}}", ["x"]),
        ('awk "BEGIN{print ${{ x.y | int }}}"', ["x.y | int"]),
        ('${{ {"a": {"b": x}}["a"] }}}}', ['{"a": {"b": x}}["a"]']),
        ("a }} ${{ x + 1 }} }}", ["x + 1"]),
        ("{{${{ x }}}} ${{ '}}' ~ y }}}", ["x", "'}}' ~ y"]),
    ],
)
def test_an_expression_is_quoted_without_the_braces_beside_it(
    text: str, sources: list[str]
) -> None:
    assert [found.source for found in parse_template(text).expressions] == sources


def test_default_handles_a_missing_name_and_no_other_error() -> None:
    with pytest.raises(TemplateError, match="division"):
        render("${{ 1 / 0 | default(1) }}")
    with pytest.raises(TemplateError, match="division"):
        render("${{ (1 / 0) | default(1) }}")


def test_a_steps_lookup_takes_a_literal() -> None:
    assert parse_template("${{ steps['a-b'].output }}").expressions[0].references[0].path == (
        "steps",
        "a-b",
        "output",
    )
    with pytest.raises(TemplateError, match="literal"):
        parse_template("${{ steps[inputs.name].output }}")


def test_values_in_lists_and_mappings_are_rendered_and_keys_are_not() -> None:
    assert render_value({"${{ x }}": ["${{ x }}", 1, None]}, {"x": 2}) == {"${{ x }}": [2, 1, None]}


@pytest.mark.parametrize("text", ["${{ 'a' * 1000000000 }}", "${{ '%1000000000d' % 1 }}"])
def test_no_expression_makes_a_huge_value(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text)


PLACES = [
    "printf '%s\\0' ${{ x }}",
    'printf "%s\\0" "${{ x }}"',
    "printf '%s\\0' \"$(printf '%s' ${{ x }})\"",
    'printf "%s\\0" "$(printf %s "${{ x }}")"',
    "# it's a comment with ` and \"\nprintf '%s\\0' ${{ x }}",
    "echo it\\'s >/dev/null; printf '%s\\0' ${{ x }}",
    "y=${{ x }}; printf '%s\\0' \"$y\"",
    "(printf '%s\\0' ${{ x }})",
    "if true; then printf '%s\\0' ${{ x }}; fi",
    "cat <<EOF >/dev/null\n'\"\nEOF\nprintf '%s\\0' ${{ x }}",
    "printf '%s\\0' ${y:-${{ x }}}",
    "printf '%s\\0' \"${y:-${{ x }}}\"",
    'sh -c \'printf "%s\\0" "$1"\' _ ${{ x }}',
    "case a in a) printf '%s\\0' ${{ x }};; esac",
]
HOSTILE = [
    "",
    "a b",
    "$(touch x)",
    "`id`",
    "'; exit 3; '",
    '"; exit 3; "',
    "*",
    "$HOME ${PATH}",
    "a\nb",
    "\\",
    "-n",
    "#",
    "${{ x }}",
    "ünï \U0001f41d",
]


@each_case("text", PLACES)
@each_case("value", HOSTILE)
def test_a_hostile_value_reaches_the_command_as_one_word_unchanged(text: str, value: str) -> None:
    assert shell(text, value) == value


@bounded(40)
@given(st.sampled_from(PLACES), st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_any_value_reaches_the_command_as_one_word_unchanged(text: str, value: str) -> None:
    if "$(" in text:
        value = value.rstrip("\n")  # which is what the shell does to a command's output
    assert shell(text, value) == value


def shell(text: str, value: str) -> str:
    script = parse_shell(text)
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    env |= {name: to_text(part.evaluate({"x": value})) for name, part in script.variables}
    done = subprocess.run(
        ["/bin/sh", "-ec", script.script], env=env, capture_output=True, timeout=10
    )
    assert done.returncode == 0, done.stderr
    words = done.stdout.split(b"\0")
    assert len(words) == 2, words
    return words[0].decode()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("echo '${{ x }}'", "single quotes"),
        ("echo `echo ${{ x }}`", "backticks"),
        ("cat <<'EOF'\n${{ x }}\nEOF", "heredoc"),
        ("echo \\${{ x }}", "backslash"),
        ("echo \"$(echo '${{ x }}')\"", "single quotes"),
        ('echo "`echo ${{ x }}`"', "backticks"),
    ],
)
def test_a_place_where_the_value_would_not_stay_one_word_is_refused(text: str, where: str) -> None:
    with pytest.raises(TemplateError, match=where):
        parse_shell(text)


def test_an_incomplete_condition_is_reported() -> None:
    with pytest.raises(TemplateError, match="the expression ends too early"):
        parse_condition("steps.a.output >")
