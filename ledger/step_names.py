"""Step ids: an item is `x[0]` or `x[key]`, a round is `x#1`, a member of a group is `x/member`."""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import islice


def lineage(step_id: str) -> Iterator[str]:
    """The step's id, then the ids of the steps that contain it, innermost first: `x#2`, `x`."""
    yield step_id
    while (place := max(step_id.rfind(mark) for mark in "[#/")) > 0:
        step_id = step_id[:place]
        yield step_id


def container_of(step_id: str) -> str | None:
    """The step that directly contains this one: `x#2` for `x#2/a`; None at the top level."""
    return next(islice(lineage(step_id), 1, None), None)


def is_within(step_id: str, named: Set[str]) -> bool:
    """Whether the step is one of the named steps or inside one of them.

    An amendment that resets or removes the named steps applies to these steps too.
    """
    return not named.isdisjoint(lineage(step_id))


def folder_name(step_id: str) -> str:
    """The file name for a step's log and its artifacts folder.

    `/` becomes `.`, so `review/lint` is `review.lint`. This is unambiguous: ids have no dots.
    """
    return step_id.replace("/", ".")
