"""The names of steps: an item is `x[0]` or `x[key]`, a round `x#1`, a member of a group `x/member`."""

from __future__ import annotations

from collections.abc import Iterator, Set


def lineage(step_id: str) -> Iterator[str]:
    """The step's id, and those of what it is an item, a round or a part of: `x#2`, then `x`."""
    yield step_id
    while (place := max(step_id.rfind(mark) for mark in "[#/")) > 0:
        step_id = step_id[:place]
        yield step_id


def is_within(step_id: str, named: Set[str]) -> bool:
    """Whether the step is one of the named ones, or is inside one of them.

    An amendment that resets or removes the named steps takes the results of these.
    """
    return not named.isdisjoint(lineage(step_id))


def folder_name(step_id: str) -> str:
    """What a step's log and its folder of artifacts are called: its id, where a name takes that.

    A member of a group, `review/lint`, is `review.lint`: no id has a dot.
    """
    return step_id.replace("/", ".")
