"""Amended jobs, forks and runs of some steps end the same when they are killed at any commit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from orc.scheduler.core.commands import StartJob
from tests.builders import OWNER, amended, reused
from tests.model import Plan, Task
from tests.scheduler.harness import Crash, Stand, stand_for

PLAN = Plan(
    (Task("a"), Task("b", ("a",)), Task("c", ("a",)), Task("d", ("b", "c")), Task("e")),
)


def run_amended(run: Callable[[], Any], stand: Stand) -> None:
    stand.run()
    steps = [found for found in stand.definition.steps if found.id != "e"]
    definition = replace(stand.definition, steps=tuple(steps))
    stand.append(amended(definition, "b", "d", removed=("e",)))
    run()


def run_forked(run: Callable[[], Any], stand: Stand) -> None:
    stand.append(reused("a", output="from elsewhere"), reused("c", output="too"))
    run()


STORIES = {"amended": run_amended, "forked": run_forked}


def ends(story: Callable[..., None], commits: float) -> tuple[bool, Any]:
    """Whether the run died at that commit, and the end of the job after a resume."""
    with stand_for(PLAN) as stand:
        died = False

        def run() -> None:
            nonlocal died
            try:
                stand.run(commits=commits)
            except Crash:
                died = True
                if stand.state().status != "succeeded":
                    stand.run()

        story(run, stand)
        state = stand.state()
        assert state.status == "succeeded"
        starts = [
            event.step
            for event in (recorded.event for recorded in stand.stream())
            if event.type == "step.started"
        ]
        return died, (
            {name: stand.output(name) for name in state.steps},
            {name: starts.count(name) for name in starts if starts.count(name) < 2},
        )


@pytest.mark.parametrize("name", STORIES)
def test_a_run_that_dies_at_any_commit_is_resumed_to_the_same_end(name: str) -> None:
    story = STORIES[name]
    _, (outputs, _) = ends(story, float("inf"))
    for commits in count(1):
        died, (again, _) = ends(story, commits)
        assert again == outputs
        if not died:
            break
    assert commits > 4


def test_what_an_amendment_keeps_runs_once_wherever_the_run_dies() -> None:
    for commits in range(1, 6):
        _, (_, once) = ends(run_amended, commits)
        assert {"a", "c", "e"} <= set(once)


def test_a_run_of_one_step_that_dies_is_resumed_as_a_run_of_all() -> None:
    with stand_for(PLAN) as stand:
        with pytest.raises(Crash):
            stand.run(opening=StartJob(OWNER, only=("b",)), commits=2)
        state = stand.run()
        assert state.status == "succeeded"
        assert {found.status for found in state.steps.values()} == {"succeeded"}
