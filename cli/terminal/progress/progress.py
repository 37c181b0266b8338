"""Counts the steps of a running job, and estimates how long it will still take.

The estimate is the longest path through what is left: an item takes as long as the items of its step
so far, any other step as long as in earlier jobs of the project. Without both there is none.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

from orc.ledger import LedgerError, LedgerReader, Recorded
from orc.ledger.events import StepPlaced, StepStarted
from orc.ledger.kinds import ENDED
from orc.ledger.wording import count_text, duration_text, number_text
from orc.projections.history.usual_durations import read_usual_durations
from orc.scheduler.core.fold.evolve import JobState

ITEMS_LEAST = 3
"""The number of items that must have ended before the time of the others is estimated from them."""

LEFT_LEAST_S = 1.0


class Progress:
    """The progress of one job. `clock` gives seconds."""

    def __init__(
        self, usual: Mapping[str, float], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._usual = usual
        self._clock = clock
        self._begun = clock()
        self._started: dict[str, float] = {}
        self._order: list[str] = []

    def take(self, recorded: Sequence[Recorded]) -> None:
        """Note when steps started."""
        for item in recorded:
            if isinstance(item.event, StepStarted | StepPlaced):
                self._started[item.event.step] = self._clock()

    def counts(self, state: JobState) -> tuple[int, int]:
        """How many steps have ended, and how many there are, with items that do not exist yet."""
        ended = sum(1 for step in state.steps.values() if step.status in ENDED)
        later = sum(
            step.inside.total - len(step.inside.children)
            for step in state.steps.values()
            if step.inside is not None and step.status not in ENDED
        )
        return ended, len(state.steps) + max(0, later)

    def text(self, state: JobState) -> str:
        """The elapsed time and the estimate: `1 m 05 s, about 3 m 10 s left`."""
        passed = duration_text(self._clock() - self._begun)
        left = self.left_s(state)
        if left is None or left < LEFT_LEAST_S:
            return passed
        return f"{passed}, about {duration_text(left)} left"

    def line(self, state: JobState) -> str:
        """Counts and times on one line, for a log."""
        ended, total = self.counts(state)
        return f"{number_text(ended)} of {count_text(total, 'step')} ended, {self.text(state)}"

    def left_s(self, state: JobState) -> float | None:
        """The seconds until the job ends, as far as earlier steps tell; None if they do not."""
        if not self._order:
            needs = {step.id: step.needs for step in state.definition.steps}
            self._order = list(TopologicalSorter(needs).static_order())
        until: dict[str, float] = {}
        for step_id in self._order:
            left = self._left_of(state, step_id)
            if left is None:
                return None
            before = (until[need] for need in state.graph.steps[step_id].needs if need in until)
            until[step_id] = left + max(before, default=0.0)
        return max(until.values(), default=None)

    def _left_of(self, state: JobState, step_id: str) -> float | None:
        step = state.steps[step_id]
        if step.status in ENDED:
            return 0.0
        usual = self._usual.get(step_id)
        started = self._started.get(step_id)
        if step.status == "waiting" or started is None:
            return None if step.question is not None else usual
        ran = self._clock() - started
        inside = step.inside
        if inside is not None and not state.graph.steps[step_id].is_loop:
            ended = len(inside.children) - inside.open
            if ended >= ITEMS_LEAST:
                return ran / ended * (inside.total - ended)
        return None if usual is None else max(0.0, usual - ran)


def progress_of(state: JobState, job_id: str, database: Path | None) -> Progress:
    """The progress of a job that starts now, with what its project's earlier jobs took."""
    usual: dict[str, float] = {}
    if database is not None:
        try:
            with LedgerReader.open(database) as reader:
                usual = read_usual_durations(reader.connection, state.project, job_id)
        except (LedgerError, sqlite3.Error):
            # The run itself reports a ledger that cannot be read.
            usual = {}
    return Progress(usual)
