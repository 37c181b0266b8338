"""Filters and tests that are orc's own: their examples, their bounds, and what they refuse."""

from __future__ import annotations

import json
import math
import re
import statistics
import subprocess
import sys
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.evaluation import FILTERS, TESTS
from orc.scheduler.core.language.filter_examples import FILTER_EXAMPLES, TEST_EXAMPLES
from orc.scheduler.core.language.own_filters import OWN_TESTS
from orc.scheduler.core.language.templates import parse_template
from orc.scheduler.core.language.text_filters import slug
from tests.each_case import each_case

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NUMBERS = st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50)


def value_of(expression: str, **names: Any) -> Any:
    return parse_template(f"${{{{ {expression} }}}}").render(names)


@each_case("text, result", [*FILTER_EXAMPLES.values(), *TEST_EXAMPLES.values()])
def test_each_example_gives_its_result(text: str, result: str) -> None:
    assert value_of(text, steps_output="first\nsecond\n") == json.loads(result)


def test_each_filter_and_test_of_orc_has_an_example() -> None:
    assert set(TEST_EXAMPLES) == set(OWN_TESTS) <= set(TESTS)
    assert set(FILTER_EXAMPLES) < set(FILTERS)
    for name, (text, _) in (FILTER_EXAMPLES | TEST_EXAMPLES).items():
        assert name in text


@given(NUMBERS, st.floats(0, 1))
def test_statistics_are_those_of_the_standard_library(numbers: list[float], share: float) -> None:
    found = {name: value_of(f"x | {name}", x=numbers) for name in ("mean", "median", "stdev")}
    assert math.isclose(found["mean"], statistics.fmean(numbers), rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(found["median"], statistics.median(numbers), rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(found["stdev"], statistics.stdev(numbers), rel_tol=1e-6, abs_tol=1e-3)
    quartiles = statistics.quantiles(numbers, n=4, method="inclusive")
    for place, quartile in zip((0.25, 0.5, 0.75), quartiles, strict=True):
        given_ = value_of(f"x | quantile({place})", x=numbers)
        assert math.isclose(given_, quartile, rel_tol=1e-9, abs_tol=1e-6)
    assert min(numbers) <= value_of("x | quantile(s)", x=numbers, s=share) <= max(numbers)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), TEXTS, min_size=3)))
def test_a_table_survives_csv(rows: list[dict[str, str]]) -> None:
    found = value_of("rows | tocsv | fromcsv", rows=rows)
    assert found == rows


@given(st.lists(st.integers()), st.text())
def test_an_order_follows_from_the_seed_and_loses_nothing(items: list[int], seed: str) -> None:
    first = value_of("x | shuffle(seed)", x=items, seed=seed)
    assert first == value_of("x | shuffle(seed)", x=items, seed=seed)
    assert sorted(first) == sorted(items)
    chosen = value_of("x | sample(3, seed)", x=items, seed=seed)
    assert len(chosen) == min(3, len(items))


