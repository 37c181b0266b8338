"""Measurements that are compared are made in turns, since the speed of a machine changes in seconds.

The first of each turn stands beside the first of all others: the median of such ratios says more than
the ratio of two medians.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


def in_turns(measures: Mapping[Key, Callable[[], Found]], turns: int) -> dict[Key, list[Found]]:
    """What each measurement found in each turn."""
    found: dict[Key, list[Found]] = {key: [] for key in measures}
    for _ in range(turns):
        for key, measure in measures.items():
            found[key].append(measure())
    return found
