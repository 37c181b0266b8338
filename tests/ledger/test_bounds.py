"""The bounds of a stored value: each is accepted at the bound and refused one above it."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from orc.ledger import bounds
from orc.ledger.bounds import (
    INTEGER_DIGITS_MAX,
    LEVELS_MAX,
    Size,
    Unstorable,
    check_value,
)
from orc.ledger.digest import canonical_json
from orc.ledger.packing import pack
from tests.each_case import each_case

LARGEST = 10**INTEGER_DIGITS_MAX - 1


def nested(levels: int) -> Any:
    """A value of that many levels: lists in lists, the innermost empty."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def shared(rounds: int) -> Any:
    """A list that, written out, has 2 to the power of `rounds` values."""
    value: Any = [0]
    for _ in range(rounds):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "value",
    [LARGEST, -LARGEST, nested(LEVELS_MAX), 1.7e308, 2**64, {"a": [None, True, "ü"]}],
    ids=["digits", "negative", "levels", "float", "bits", "plain"],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_value_at_a_bound_is_written_and_read_again(value: Any, inside: bool) -> None:
    stored = {"x": value} if inside and value != nested(LEVELS_MAX) else value
    payload, blob = pack(stored)
    text = canonical_json(payload.value) if blob is None else blob.decode()
    assert json.loads(text) == stored


@each_case(
    "value, why",
    [
        (LARGEST + 1, "more than 4,300 digits; use a smaller number, or a text"),
        (-LARGEST - 1, "more than 4,300 digits"),
        (1 << 3_400_000, "more than 4,300 digits"),
        (nested(LEVELS_MAX + 1), "more than 200 levels deep; use fewer levels"),
        (nested(100_000), "more than 200 levels deep"),
        (float("inf"), "infinite or NaN"),
        (float("-inf"), "infinite or NaN"),
        (float("nan"), "infinite or NaN"),
        (b"x", "has a bytes, which is not a JSON type"),
        ({1, 2}, "has a set, which"),
        (Decimal(1), "has a Decimal, which"),
        (object(), "has a object, which"),
        ({1: 2}, "a key that is not a text"),
    ],
)
@each_case("inside", [False, True])
def test_a_value_over_a_bound_is_refused_with_the_reason(
    value: Any, why: str, inside: bool
) -> None:
    for check in (check_value, pack):
        with pytest.raises(Unstorable, match=why):
            check({"x": [value]} if inside else value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Unstorable, match="levels"):
        pack(value)


def test_the_number_of_values_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "VALUES_MAX", 5)
    assert check_value([1, [2], 3]) == Size(5, 0)
    for value in ([1, [2, 4], 3], shared(60)):
        with pytest.raises(Unstorable, match="more than 5 values; write it to a file"):
            check_value(value)


def test_the_text_in_a_value_has_a_bound_and_long_integers_count_as_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "BLOB_BYTES_MAX", 40)
    assert check_value({"key": ["x" * 37]}) == Size(3, 40)
    for value in ({"key": ["x" * 38]}, {"y" * 38: "xxx"}, [10**100]):
        with pytest.raises(Unstorable, match="more than 40 B of text"):
            check_value(value)


def test_values_beside_a_value_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "VALUES_MAX", 5)
    assert check_value([1], beside=Size(3, 0)).values == 5
    with pytest.raises(Unstorable):
        check_value([1], beside=Size(4, 0))


def test_a_lower_limit_of_python_lowers_the_bound_of_digits() -> None:
    program = (
        "from orc.ledger.packing import pack\n"
        "pack(10**640 - 1)\n"
        "try: pack(10**640)\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "int_max_str_digits=640", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "more than 640 digits" in done.stdout