@each_case(
    "expression, said",
    [
        ("none | map('upper')", "filter 'map': needs a list; got null; write"),
        ("{'a': 1} | map('upper')", "needs a list; got a mapping; write `... | items`"),
        ("'ab' | select", "needs a list; got a text"),
        (
            "[{'keep': 'False'}] | selectattr('keep')",
            "'keep' is the text 'False', which is neither true nor false; name a test, as in "
            "('keep', 'eq', 'true')",
        ),
        ("[{'a': {'b': 'true'}}] | rejectattr('a.b')", "'a.b' is the text 'true'"),
        ("[1] | map", "give either the name of a filter, or attribute="),
        ("[1] | map(name)", "there is no filter 'run'"),
        ("[{'a': 1}] | map(attribute='b')", "there is no key 'b'; the keys are: a"),
        ("[1] | map(attribute='b')", "a number has no key 'b'"),
        ("[] | mean", "filter 'mean': needs at least one number; got 0"),
        ("[1] | stdev", "needs at least 2 numbers; got 1"),
        ("[1, 'x'] | mean", "item 1 is not a number: 'x'; select the numbers first"),
        ("[1, true] | mean", "item 1 is not a number"),
        ("[1] | quantile(2)", "the share must be a number from 0 to 1"),
        ("[1] | zip([1, 2])", "the lists have different lengths: 1, 2"),
        ("[1] | batch(0)", "the size must be at least 1"),
        ("[1] | batch(9000000, 0)", "the last list would have"),
        ("10 | range(1, 0)", "the step must not be 0"),
        ("9000000 | range", "the list would have more than 1,000,000 items"),
        ("none | split", "needs a text; got null"),
        ("'a' | split('')", "the separator is empty"),
        ("'{' | fromjson", "filter 'fromjson'"),
        ("'a,b\n1' | fromcsv", "line 2 has 1 values, and the first one 2"),
        ("'a,a\n1,2' | fromcsv", "two columns have the same name: 'a'"),
        ("'a' | fromcsv('')", "the delimiter must be one character"),
        ("[1] | tocsv", "item 0 is not a mapping"),
        ("1 | contains(1)", "needs a text, a list or a mapping; got a number"),
        ("'a' | matches('(')", "'(' is not a pattern of RE2"),
        ("'a' | matches(long)", "the pattern has more than 1,000 characters"),
        ("'x' | similarity(huge)", "a text has more than 100,000 characters"),
        ("'x' | date", "'x' is not a time such as"),
        ("1e300 | date", "is not a time such as"),
        ("0 | date('%n')", "the form must have"),
        ("'a' is contains(1)", "test 'contains': needs a text; got a number"),
        ("5 | length", "filter 'length': needs a text, a list or a mapping; got a number"),
        ("none | first", "filter 'first': needs a list; got null"),
        ("'5' | round", "filter 'round': needs a number; got a text"),
        ("[1] | items", "filter 'items': needs a mapping; got a list"),
        ("[1, 'a'] | sort", "filter 'sort': the items have no order: all must be numbers"),
        ("[{}, {}] | max", "filter 'max': the items have no order"),
        ("['a'] | sum", "filter 'sum': the items are not all numbers"),
        ("'a' + 1", "a text and a number cannot be added; `~` joins texts"),
        ("none < 1", "null and a number have no order"),
        ("1 in 'a'", "a number and a text do not suit `in`"),
        ("[1] not in 5", "a list and a number do not suit `in`"),
        ("[1] - 1", "a list and a number cannot be calculated with"),
        ("{'a': 1}[1:]", "a mapping cannot be sliced"),
        ("5[0]", "a number has no key 0"),
        ("none.a", "null has no key 'a'"),
    ],
)
def test_what_a_filter_cannot_do_is_said(expression: str, said: str) -> None:
    names = {"name": "run", "long": "a" * 1001, "huge": "a" * 100_001}
    with pytest.raises(TemplateError) as refused:
        value_of(expression, **names)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "expression", ["[1] | map('run')", "[1] | select('run')", "[1] | rejectattr('a', 'run')"]
)
def test_an_unknown_filter_or_test_in_a_filter_is_found_when_the_spec_is_read(
    expression: str,
) -> None:
    with pytest.raises(TemplateError, match=r"there is no (filter|test) 'run'"):
        parse_template(f"${{{{ {expression} }}}}")


@each_case("expression", ["[] | first", "'' | last", "{} | min", "[] | max(attribute='a')"])
def test_nothing_is_not_a_value(expression: str) -> None:
    with pytest.raises(TemplateError, match="needs at least one item; got none"):
        value_of(expression)
    assert value_of(f"{expression} | default('none')") == "none"
    assert value_of(f"({expression}) is defined") is False


@each_case("name", ["join", "max", "min", "sort", "sum", "unique"])
def test_a_missing_attribute_is_an_error_in_every_filter(name: str) -> None:
    with pytest.raises(
        TemplateError, match=f"filter '{name}': there is no key 'b'; the keys are: a"
    ):
        value_of(f"x | {name}(attribute='b')", x=[{"a": 1}, {"a": 2}])


