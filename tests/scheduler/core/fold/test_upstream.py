"""Which files a step may see, and which files of others it may replace."""

from __future__ import annotations

import pytest

from orc.ledger.events import AnyEvent
from orc.scheduler.core.commands import ExpandStep
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.fold.upstream import Upstream, may_replace
from orc.scheduler.core.rules.decide import decide
from tests.builders import job, running, started, step, succeeded, written
from tests.scheduler.flows import job_of


@pytest.mark.parametrize(
    ("owner", "step", "may"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("d#1", "d#2", True),
        ("d#1", "d#12", True),
        ("d#2/a", "d#3/b", True),
        ("d#1/e#1", "d#1/e#2", True),
        ("g/d#1/x", "g/d#2", True),
        ("x[0]/d#1", "x[0]/d#2", True),
        ("d#2", "d#1", False),
        ("d", "d#1", False),
        ("d#1", "d", False),
        ("d#1", "e#2", False),
        ("x[0]/d#1", "x[1]/d#2", False),
        ("d#1/a", "d#1/b", False),
    ],
)
def test_only_a_later_round_of_the_same_loop_may_replace_a_file_of_another_step(
    owner: str, step: str, may: bool
) -> None:
    assert may_replace(owner, step) is may


def wrote(step_id: str) -> list[AnyEvent]:
    """The step ran, and wrote one file."""
    name = step_id.replace("/", "-")
    return [started(step_id), written(step_id, f"demo/{name}"), succeeded(step_id)]


def seen(state: JobState, step_id: str) -> list[str]:
    files = Upstream(state).files(step_id)
    assert all(owned.file.path == path for path, owned in files.items())
    return [path.removeprefix("demo/") for path in files]


def test_a_step_sees_the_files_of_what_it_depends_on_directly_or_not_by_path() -> None:
    steps = (step("z"), step("b", needs="z"), step("a"), step("c", needs=("b", "a")))
    definition = job(*steps, step("d", needs="c"), step("e", needs=("d", "z")), step("apart"))
    ran = [event for name in ("z", "b", "a", "apart") for event in wrote(name)]
    silent = [event for name in "cd" for event in (started(name), succeeded(name))]
    state = running(definition, *ran, *silent)
    assert seen(state, "z") == seen(state, "a") == seen(state, "apart") == []
    assert seen(state, "b") == ["z"]
    assert seen(state, "c") == seen(state, "d") == seen(state, "e") == ["a", "b", "z"]
    assert Upstream(state).files("c")["demo/a"].step == "a"


def test_a_step_sees_no_files_before_any_is_written() -> None:
    assert Upstream(running(job(step("a"), step("b", needs="a")))).files("b") == {}


LOOP = job_of("""
project: demo
steps:
  before: {value: 1}
  apart: {value: 1}
  draft:
    needs: before
    loop: {until: "false", max_iterations: 9}
    steps:
      write: {value: 1}
      judge: {needs: write, value: 1}
      other: {value: 1}
""")


def test_a_round_of_a_loop_sees_the_rounds_before_it_and_what_the_loop_depends_on() -> None:
    before = [*wrote("before"), *wrote("apart")]
    rounds = [
        [f"draft#{number}", *(f"draft#{number}/{name}" for name in ("write", "judge", "other"))]
        for number in (1, 2, 3)
    ]
    events = list(before)
    for name, *members in rounds:
        state = running(LOOP, *events)
        events += decide(state, ExpandStep("draft", (name,)))
        state = running(LOOP, *events)
        events += decide(state, ExpandStep(name, tuple(members)))
        events += [event for member in members for event in wrote(member)]
        events.append(succeeded(name))
    state = running(LOOP, *events)
    first, second = (
        [f"draft#{number}-{name}" for name in ("judge", "other", "write")] for number in (1, 2)
    )
    assert seen(state, "draft") == ["before"]
    assert seen(state, "draft#1") == seen(state, "draft#1/write") == ["before"]
    assert seen(state, "draft#1/judge") == ["before", "draft#1-write"]
    assert seen(state, "draft#2/other") == ["before", *first]
    assert seen(state, "draft#3/judge") == ["before", *first, *second, "draft#3-write"]


ITEMS = job_of("""
project: demo
steps:
  before: {value: 1}
  each: {needs: before, for_each: [1, 2], value: 1}
  after: {needs: each, value: 1}
""")


def test_an_item_sees_no_files_of_other_items_and_a_step_after_it_sees_all() -> None:
    events = wrote("before")
    events += decide(running(ITEMS, *events), ExpandStep("each", ("each[0]", "each[1]")))
    events += [*wrote("each[0]"), *wrote("each[1]"), succeeded("each")]
    state = running(ITEMS, *events)
    assert seen(state, "each[0]") == seen(state, "each[1]") == ["before"]
    assert seen(state, "after") == ["before", "each[0]", "each[1]"]
