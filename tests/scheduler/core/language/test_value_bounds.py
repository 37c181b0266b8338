"""The bounds of what expressions and templates compute: at each bound, and one above it."""

from __future__ import annotations

from typing import Any

import pytest

from orc.ledger import bounds
from orc.ledger.bounds import INTEGER_DIGITS_MAX
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language import value_bounds
from orc.scheduler.core.language.filter_bounds import PRECISION_MAX
from orc.scheduler.core.language.templates import parse_condition, parse_template, render_value
from orc.scheduler.core.language.value_bounds import OPERAND_LENGTH_MAX

HALF = 10 ** (INTEGER_DIGITS_MAX // 2)
SCOPE: dict[str, Any] = {
    "half": HALF,
    "almost": HALF // 10,
    "largest": 10**INTEGER_DIGITS_MAX - 1,
    "digits": "9" * INTEGER_DIGITS_MAX,
    "text": "x" * OPERAND_LENGTH_MAX,
    "items": [0] * OPERAND_LENGTH_MAX,
    "float": 1e308,
}


def value_of(source: str) -> Any:
    return parse_template(f"${{{{ {source} }}}}").render(SCOPE)


def refused(source: str, why: str) -> None:
    """The expression fails as a template and as a condition."""
    with pytest.raises(TemplateError, match=why):
        value_of(source)
    with pytest.raises(TemplateError, match=why):
        parse_condition(f"({source}) == 1").evaluate(SCOPE)


def test_an_operand_may_have_a_million_characters_or_items_and_no_more() -> None:
    assert len(value_of("text + 'y'")) == OPERAND_LENGTH_MAX + 1
    assert len(value_of("items + [1]")) == OPERAND_LENGTH_MAX + 1
    assert value_of("0 in items") is True
    for source in (
        "(text + 'y') + 'z'",
        "'z' + (text + 'y')",
        "(items + [1]) + [2]",
        "[2] + (items + [1])",
        "'z' in (text + 'y')",
        "(items + [1]) == items",
    ):
        refused(source, "an operand has more than 1,000,000 characters or items")


@pytest.mark.parametrize(
    ("at", "above"),
    [
        ("almost * half", "half * half"),
        ("largest - 1", "largest + 1"),
        ("-largest + 1", "-largest - 1"),
        ("[largest, -1] | sum", "[largest, 1] | sum"),
        ("largest // 1", "largest // 0.5"),
    ],
)
def test_a_number_that_is_computed_can_always_be_stored(at: str, above: str) -> None:
    assert isinstance(value_of(at), int)
    refused(above, "4,300 digits|too large to convert")


@pytest.mark.parametrize(
    "source", ["float * 10", "float + float", "-float - float", "'inf' | float", "'nan' | float"]
)
def test_no_number_becomes_infinite(source: str) -> None:
    assert value_of("float * 1") == 1e308
    refused(source, "infinite or NaN")


def test_a_text_of_too_many_digits_is_not_read_as_another_number() -> None:
    assert value_of("digits | int") == SCOPE["largest"]
    assert value_of("'no number' | int") == 0
    refused("(digits ~ '9') | int", "4,300 digits")


def test_a_text_that_is_built_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_bounds, "TEXT_CHARS_MAX", 100)
    scope = {"x": "y" * 50, "z": "y" * 50}
    for at, above in (
        ("${{ x ~ x }}", "${{ x ~ x ~ 1 }}"),
        ("${{ x }}${{ x }}", "${{ x }}${{ x }}."),
        ("${{ x + x }}", "${{ x + x + 'y' }}"),
        ("${{ x | replace('y', 'ab') }}", "${{ x | replace('y', 'abc') }}"),
        ("${{ x | indent(40) }}", "${{ x | indent(101) }}"),
        ("${{ [x, z] | join }}", "${{ [x, x, 1] | join }}"),
        ("${{ x | tojson }}", "${{ [x, x] | tojson }}"),
    ):
        assert len(parse_template(at).render(scope)) <= 100
        with pytest.raises(TemplateError, match="more than 100 B"):
            parse_template(above).render(scope)


@pytest.mark.parametrize("name", ["list", "sort", "unique"])
def test_a_text_of_more_than_a_million_characters_becomes_no_list(name: str) -> None:
    assert value_of(f"'xyx' | {name} | length") == (2 if name == "unique" else 3)
    refused(f"(text + 'y') | {name}", "1,000,000 characters")


def test_a_precision_has_a_bound() -> None:
    assert value_of(f"1.5 | round({PRECISION_MAX})") == 1.5
    refused(f"1.5 | round({PRECISION_MAX + 1})", "at most 400")
    refused(f"1.5 | round(-{PRECISION_MAX + 1})", "at most 400")


def test_all_values_of_one_step_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "VALUES_MAX", 10)
    scope = {"x": [1, 2, 3, 4]}
    assert render_value(["${{ x }}", {"y": "${{ x }}"}], scope) == [[1, 2, 3, 4], {"y": scope["x"]}]
    with pytest.raises(TemplateError, match="cannot be used: it has more than 10 values"):
        render_value(["${{ x }}", {"y": "${{ x }}"}, "${{ x[0] }}"], scope)


def test_a_deep_value_is_an_error_of_the_template() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    for source in ("x", "[x]", "x | length", "x | tojson", "x ~ 'y'"):
        with pytest.raises(TemplateError, match=r"200 levels deep|recursion"):
            parse_template(f"${{{{ {source} }}}}").render({"x": deep})


def test_a_message_quotes_only_the_start_of_a_long_key() -> None:
    with pytest.raises(TemplateError) as raised:
        parse_template("${{ x[text] }}").render({"text": "y" * 10**6, "x": {SCOPE["text"]: 1}})
    assert len(str(raised.value)) < 1000