@each_case(
    "expression, text",
    [
        ("[true, none, 1.0, [1], {'a': none}] | join(' ')", 'true null 1.0 [1] {"a": null}'),
        ("[{'a': true}, {'a': 'b'}] | join('-', attribute='a')", "true-b"),
        ("{'a': 1, 'b': 2} | join", "ab"),
        ("{'a': none} | string", '{"a": null}'),
        ("['é', true] | lower", '["é", true]'),
        ("none | upper", "NULL"),
        ("true | replace(true, none)", "null"),
        ("'aaa' | replace('a', 1, 2)", "11a"),
        ("[none, none] | truncate(3, true, '')", "[nu"),
        (
            "none | trim ~ (true | capitalize) ~ (false | title) ~ (true | indent)",
            "nullTrueFalsetrue",
        ),
        ("[[1, 2]] | wordcount | string", "2"),
    ],
)
def test_the_text_of_another_value_is_its_json(expression: str, text: str) -> None:
    assert value_of(expression) == text


def test_equal_items_are_kept_once() -> None:
    assert value_of("[{'a': 1}, {'a': 1}, '[1]', [1], [1]] | unique") == [{"a": 1}, "[1]", [1]]
    assert value_of("['a', 'A', 'b'] | unique(case_sensitive=true)") == ["a", "A", "b"]
    assert value_of("x | unique(attribute='a')", x=[{"a": 1}, {"a": 1, "b": 2}]) == [{"a": 1}]
    assert value_of("'hello' | unique | join") == "helo"


@each_case(
    "expression, said",
    [
        ("[1] | shuffle", "filter 'shuffle': missing a required argument: 'seed'"),
        ("'a' | upper(1)", "filter 'upper': too many positional arguments"),
        ("[1] | sort(by='a')", "filter 'sort': got an unexpected keyword argument 'by'"),
        ("[1] | first(2)", "filter 'first': too many positional arguments"),
        ("1 | default(1, true, 2)", "filter 'default': too many positional arguments"),
        ("'a' is matches", "test 'matches': missing a required argument: 'pattern'"),
        ("5 is even(1)", "test 'even': too many positional arguments"),
    ],
)
def test_arguments_that_do_not_suit_are_found_when_the_spec_is_read(
    expression: str, said: str
) -> None:
    with pytest.raises(TemplateError, match=re.escape(said)):
        parse_template(f"${{{{ {expression} }}}}")


def test_a_hostile_pattern_takes_linear_time() -> None:
    began = time.process_time()
    assert value_of("x is matches('(a*)*b')", x="a" * 200_000) is False
    assert time.process_time() - began < 5


def test_presence_defaults_and_paths() -> None:
    rows = [{"a": {"b": 1}}, {"a": None}, {}]
    assert value_of("x | selectattr('a', 'defined') | count", x=rows) == 2
    assert value_of("x | selectattr('a', 'undefined')", x=rows) == [{}]
    assert value_of("x | selectattr('a')", x=[{"a": "no"}, {"a": ""}, {"a": True}, {}]) == [
        {"a": "no"},
        {"a": True},
    ]
    assert value_of("x | map(attribute='a.b', default=0)", x=rows) == [1, 0, 0]
    assert value_of("x | map(attribute='0')", x=[[5]]) == [5]
    assert value_of("x | map('default', 'no', true)", x=["", "a"]) == ["no", "a"]
    assert value_of("x | map('round', precision=1)", x=[1.25]) == [1.2]
    assert value_of("x | tocsv", x=[]) == value_of("x | tomarkdown", x=[]) == ""
    assert value_of("'' | fromcsv") == value_of("[] | batch(2, 0)") == []
    assert value_of("x | tomarkdown", x=[{"a": "p|q\nr"}]).endswith("| p\\|q r |")


def test_the_packages_of_filters_load_when_they_are_used() -> None:
    code = (
        "import sys; from orc.scheduler.core.language.templates import parse_template as p; "
        "p('${{ [1] | mean }}').render({}); print({'re2', 'rapidfuzz'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Über die Straße", "uber-die-straße"),
        ("東京 タワー/1", "東京-タワー-1"),
        ("Война и мир", "война-и-мир"),
        ("हिन्दी लेख", "हिन्दी-लेख"),
        ("../..\\x00 a\u202eb", "x00-a-b"),
        ("\u0301\u0301a", "a"),
        ("!?", ""),
    ],
)
def test_a_slug_keeps_the_letters_of_any_script(text: str, wanted: str) -> None:
    assert slug(text) == unicodedata.normalize("NFKC", wanted)
    assert len(slug("東" * 500, 400).encode()) <= 200
