"""Any expression at all has a value or is an error of the template, soon and without doing anything."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import lru_cache
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.ledger.digest import canonical_json
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.templates import parse_condition, parse_template
from tests.each_case import each_case
from tests.fuzz.mutations import token_soup
from tests.fuzz.watched import watched
from tests.scheduler.profiles import bounded

SCOPE: dict[str, Any] = {
    "steps": {"a": {"output": {"x": [1, 2, "y"], "n": 10**17}, "status": "failed", "error": None}},
    "inputs": {"b": "text", "e": ""},
    "env": {},
    "job": {"id": "j"},
    "project": "p",
    "task_description": None,
    "item": [{"a": 1}, [], None],
    "a": "aaaa",
    "b": [3, 1, 2],
    "long": "x" * 500_000,
    "success()": True,
    "failure()": False,
    "always()": True,
    "cancelled()": False,
}
LONGEST_S = 5.0


def evaluate(source: str) -> Any:
    """The value of the expression, both ways, under watch; TemplateError comes out."""
    _warm_up()
    started = time.process_time()
    try:
        with watched():
            with suppress(TemplateError):
                parse_condition(source).evaluate(SCOPE)
            return parse_template(f"${{{{ {source} }}}}").render(SCOPE)
    finally:
        assert time.process_time() - started < LONGEST_S


@lru_cache(maxsize=1)
def _warm_up() -> None:
    """Have all of Jinja imported: an import does what an expression may not."""
    parse_template("${{ (a | join(',')) ~ 1 }}").render(SCOPE)


@bounded(300)
@given(st.integers(0, 2**32))
def test_any_tokens_have_a_value_or_are_an_error(seed: int) -> None:
    _try(token_soup(Random(seed)))


@pytest.mark.torture
@bounded(50_000)
@given(st.integers(0, 2**32))
def test_any_tokens_have_a_value_or_are_an_error_for_long(seed: int) -> None:
    _try(token_soup(Random(seed)))


@bounded(100)
@given(st.text(max_size=60))
def test_any_text_has_a_value_or_is_an_error(text: str) -> None:
    _try(text)


def _try(source: str) -> None:
    with suppress(TemplateError):
        canonical_json(evaluate(source)).encode()


@each_case(
    "source",
    [
        "'a' * 1000000000",
        "long ~ long | indent(1000000000)",
        "'a\nb' | indent(999999999999)",
        "long | replace('', long)",
        "long | replace('x', long)",
        "long | replace(old='x', new=long, count=1000)",
        "long | join(long)",
        "1.5 | round(9999999, 'ceil')",
        "1.5 | round(precision=-99999999, method='floor')",
        "[[1]] | sum(start=[])",
        "9 ** 999999999",
        "range(1000000000)",
        "'%999999999d' % 1",
        "(" * 900 + "1" + ")" * 900,
        "1" + " + 1" * 5_000,
        "-" * 5_000 + "1",
        "not " * 5_000 + "1",
        "[" * 5_000 + "]" * 5_000,
        "9" * 5_000,
        "1" + " if 1 else 1" * 3_000,
        "a" + " | upper" * 3_000,
    ],
)
def test_no_expression_takes_long_or_much(source: str) -> None:
    with pytest.raises(TemplateError):
        evaluate(source)


@each_case("name", ["real", "denominator", "bit_length", "__class__", "__doc__"])
@each_case("use", ["sum", "join(',', ", "sort(", "min(", "max(", "unique("])
def test_no_filter_reads_an_attribute(use: str, name: str) -> None:
    call = f"sum(attribute='{name}')" if use == "sum" else f"{use}attribute='{name}')"
    try:
        value = evaluate(f"b | {call}")
    except TemplateError:
        return
    # As where there is no such key: nothing to join, nothing to compare.
    assert value in (",,", [3, 1, 2], 3, [3])


def test_a_filter_reads_a_key_by_its_name() -> None:
    assert evaluate("[{'real': {'x': 2}}, {'real': {'x': 1}}] | sum(attribute='real.x')") == 3
    assert evaluate("[{'keys': 2}, {'keys': 1}] | sort(attribute='keys')") == [
        {"keys": 1},
        {"keys": 2},
    ]


def test_half_a_character_in_an_expression_is_replaced() -> None:
    assert evaluate(r"'\ud800'") == "\ufffd"
