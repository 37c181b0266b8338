"""What is said of a file that cannot be where another one is."""

from __future__ import annotations

import pytest

from orc.ledger.definition import LoopDef
from orc.ledger.events import ChildShape, StepExpanded
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.rules.files import find_conflict
from tests.builders import job, running, started, step, succeeded, written

LOOP = job(step("l", loop=LoopDef(max_iterations=2)), step("b"))
EACH_ROUND = "a path must be a file in each round, or a folder in each round"


def round_of(number: int) -> StepExpanded:
    return StepExpanded(
        step="l",
        attempt=1,
        children=(f"l#{number}",),
        first=number,
        total=number,
        shapes=(ChildShape(kind="value"),),
    )


def after_round(path: str) -> JobState:
    """The second round is there, and the first one has written the path."""
    first = (started("l"), round_of(1), started("l#1"), written("l#1", path), succeeded("l#1"))
    return running(LOOP, *first, round_of(2))


@pytest.mark.parametrize(
    ("before", "writer", "path", "said"),
    [
        ("p/a", "l#2", "p/a", None),
        (
            "p/a",
            "l#2",
            "p/a/b",
            f"p/a/b needs a folder at p/a, where a file was written by step 'l#1'; {EACH_ROUND}",
        ),
        (
            "p/a/b",
            "l#2",
            "p/a",
            "p/a is a file, and p/a/b, in a folder of this name, was written by step 'l#1'; "
            f"{EACH_ROUND}",
        ),
        (
            "p/a",
            "b",
            "p/a/b",
            "p/a/b needs a folder at p/a, where a file was written by step 'l#1'; rename one of them",
        ),
        (
            "p/a",
            "b",
            "p/a",
            "p/a was already written by step 'l#1'; write each file in one step only",
        ),
        (
            "p/a",
            "l#2",
            "p/A",
            "p/A conflicts with p/a, which was written by step 'l#1'; rename one of them",
        ),
    ],
)
def test_a_conflict_of_two_files_says_which_is_what(
    before: str, writer: str, path: str, said: str | None
) -> None:
    assert find_conflict(after_round(before), writer, [path]) == said


def test_an_empty_folder_where_an_earlier_round_wrote_a_file_is_reported() -> None:
    said = find_conflict(after_round("p/a"), "l#2", [], ["p/a"])
    assert said == f"p/a is an empty folder, and was written as a file by step 'l#1'; {EACH_ROUND}"
