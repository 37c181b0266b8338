"""Durations, costs, counts and sizes, as people read them."""

from __future__ import annotations

import math

import pytest

from orc.ledger.money import nearest_nano_usd
from orc.ledger.wording import (
    ago_text,
    cost_text,
    count_text,
    decision_text,
    duration_text,
    limit_text,
    number_text,
    size_text,
    usd_text,
)
from tests.each_case import each_case
from tests.wording_table import DURATIONS


@each_case("seconds, text", DURATIONS)
def test_a_duration_is_rounded_before_its_unit_is_chosen(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_duration_that_is_not_over_is_empty_and_one_that_is_no_number_unknown() -> None:
    assert duration_text(None) == ""
    assert duration_text(math.inf) == duration_text(math.nan) == "unknown"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3600.0, "just now"),
        (0.9, "just now"),
        (1, "1 s ago"),
        (59.99, "59 s ago"),
        (60, "1 m ago"),
        (3599, "59 m ago"),
        (3600, "1 h ago"),
        (86_399, "23 h ago"),
        (86_400, "1 d ago"),
        (86_400 * 1200, "1,200 d ago"),
        (math.nan, "unknown"),
    ],
)
def test_a_time_of_the_past_is_in_one_unit_and_rounded_down(seconds: float, text: str) -> None:
    assert ago_text(seconds) == text


def test_longer_durations_never_read_shorter() -> None:
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    last = 0.0
    for step in range(1, 4_000):
        seconds = 0.002 * 1.005**step
        words = duration_text(seconds).replace(",", "").split()
        read = sum(
            float(number) * units[unit]
            for number, unit in zip(words[::2], words[1::2], strict=True)
        )
        assert read >= last
        assert abs(read - seconds) <= 0.06 * seconds or seconds < 0.01
        last = read


@each_case(
    "amount, text",
    [
        (0, "$0.00"),
        (1e-9, "$0.0000000010"),
        (2.3e-8, "$0.000000023"),
        (0.000031, "$0.000031"),
        (0.00009996, "$0.00010"),
        (0.00012, "$0.00012"),
        (0.00099996, "$0.0010"),
        (0.0042, "$0.0042"),
        (0.1, "$0.1000"),
        (0.99994, "$0.9999"),
        (0.99996, "$1.00"),
        (1.234, "$1.23"),
        (12.5, "$12.50"),
        (1_204.5, "$1,204.50"),
        (9e6, "$9,000,000.00"),
        (0.3, "$0.3000"),
        (1.005, "$1.00"),
        (1.015, "$1.02"),
        (-0.0042, "-$0.0042"),
        (-3, "-$3.00"),
    ],
)
def test_an_amount_of_money_has_the_digits_that_tell_it_from_nothing(
    amount: float, text: str
) -> None:
    assert usd_text(nearest_nano_usd(amount)) == text


@pytest.mark.parametrize(
    ("known", "calls_unpriced", "text"),
    [
        (None, 0, "free"),
        (0, 0, "free"),
        (1_800_000, 0, "$0.0018"),
        (12_500_000_000, 0, "$12.50"),
        (None, 2, "unknown"),
        (0, 2, "unknown"),
        (1_200_000, 3, "at least $0.0012 (3 calls with unknown prices)"),
        (1_200_000, 1, "at least $0.0012 (1 call with an unknown price)"),
        (1_234_000_000, 1_204, "at least $1.23 (1,204 calls with unknown prices)"),
        (None, None, "unknown"),
        (0, None, "free"),
        (500_000_000, None, "$0.5000"),
    ],
)
def test_a_part_of_a_cost_never_looks_like_the_whole(
    known: int | None, calls_unpriced: int | None, text: str
) -> None:
    assert cost_text(known, calls_unpriced) == text
    assert cost_text(known, calls_unpriced, brief=True) == text.partition(" (")[0]


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "token", "0 tokens"),
        (1, "token", "1 token"),
        (1_204, "token", "1,204 tokens"),
        (-1, "token", "-1 tokens"),
        (10**12, "call", "1,000,000,000,000 calls"),
        (2, "reply", "2 replies"),
        (2, "day", "2 days"),
        (2, "batch", "2 batches"),
        (2, "blob of 1 job", "2 blobs of 1 job"),
    ],
)
def test_a_count_has_its_thousands_apart_and_a_plural(number: int, noun: str, text: str) -> None:
    plural = "blobs of 1 job" if noun == "blob of 1 job" else None
    assert count_text(number, noun, plural) == text


def test_a_number_that_is_not_known_says_so() -> None:
    assert (number_text(None), number_text(0), number_text(1_234_567)) == (
        "unknown",
        "0",
        "1,234,567",
    )


@pytest.mark.parametrize(
    ("limit", "amount", "text"),
    [
        ("max_cost_usd", 2_000_000_000, "$2.00"),
        ("max_cost_usd", 0, "$0.00"),
        ("max_tokens", 5_000, "5,000 tokens"),
        ("max_calls", 1, "1 call"),
    ],
)
def test_what_a_budget_counts_has_its_unit(limit: str, amount: int, text: str) -> None:
    assert limit_text(limit, amount) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (812, "812 B"),
        (1023, "1,023 B"),
        (1024, "1 KiB"),
        (3_482, "3.4 KiB"),
        (10_188, "9.9 KiB"),
        (10_220, "10 KiB"),
        (1_048_000, "1,023 KiB"),
        (1_048_300, "1 MiB"),
        (2**20, "1 MiB"),
        (64 * 2**20, "64 MiB"),
        (2**30, "1 GiB"),
        (2**60, "1,048,576 TiB"),
    ],
)
def test_a_size_is_in_the_unit_that_fits_it(size_bytes: int | None, text: str) -> None:
    assert size_text(size_bytes) == text


def test_a_decision_has_the_person_or_its_timeout() -> None:
    assert decision_text("approve", "ada") == "approve, by ada"
    assert decision_text("reject", None) == "reject, by its timeout"
