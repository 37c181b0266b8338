"""Mistakes in the work that the scheduler does for one step: an exception, at a random moment of a life.

Each place is a function that the runner calls for a step besides its effect: to evaluate it, to gather
what is in it, to look up its result, to render its request, to record its outcome. The step fails
(kind `internal`), and everything else of the job must go on by its rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

from msgspec import Struct

import orc.scheduler.guard as guarding
from orc.scheduler.branching import BranchEvaluator
from orc.scheduler.core.commands import FinishAttempt, Succeeded
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.folders.workspace import Workspace
from orc.scheduler.rendering import Renderer
from orc.scheduler.result_key import ResultReuse

SHARE = 0.15
"""The share of the seeds with mishaps."""


class Mishap(Struct, frozen=True):
    """An exception at a place, when it is reached for the `count`-th time in a life."""

    place: str
    count: int

    def __str__(self) -> str:
        return f"mishap at {self.place}@{self.count}"


_METHODS: Mapping[str, tuple[type, str]] = {
    "condition": (BranchEvaluator, "_holds"),
    "begin": (BranchEvaluator, "_begin"),
    "gather": (BranchEvaluator, "_gather"),
    "key": (ResultReuse, "_first_command"),
    "render": (Renderer, "request"),
    "files": (Renderer, "files"),
    "log": (Workspace, "read_log"),
}
_PLACES = (*_METHODS, "record")


def random_mishaps(chance: Random) -> tuple[Mishap, ...]:
    """The mishaps of each life of one seed; most seeds have none."""
    if chance.random() >= SHARE:
        return ()
    number = chance.choice((1, 1, 2, 4))
    return tuple(
        Mishap(chance.choice(_PLACES), min(chance.randint(1, 8), chance.randint(1, 8)))
        for _ in range(number)
    )


@contextmanager
def struck_by(mishaps: tuple[Mishap, ...], tell: Callable[[str], None]) -> Iterator[None]:
    """Let the mishaps befall the code inside the block; `tell` hears of each."""
    reached: Counter[str] = Counter()

    def reach(place: str) -> None:
        reached[place] += 1
        for mishap in mishaps:
            if (mishap.place, mishap.count) == (place, reached[place]):
                tell(f"mishap at {place}")
                raise ValueError(f"a mishap at {place}")

    def recorded(state: Any, command: Any) -> Any:
        if isinstance(command, FinishAttempt) and isinstance(command.outcome, Succeeded):
            reach("record")
        return decide(state, command)

    with ExitStack() as patches:
        for place in {mishap.place for mishap in mishaps}:
            if place == "record":
                patches.enter_context(patch.object(guarding, "decide", recorded))
            else:
                owner, name = _METHODS[place]
                broken = _breakable(getattr(owner, name), place, reach)
                patches.enter_context(patch.object(owner, name, broken))
        yield


def _breakable(method: Any, place: str, reach: Callable[[str], None]) -> Any:
    def reached(*told: Any, **more: Any) -> Any:
        reach(place)
        return method(*told, **more)

    return reached
