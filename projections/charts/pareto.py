"""The best of what is on offer: points for which no other costs less and scores higher."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The places of the points (cost, score) that no other point beats, by rising cost.

    A point beats another one if it costs at most as much and scores at least as high, and is better
    in one of them. Of equal points, all are on the front.
    """
    found: list[int] = []
    best = float("-inf")
    for place in sorted(range(len(points)), key=lambda at: (points[at][0], -points[at][1])):
        cost, score = points[place]
        if score > best or (found and points[found[-1]] == (cost, score)):
            found.append(place)
            best = score
    return found
