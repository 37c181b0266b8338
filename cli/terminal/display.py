"""The displays of a run: lines, JSON objects, or nothing.

Lines go to stderr; JSON objects go to stdout. The live table is in `live.py`. `make_display.py`
chooses a display.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from orc.cli.errors import ReaderGone
from orc.cli.jobs.owned_job import Ended, Listener
from orc.cli.terminal.next_commands import next_commands
from orc.cli.terminal.progress.progress import Progress, progress_of
from orc.cli.terminal.run_lines import (
    DroppedParams,
    Totals,
    describe_change,
    say_ending,
    say_questions,
)
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger import Recorded
from orc.ledger.money import optional_usd
from orc.ledger.stored_struct import dump
from orc.ledger.wording import count_text
from orc.projections.money.prices import NO_PRICES, PricedCall, PriceTable
from orc.scheduler.core.fold.batch_state import BatchOfJob
from orc.scheduler.core.fold.evolve import JobState

PROGRESS_S = 30.0
"""After this many seconds, a line says how far the job is."""


class Display(Protocol):
    """Shows a run from its submission to its end. It is a context manager around the run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def listener(self) -> Listener:
        """The callbacks for the run."""

    def aside(self) -> AbstractContextManager[None]:
        """A block in which the display leaves the terminal to a question."""

    def done(self, ended: Ended) -> None:
        """Print how the run ended, and the next command."""


class QuietDisplay:
    """Prints nothing, except how the run ended if it did not succeed, or tolerated failures."""

    def __init__(self, prices: PriceTable = NO_PRICES) -> None:
        self.totals = Totals(prices)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def listener(self) -> Listener:
        """See `Display`."""
        return Listener(
            on_job=self.on_job,
            on_events=self.on_events,
            on_delta=self.on_delta,
            on_notice=self.on_notice,
        )

    def on_notice(self, text: str) -> None:
        """A notice about the run for the user."""

    def on_job(self, state: JobState, job_id: str, folder: Path) -> None:
        """The job is durable."""

    def on_events(self, recorded: Sequence[Recorded]) -> None:
        """Events were committed."""
        for item in recorded:
            call = self.totals.take(item)
            if call is not None:
                self.on_call(call)

    def on_call(self, call: PricedCall) -> None:
        """A call has ended and used tokens."""

    def on_delta(self, step: str, text: str) -> None:
        """A model sent a piece of text."""

    def aside(self) -> AbstractContextManager[None]:
        """See `Display`."""
        return nullcontext()

    def done(self, ended: Ended) -> None:
        """See `Display`."""
        if ended.status != "succeeded" or ended.left_alone or self.totals.tolerated.total:
            say_ending(ended, is_quiet=True)


class LineDisplay(QuietDisplay):
    """Prints one line for each change, for logs and pipes."""

    def __init__(self, prices: PriceTable = NO_PRICES, *, database: Path | None = None) -> None:
        super().__init__(prices)
        self._dropped = DroppedParams()
        self._database = database
        self._state: JobState | None = None
        self._progress: Progress | None = None
        self._reported_at = time.monotonic()

    def on_job(self, state: JobState, job_id: str, folder: Path) -> None:
        """See `QuietDisplay`."""
        self._state = state
        self._progress = progress_of(state, job_id, self._database)
        say(
            f"{job_id}  {safe(state.project)}: {count_text(len(state.steps), 'step')}, in {safe(folder)}"
        )

    def on_notice(self, text: str) -> None:
        """See `QuietDisplay`."""
        say(f"orc: {safe(text)}")

    def on_events(self, recorded: Sequence[Recorded]) -> None:
        """See `QuietDisplay`."""
        super().on_events(recorded)
        for item in recorded:
            for line in filter(None, (self._dropped.take(item), describe_change(item))):
                say(f"{item.recorded_at[11:23]}  {line}")
        if self._progress is not None:
            self._progress.take(recorded)
        if recorded and self._state is not None and self._is_due():
            self._say_progress(recorded[-1].recorded_at, self._state)

    def _is_due(self) -> bool:
        return time.monotonic() - self._reported_at >= PROGRESS_S

    def _say_progress(self, at: str, state: JobState) -> None:
        """Say how far a long job is."""
        self._reported_at = time.monotonic()
        if self._progress is not None and state.status == "running":
            used = self.totals.summary()
            said = ", ".join(filter(None, (self._progress.line(state), used)))
            say(f"{at[11:23]}  {said}")

    def done(self, ended: Ended) -> None:
        """See `Display`."""
        say_ending(ended)


class JsonDisplay(QuietDisplay):
    """Prints one JSON object per line on stdout: the launch, each change of a step, the end."""

    def on_job(self, state: JobState, job_id: str, folder: Path) -> None:
        """See `QuietDisplay`."""
        self._put({"event": "launch", "job_id": job_id, "folder": str(folder)})

    def on_events(self, recorded: Sequence[Recorded]) -> None:
        """See `QuietDisplay`."""
        from orc.projections.folder.jsonl import event_object

        super().on_events(recorded)
        for item in recorded:
            if item.event.type.startswith("step."):
                shown = event_object(item)
                kept: dict[str, Any] = {
                    key: shown[key]
                    for key in (
                        "seq",
                        "step",
                        "attempt",
                        "kind",
                        "message",
                        "duration_s",
                        "from_job",
                    )
                    if key in shown
                }
                self._put({"event": item.event.type, "job_id": item.job_id, **kept})

    def done(self, ended: Ended) -> None:
        """See `Display`."""
        totals = Totals.of_job(ended)
        line: dict[str, Any] = {
            "event": "done",
            "job_id": ended.job_id,
            "status": ended.status,
            "cost_usd": optional_usd(totals.spent.total_nano_usd),
            "tokens": totals.tokens,
        }
        if totals.doubts.calls:
            line["in_doubt"] = totals.doubts.value()
        if totals.tolerated.total:
            line["tolerated_failures"] = totals.tolerated.value()
        if ended.failures:
            line["failures"] = [dump(failure) for failure in ended.failures]
        if ended.left_alone:
            line["left_alone"] = list(ended.left_alone)
        if ended.status == "waiting":
            line["waiting"] = [
                _waiting(ended.state, step_id)
                for step_id in (*sorted(ended.state.questions), *ended.state.over_budget)
            ]
            line["batches"] = [
                _open_batch(batch) for batch in ended.state.batches.values() if batch.waiting
            ]
            say_questions(ended)
        if ended.status != "succeeded":
            line["next"] = next_commands(ended)[0]
            if ended.status != "waiting":
                say(f"next: {line['next']}")
        self._put(line)

    def _put(self, line: dict[str, Any]) -> None:
        # A script may read only the first line and close the pipe. The job continues.
        with suppress(ReaderGone):
            put_json(line)


def _open_batch(batch: BatchOfJob) -> dict[str, Any]:
    """Where a batch stands whose calls have not all ended, in the keys of `orc show --json`."""
    return {
        "batch": batch.number,
        "provider": batch.provider,
        "model": batch.model,
        "requests": batch.requests,
        "answered": batch.answered,
        "failed": batch.failed,
    }


def _waiting(state: JobState, step_id: str) -> dict[str, Any]:
    """What a step waits for, with the whole text of its question."""
    step = state.steps[step_id]
    found: dict[str, Any] = {"step": step_id, "for": step.waits_for}
    if step.question is not None:
        found |= {"question": step.question.message, "options": list(step.question.options)}
    return found
