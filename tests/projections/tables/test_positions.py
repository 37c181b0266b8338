"""The positions of the rows of steps, and that an item's rows cost no more in a larger job."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orc.ledger import Ledger, Recorded
from orc.ledger.definition import ForEachDef, StepDef
from orc.ledger.events import JobAmended, JobSubmitted, StepExpanded
from orc.projections.tables.verify import TableChecker
from orc.scheduler.core.commands import AmendJob, CancelJob, ExpandStep, ResumeJob
from orc.scheduler.core.fold.containers import child_ids
from tests.builders import OWNER, amended, job, step
from tests.projections.contained import contained_stories
from tests.projections.support import Story, begun, ledger_of, tables

_OPCODES_A_TICK = 50
_GROWTH_MAX = 1.2
"""How much more an item may cost in a job of ten times as many items; the trees are deeper."""


def _positions_of(story: Story) -> dict[str, int]:
    """The position of each row: the index in the spec, or the number of rows before a child."""
    found: dict[str, int] = {}
    for recorded in story.stream:
        match recorded.event:
            case JobSubmitted() | JobAmended():
                spec = recorded.event.spec.value
                assert isinstance(spec, dict)
                found |= {one["id"]: index for index, one in enumerate(spec["steps"])}
            case StepExpanded():
                for child in recorded.event.children:
                    found.setdefault(child, len(found))
            case _:
                pass
    return found


def _positions_in(ledger: Ledger) -> dict[str, int]:
    return dict(ledger.connection.execute("SELECT name, position FROM steps"))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(contained_stories(), st.lists(st.integers(0, 400), max_size=12))
def test_a_child_has_the_number_of_the_rows_before_it(story: Story, cuts: list[int]) -> None:
    places = sorted({0, len(story.stream), *(cut % (len(story.stream) + 1) for cut in cuts)})
    batches = (story.stream[start:end] for start, end in pairwise(places))
    with ledger_of(story, batches=batches) as ledger:
        assert _positions_in(ledger) == _positions_of(story)


def test_positions_of_an_amended_job_equal_those_of_a_rebuild() -> None:
    story = _expanded(3)
    story.tell(CancelJob(at_once=True))
    each, last = story.definition.steps
    # The amended spec has more steps than before, in another order: its rows move and collide.
    changed = job(step("new"), each, step("newer"), last)
    story.tell(AmendJob(amended(changed, "each")), ResumeJob(OWNER))
    story.tell(ExpandStep("each", child_ids("each", each, tuple("abcde"))))
    with ledger_of(story, batches=_one_by_one(story)) as ledger:
        live = tables(ledger)
        positions = _positions_in(ledger)
        ledger.rebuild()
        assert tables(ledger) == live
    assert positions == _positions_of(story)
    assert [positions[f"each[{key}]"] for key in "012abcde"] == [2, 3, 4, 7, 8, 9, 10, 11]


def _one_by_one(story: Story) -> Iterator[Sequence[Recorded]]:
    for recorded in story.stream:
        yield [recorded]


def _each() -> StepDef:
    return step("each", for_each=ForEachDef(items=[1]))


def _expanded(items: int) -> Story:
    """A fan-out that has expanded, before a step that waits for it."""
    story = begun(_each(), step("last", needs="each"))
    keys = tuple(map(str, range(items)))
    return story.tell(ExpandStep("each", child_ids("each", _each(), keys)))


def _run(items: int) -> Story:
    story = _expanded(items)
    for number in range(items):
        story.start(f"each[{number}]").succeed(f"each[{number}]", number)
    return story


def _run_in_groups(items: int) -> Story:
    """Each item expands by an event of its own."""
    groups = step(
        "each", kind="group", steps=(step("m"), step("n")), for_each=ForEachDef(items=[1])
    )
    story = begun(groups)
    keys = tuple(map(str, range(items)))
    story.tell(ExpandStep("each", child_ids("each", groups, keys)))
    for number in range(items):
        name = f"each[{number}]"
        story.tell(ExpandStep(name, child_ids(name, story.state.graph.steps[name])))
    return story


def _amended(items: int) -> Story:
    """After the amendment that adds a step, the items expand to the rows that they have."""
    story = _expanded(items)
    story.tell(CancelJob(at_once=True))
    more = job(*story.definition.steps, step("new"))
    story.tell(AmendJob(amended(more, "each", "last")), ResumeJob(OWNER))
    keys = tuple(map(str, range(items)))
    return story.tell(ExpandStep("each", child_ids("each", _each(), keys)))


def _reset(items: int) -> Story:
    """An amendment that resets every step of a wide spec, with the items of one."""
    story = begun(_each(), *(step(f"s{number}") for number in range(items)))
    keys = tuple(map(str, range(items)))
    story.tell(ExpandStep("each", child_ids("each", _each(), keys)), CancelJob(at_once=True))
    names = [found.id for found in story.definition.steps]
    return story.tell(AmendJob(amended(story.definition, *names)))


class _Ticks:
    """Counts the opcodes that SQLite runs in a connection: the work, without clocks."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.count = 0
        connection.set_progress_handler(self._tick, _OPCODES_A_TICK)

    def _tick(self) -> int:
        self.count += 1
        return 0


def _ticks_to_verify(story: Story) -> int:
    with (
        ledger_of(story) as ledger,
        closing(TableChecker(ledger.path)) as checker,
    ):
        # The first call makes the connection.
        assert list(checker.problems(story.job_id)) == []
        assert checker._connection is not None
        ticks = _Ticks(checker._connection)
        assert list(checker.problems(story.job_id)) == []
        return ticks.count


def _ticks_to_append(story: Story) -> int:
    with ledger_of() as ledger:
        ticks = _Ticks(ledger.connection)
        for batch in _one_by_one(story):
            ledger.append(batch)
        return ticks.count


@pytest.mark.parametrize("made", [_run, _run_in_groups, _amended, _reset])
def test_an_item_costs_the_same_in_a_job_of_ten_times_as_many(made: Callable[[int], Story]) -> None:
    stories = {items: made(items) for items in (100, 1_000)}
    for measure in (_ticks_to_append, _ticks_to_verify):
        small, large = (measure(story) / items for items, story in stories.items())
        assert large < small * _GROWTH_MAX, measure.__name__
