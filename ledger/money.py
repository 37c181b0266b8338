"""Amounts of money as whole nano-dollars, so that sums are exact, whatever their order.

A nano-dollar is a billionth of a US dollar. A token at $0.15 per million tokens costs 150 of them.
Every amount that is added or compared is an `int` of nano-dollars, and its name ends with
`_nano_usd`. A name that ends with `_usd` alone is a number of US dollars for people and programs:
it is converted once, and never added.

Rules of rounding: the cost of a call, actual or reserved, is rounded up to a whole nano-dollar; a
limit is rounded down. So no budget is exceeded by rounding.
"""

from __future__ import annotations

from functools import lru_cache
from math import floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

NANO_PER_USD = 1_000_000_000

NANO_USD_MAX = 2**53 - 1
"""The largest amount that is recorded: nine million dollars. JSON holds it without a loss."""


@lru_cache(maxsize=256)
def exact(number: float) -> Fraction:
    """The decimal number that a person wrote for this float: 0.1 is a tenth.

    Raises ValueError for an infinite number and for NaN.
    """
    # Imported here: it loads decimal numbers and patterns, and a list of jobs without costs needs none.
    from fractions import Fraction

    return Fraction(repr(number))


def limit_nano_usd(usd: float) -> int:
    """A limit in US dollars as nano-dollars, rounded down, at most `NANO_USD_MAX`."""
    return min(floor(exact(usd) * NANO_PER_USD), NANO_USD_MAX)


def nearest_nano_usd(usd: float) -> int:
    """The nearest amount, at most `NANO_USD_MAX`, to dollars that were added in binary floats."""
    return min(round(exact(usd) * NANO_PER_USD), NANO_USD_MAX)


def usd_number(nano_usd: int) -> float:
    """The amount in US dollars, as the float that is nearest: 300,000,000 is 0.3."""
    return nano_usd / NANO_PER_USD


def optional_usd(nano_usd: int | None) -> float | None:
    """The amount in US dollars; None if it is unknown."""
    return None if nano_usd is None else usd_number(nano_usd)
