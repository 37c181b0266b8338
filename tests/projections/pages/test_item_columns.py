"""The columns of the inputs of items: one for each value of a matrix and for each field of a row."""

from __future__ import annotations

from typing import Any

import pytest

from orc.projections.pages.item_columns import COLUMNS_MAX, columns_of, sorted_by


@pytest.mark.parametrize(
    ("values", "labels", "texts"),
    [
        (["a b", "c"], ["Input"], ["a b"]),
        ([[1, 2]], ["Input"], ["[1, 2]"]),
        ([{}], ["Input"], [""]),
        ([{"q": "one", "n": 1}, {"z": None}], ["q", "n", "z"], ["one", "1", ""]),
        (
            [{"model": "m", "case": {"q": "one", "n": 1}}],
            ["model", "q", "n"],
            ["m", "one", "1"],
        ),
        (
            [
                {
                    "item": {"q": "a", "id": 1},
                    "matrix": {"model": {"id": "m", "deep": {"x": {"y": 1}}}},
                }
            ],
            ["q", "item.id", "matrix.model.id", "deep"],
            ["a", "1", "m", "x: y: 1"],
        ),
        ([{" ": 1, "<b>": 2}], ['" "', "<b>"], ["1", "2"]),
        ([{"a": {"b": 1}}, {"a": 2}], ["a"], ["b: 1"]),
    ],
)
def test_each_field_has_a_column(values: list[Any], labels: list[str], texts: list[str]) -> None:
    columns, left = columns_of(values)
    assert ([column.label for column in columns], left) == (labels, 0)
    assert [column.text(values[0]) for column in columns] == texts


def test_the_number_of_columns_is_bounded() -> None:
    columns, left = columns_of([{f"f{number}": number for number in range(200)}])
    assert (len(columns), left) == (COLUMNS_MAX, 200 - COLUMNS_MAX)
    assert columns_of([]) == ((), 0)


def test_numbers_are_sorted_as_numbers_before_texts_and_missing_values_are_last() -> None:
    values = {
        "ten": {"n": 10},
        "none": {},
        "nine": {"n": 9.5},
        "text": {"n": "B"},
        "other": {"n": "a"},
        "list": {"n": [1]},
        "lost": "?",
        "large": {"n": 10**400},
    }
    column = columns_of([values["ten"]])[0][0]
    names = list(values)
    expected = ["nine", "ten", "large", "other", "text", "list"]
    assert sorted_by(column, names, values, is_descending=False) == [*expected, "none", "lost"]
    assert sorted_by(column, names, values, is_descending=True)[:6] == expected[::-1]
