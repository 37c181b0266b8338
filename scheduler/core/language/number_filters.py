"""Filters that sum up a list of numbers: mean, median, standard deviation, quantiles."""

from __future__ import annotations

import math
from typing import Any

from orc.scheduler.core.language.list_filters import ListFilters

_SHOWN_CHARS = 60


class NumberFilters:
    """Each filter takes numbers, or items with the numbers under `attribute`."""

    def __init__(self, lists: ListFilters) -> None:
        self._lists = lists

    def mean(self, value: Any, attribute: Any = None) -> float:
        """The arithmetic mean."""
        numbers = self._numbers(value, attribute)
        return math.fsum(numbers) / len(numbers)

    def median(self, value: Any, attribute: Any = None) -> float:
        """The middle number, or the mean of the two in the middle."""
        return _quantile(self._numbers(value, attribute), 0.5)

    def stdev(self, value: Any, attribute: Any = None) -> float:
        """The standard deviation of a sample (n - 1)."""
        numbers = self._numbers(value, attribute, least=2)
        mean = math.fsum(numbers) / len(numbers)
        return math.sqrt(math.fsum((one - mean) ** 2 for one in numbers) / (len(numbers) - 1))

    def quantile(self, value: Any, share: Any, attribute: Any = None) -> float:
        """The number below which that share of them lies, from 0 to 1, by linear interpolation."""
        is_number = isinstance(share, int | float) and not isinstance(share, bool)
        if not is_number or not 0 <= share <= 1:
            raise ValueError("the share must be a number from 0 to 1")
        return _quantile(self._numbers(value, attribute), share)

    def _numbers(self, value: Any, attribute: Any, *, least: int = 1) -> list[float]:
        found = self._lists.values(value, attribute)
        for place, one in enumerate(found):
            if isinstance(one, bool) or not isinstance(one, int | float):
                raise ValueError(
                    f"item {place} is not a number: {str(one)[:_SHOWN_CHARS]!r}; select the numbers "
                    "first, as in `... | select('number')`"
                )
        if len(found) < least:
            many = "one number" if least == 1 else f"{least} numbers"
            raise ValueError(f"needs at least {many}; got {len(found)}")
        return [float(one) for one in found]


def _quantile(numbers: list[float], share: float) -> float:
    """See Hyndman and Fan (1996), definition 7, which R, NumPy and spreadsheets use."""
    ordered = sorted(numbers)
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
