"""Amounts of money are whole nano-dollars: sums are exact, and no rounding exceeds a budget."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.ledger.codec import load_event
from orc.ledger.money import (
    NANO_PER_USD,
    NANO_USD_MAX,
    exact,
    limit_nano_usd,
    nearest_nano_usd,
    usd_number,
)

amounts = st.integers(min_value=0, max_value=10**15)


@pytest.mark.parametrize(
    ("usd", "nano_usd"),
    [
        (0.3, 300_000_000),
        (0.1 + 0.2, 300_000_000),
        (1, 1_000_000_000),
        (1e-9, 1),
        (0.000_000_001_9, 1),
        (1e300, NANO_USD_MAX),
        (0.0, 0),
    ],
)
def test_a_limit_is_the_decimal_that_a_person_wrote_rounded_down(usd: float, nano_usd: int) -> None:
    assert limit_nano_usd(usd) == nano_usd


@pytest.mark.parametrize("usd", [inf, -inf, nan])
def test_no_amount_is_made_of_an_invalid_number(usd: float) -> None:
    with pytest.raises(ValueError, match="Invalid literal for Fraction"):
        exact(usd)


@given(amounts)
def test_the_number_for_programs_has_no_more_digits_than_the_amount(nano_usd: int) -> None:
    shown = json.dumps(usd_number(nano_usd))

    assert Fraction(shown) == Fraction(nano_usd, NANO_PER_USD)
    assert nearest_nano_usd(usd_number(nano_usd)) == nano_usd


@given(st.lists(st.integers(0, 10**10), max_size=30))
def test_amounts_that_were_added_as_floats_are_found_again(costs: list[int]) -> None:
    assert nearest_nano_usd(float(sum(map(usd_number, costs)))) == sum(costs)


@pytest.mark.parametrize(
    ("type_name", "stored", "fields"),
    [
        ("budget.raised", {"max_cost_usd": 0.1 + 0.2}, {"max_cost_nano_usd": 300_000_000}),
        ("budget.raised", {"max_tokens": 5}, {"max_cost_nano_usd": None, "max_tokens": 5}),
        (
            "budget.exceeded",
            {"limit": "max_cost_usd", "maximum": 0.3, "spent": 0.1 + 0.1, "needed": 0.1},
            {"maximum": 300_000_000, "spent": 200_000_000, "needed": 100_000_000},
        ),
        (
            "budget.exceeded",
            {"limit": "max_tokens", "maximum": 30.0, "spent": 20.0, "needed": 11.0},
            {"maximum": 30, "spent": 20, "needed": 11},
        ),
    ],
)
def test_an_event_in_us_dollars_is_read_in_nano_dollars(
    type_name: str, stored: dict[str, object], fields: dict[str, object]
) -> None:
    step = "a" if type_name == "budget.exceeded" else None
    event = load_event(type_name, step=step, attempt=None if step is None else 1, data=dict(stored))

    assert {name: getattr(event, name) for name in fields} == fields


def test_longer_amounts_never_become_smaller_limits() -> None:
    written = [float(f"0.{digits:04}") for digits in range(0, 10_000, 7)]

    for less, more in pairwise(map(limit_nano_usd, written)):
        assert less < more
