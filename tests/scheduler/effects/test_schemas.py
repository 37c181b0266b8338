"""Replies are checked against JSON Schemas exactly, and in time that grows with their size."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orc.scheduler.effects.schemas import find_misfits, first_equal_items
from tests.scheduler.profiles import bounded

UNIQUE = {"type": "array", "uniqueItems": True}
NUMBERS = st.sampled_from([0, -0.0, 1, 1.0, 0.5, 2**53, 2.0**53, 2**53 + 1, 10**22, 1e22, 1e300])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "1", "true", "null", '"', "[]"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from('ab":'), inner, max_size=2)
    ),
    max_leaves=4,
)


def are_equal(one: Any, other: Any) -> bool:
    """Equality of JSON values as the draft defines it (2020-12, 4.2.2), in the plainest way."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(are_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(are_equal(one[key], other[key]) for key in one)
    return bool(one == other)


@given(st.lists(VALUES, max_size=5))
@example([1, True, 1.0])
@example([[1], [True], [1]])
@example([2**53, 2.0**53 + 2, 2**53 + 1])
@example([{"a": 1, "b": 2}, {"b": 2.0, "a": 1.0}])
@example(["1", 1, [1], {"a": 1}, {"a": [1]}])
@bounded(100)
def test_items_are_equal_exactly_where_the_draft_says_so(items: list[Any]) -> None:
    pairs = [
        (earlier, later)
        for later in range(len(items))
        for earlier in range(later)
        if are_equal(items[earlier], items[later])
    ]
    found = first_equal_items(items)
    assert found == (pairs[0] if pairs else None)
    assert bool(find_misfits(items, UNIQUE)) == bool(pairs)


@pytest.mark.parametrize("schema", [{}, {"uniqueItems": False}, {"items": {"uniqueItems": True}}])
def test_equal_items_are_allowed_where_the_schema_says_nothing_else(schema: dict[str, Any]) -> None:
    assert find_misfits([1, 1], schema) == []


def test_a_value_that_is_no_array_has_no_equal_items() -> None:
    assert find_misfits({"a": 1, "b": 1}, {"uniqueItems": True}) == []
    assert find_misfits("aa", {"uniqueItems": True}) == []


def test_equal_items_are_named_by_their_places() -> None:
    schema = {"properties": {"rows": UNIQUE}}
    found = find_misfits({"rows": [{"a": 1}, {"a": 2}, {"a": 1.0}]}, schema)
    assert found == ["$.rows: the items 0 and 2 (from 0) are equal"]


def calls_of(schema: dict[str, Any], value: Any, *, calls_max: int) -> int:
    """How many functions the check calls; it fails at `calls_max`, long before its end."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event.endswith("call")
        if calls > calls_max:
            pytest.fail(f"the check calls more than {calls_max} functions")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        assert find_misfits(value, schema) == []
    finally:
        sys.setprofile(before)
    return calls


def mixed_rows(count: int) -> list[Any]:
    """Objects and numbers, which cannot be sorted; all are different."""
    return [index if index % 2 else {"id": index, "n": [index]} for index in range(count)]


# A reference to the whole schema is where jsonschema would choose its own class by `$schema`.
@pytest.mark.parametrize(
    ("schema", "rows_count"),
    [
        pytest.param({"properties": {"rows": UNIQUE}}, 20_000, id="a member"),
        pytest.param(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "uniqueItems": True,
                "properties": {"rows": {"$ref": "#"}},
            },
            4_000,
            id="a reference",
        ),
    ],
)
def test_many_items_are_compared_in_linear_time(schema: dict[str, Any], rows_count: int) -> None:
    find_misfits({"rows": [1]}, schema)  # what is imported and cached once is not counted
    few = calls_of(schema, {"rows": mixed_rows(rows_count // 10)}, calls_max=100_000)
    assert calls_of(schema, {"rows": mixed_rows(rows_count)}, calls_max=11 * few) > few
