"""The progress of a running job: counts, elapsed time, and an estimate only where one is known."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orc.cli.jobs.state import load_state
from orc.cli.terminal import display, live
from orc.cli.terminal.progress.progress import Progress
from orc.ledger import JobId, LedgerReader
from orc.ledger.events import StepStarted
from orc.projections.history.usual_durations import read_usual_durations
from orc.scheduler.core.fold.evolve import JobState, evolve, initial_state
from orc.scheduler.core.fold.graph import build_graph
from tests.cli.command_line import orc, submit, write

SPEC = """\
project: p
concurrency: 1
steps:
  each: {for_each: [1, 2, 3, 4, 5], as: n, value: "${{ n }}"}
  last: {needs: each, value: "${{ steps.each.output }}"}
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def replayed(upto: str, usual: dict[str, float]) -> tuple[Progress, JobState, Clock]:
    """The progress right after the item `upto` has ended; each event took a second."""
    job = submit(SPEC)
    clock = Clock()
    progress = Progress(usual, clock=clock)
    with LedgerReader.open(Path("runs.db")) as reader:
        whole = load_state(reader, JobId(job))
        state = initial_state(whole.definition, build_graph(whole.definition.steps))
        for recorded in reader.read_stream(JobId(job)):
            evolve(state, recorded)
            progress.take([recorded])
            if isinstance(recorded.event, StepStarted) and "[" in recorded.event.step:
                clock.now += 1.0
            if recorded.event.type == "step.succeeded" and recorded.event.step == upto:
                return progress, state, clock
    raise AssertionError(upto)


def test_without_history_and_with_few_items_there_is_no_estimate(here: Path) -> None:
    progress, state, _ = replayed("each[1]", {})
    assert progress.counts(state) == (2, 7)
    assert progress.left_s(state) is None
    assert progress.text(state) == "2 s"


def test_finished_items_tell_how_long_the_others_take(here: Path) -> None:
    progress, state, _ = replayed("each[2]", {"last": 10.0})
    # Three of five items in three seconds; then the last step as long as in earlier jobs.
    assert progress.left_s(state) == pytest.approx(2.0 + 10.0)
    assert progress.line(state) == "3 of 7 steps ended, 3 s, about 12 s left"


def test_a_step_that_never_ran_before_makes_the_estimate_unknown(here: Path) -> None:
    progress, state, _ = replayed("each[2]", {})
    assert progress.left_s(state) is None


def test_a_running_step_counts_less_the_longer_it_runs(here: Path) -> None:
    progress, state, clock = replayed("each[1]", {"each": 9.0, "last": 1.0})
    assert progress.left_s(state) == pytest.approx(7.0 + 1.0)
    clock.now += 60
    assert progress.left_s(state) == pytest.approx(1.0)


def test_the_latest_jobs_of_the_project_tell_how_long_a_step_takes(here: Path) -> None:
    first, second = submit(SPEC), submit(SPEC)
    submit(SPEC.replace("project: p", "project: other"))
    with LedgerReader.open(Path("runs.db")) as reader:
        usual = read_usual_durations(reader.connection, "p", second)
        (took,) = reader.connection.execute(
            "SELECT duration_s FROM steps WHERE job_id = ? AND name = 'each'", (first,)
        ).fetchone()
        assert read_usual_durations(reader.connection, "unknown", second) == {}
    assert usual.keys() == {"each", "last"}
    assert usual["each"] == took


def test_a_log_of_a_long_job_says_how_far_it_is(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not values, which would end in one commit.
    write("spec.yaml", SPEC.replace('value: "${{ n }}"', "run: 'true'"))
    assert "3 of 7 steps ended" not in orc("run", "spec.yaml").err
    monkeypatch.setattr(display, "PROGRESS_S", 0.0)
    assert "3 of 7 steps ended" in orc("run", "spec.yaml").err


def test_a_display_that_draws_slowly_draws_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic() + 100.0
    now = [start]
    drawn = []

    def draw(table: live.LiveTable) -> str:
        drawn.append(now[0] - start)
        now[0] += 0.5
        return "table"

    table = live.LiveTable()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live.LiveTable, "_render", draw)
    for _ in range(200):
        table._refreshed()
        now[0] += 0.125
    # Ten seconds of rest after half a second of work.
    assert drawn == pytest.approx([0.0, 10.5, 21.0])
