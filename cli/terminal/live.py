"""The live table of a run on a terminal, which rich redraws in place."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orc.cli.jobs.owned_job import Ended
from orc.cli.jobs.state import waits_inside
from orc.cli.terminal.display import QuietDisplay
from orc.cli.terminal.live_notes import budget_note, counts_text, wait_note
from orc.cli.terminal.live_rows import LiveRow, choose, lay_out
from orc.cli.terminal.paragraphs import first_line, paragraph
from orc.cli.terminal.progress.progress import Progress, progress_of
from orc.cli.terminal.run_lines import describe_change, say_ending
from orc.cli.terminal.text import safe, say
from orc.ledger import Recorded
from orc.ledger.events import (
    ApprovalDecided,
    ApprovalRequested,
    BudgetExceeded,
    StepFailed,
    StepInterrupted,
    StepPlaced,
    StepReattached,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepSwitched,
    StepUnplaced,
)
from orc.ledger.wording import cost_text, decision_text, duration_text, number_text
from orc.projections.money.prices import NO_PRICES, PricedCall, PriceTable, Spending
from orc.projections.tables.inner_waits import InnerWaits
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.state import Inside

_TAIL_CHARS = 400
_OTHER_ROWS = 7
_BAR = 20
_REST = 20
"""After a drawing, the display rests for this many times as long as the drawing took."""

_ASKS = "asks: "


class LiveTable(QuietDisplay):
    """A table of the steps with their state, time, tokens, cost and a note.

    With `is_asking`, another module shows the questions of the job, and asks them.
    """

    def __init__(
        self,
        prices: PriceTable = NO_PRICES,
        *,
        is_asking: bool = False,
        database: Path | None = None,
    ) -> None:
        super().__init__(prices)
        self._is_asking = is_asking
        self._database = database
        self._progress = Progress({})
        self._drawn: RenderableType = Text("")
        self._draw_after = 0.0
        self._console = Console(stderr=True, highlight=False, markup=False)
        self._state: JobState | None = None
        self._job_id = ""
        self._started: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._tokens: dict[str, int] = {}
        self._spent: dict[str, Spending] = {}
        self._notes: dict[str, str] = {}
        self._recent: deque[str] = deque(maxlen=200)
        # Created last, since it calls `_render` at once.
        self._live = Live(
            console=self._console,
            get_renderable=self._refreshed,
            refresh_per_second=8,
            transient=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An error of a closed terminal must not hide how the job ended.
        with suppress(OSError):
            self._live.stop()
            if self._state is not None:
                self._console.print(self._render())

    def on_notice(self, text: str) -> None:
        """See `QuietDisplay`."""
        say(f"orc: {safe(text)}")

    def on_job(self, state: JobState, job_id: str, folder: Path) -> None:
        """See `QuietDisplay`."""
        self._state = state
        self._progress = progress_of(state, job_id, self._database)
        is_again, self._job_id = self._job_id == job_id, job_id
        # Questions that were answered after the job had paused.
        for step in [step for step, note in self._notes.items() if note.startswith(_ASKS)]:
            del self._notes[step]
        with suppress(OSError):
            if not is_again:
                self._console.print(
                    Text(f"{job_id}  {safe(state.project)}  {safe(folder)}", style="bold")
                )
            self._live.start()

    def on_events(self, recorded: Sequence[Recorded]) -> None:
        """See `QuietDisplay`."""
        super().on_events(recorded)
        self._progress.take(recorded)
        for item in recorded:
            self._take(item)

    def on_call(self, call: PricedCall) -> None:
        """See `QuietDisplay`."""
        used = call.usage.input_tokens + call.usage.output_tokens
        self._tokens[call.step] = self._tokens.get(call.step, 0) + used
        self._spent.setdefault(call.step, Spending()).add(call.cost_nano_usd)
        self._mark_recent(call.step)

    def on_delta(self, step: str, text: str) -> None:
        """See `QuietDisplay`."""
        self._notes[step] = (self._notes.get(step, "") + text)[-_TAIL_CHARS:]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """See `Display`."""
        with suppress(OSError):
            self._live.stop()
        try:
            yield
        finally:
            with suppress(OSError):
                self._live.start()

    def done(self, ended: Ended) -> None:
        """See `Display`."""
        say_ending(ended)

    def _take(self, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case StepStarted():
                self._started[event.step] = time.monotonic()
                self._notes.pop(event.step, None)
            case StepSucceeded():
                self._took[event.step] = event.duration_s
                self._notes[event.step] = event.warning or ""
            case StepFailed():
                self._took[event.step] = event.duration_s
                how = f"{event.kind}, tolerated" if event.tolerated else event.kind
                self._notes[event.step] = f"{how}: {first_line(event.message)}"
            case ApprovalRequested():
                self._notes[event.step] = f"{_ASKS}{first_line(event.message)}"
                if not self._is_asking:
                    self._print_above(
                        paragraph(f"{safe(event.step)} asks:", event.message, stream=sys.stderr)
                    )
            case ApprovalDecided():
                self._notes[event.step] = f"decided: {decision_text(event.option, event.by)}"
            case StepSkipped():
                self._notes[event.step] = describe_change(recorded).partition(" skipped")[2]
            case StepReused() | StepInterrupted():
                self._notes[event.step] = describe_change(recorded).partition(" ")[2]
            case StepPlaced():
                self._started[event.step] = time.monotonic()
                self._notes[event.step] = describe_change(recorded).partition(" ")[2]
            case StepUnplaced() | StepReattached():
                self._notes[event.step] = describe_change(recorded).partition(" ")[2]
            case BudgetExceeded() | StepSwitched():
                self._notes[event.step] = describe_change(recorded).partition(" ")[2]
            case _:
                return
        self._mark_recent(event.step)

    def _print_above(self, text: str) -> None:
        """Print a text that the table has no room for: it stays above the table."""
        with suppress(OSError):
            self._console.print(Text(text), soft_wrap=True)

    def _mark_recent(self, step: str) -> None:
        if step in self._recent:
            self._recent.remove(step)
        self._recent.append(step)

    def _refreshed(self) -> RenderableType:
        """The table for the next refresh: a job of many steps is drawn more rarely."""
        begun = time.monotonic()
        if begun >= self._draw_after:
            self._drawn = self._render()
            ended = time.monotonic()
            self._draw_after = ended + (ended - begun) * _REST
        return self._drawn

    def _render(self) -> RenderableType:
        state = self._state
        if state is None:
            return Text("")
        waits = waits_inside(state)
        rows = [self._row(state, step_id, waits) for step_id in self._shown(state)]
        table = lay_out(rows, width=self._console.width)
        hidden = len(state.steps) - len(rows)
        counts = counts_text(state, waits)
        used = self.totals.summary()
        more = f"  ({hidden} not shown)" if hidden > 0 else ""
        tolerated = self.totals.tolerated.summary()
        spent = "  ".join(filter(None, (counts, tolerated, used, budget_note(state))))
        summary = Text(f"{spent}{more}", style="dim")
        return Group(table, self._bar(state), summary)

    def _bar(self, state: JobState) -> RenderableType:
        ended, total = self._progress.counts(state)
        line = Table.grid(padding=(0, 2, 0, 0))
        count = Text(f"{number_text(ended)} of {number_text(total)}")
        times = Text(self._progress.text(state), style="dim", no_wrap=True, overflow="crop")
        line.add_row(ProgressBar(total=total, completed=ended, width=_BAR), count, times)
        return line

    def _shown(self, state: JobState) -> list[str]:
        """All steps if they fit on the screen; else those that run, wait or changed last."""
        statuses = {step_id: step.status for step_id, step in state.steps.items()}
        room = max(4, self._console.height - _OTHER_ROWS)
        shown = choose(statuses, self._recent, room=room)
        return sorted(shown, key=lambda step_id: _place(state, step_id))

    def _row(self, state: JobState, step_id: str, waits: Mapping[str, InnerWaits]) -> LiveRow:
        step = state.steps[step_id]
        last = self._notes.get(step_id, "")
        inside = waits.get(step_id)
        status, note = wait_note(state, step_id, now_s=time.time(), last=last, inside=inside)
        took = self._took.get(step_id)
        if status == "running":
            took = time.monotonic() - self._started.get(step_id, time.monotonic())
            # The text that a model is sending, on one line.
            note = " ".join(last.split())
            if step.inside is not None:
                waiting = inside.text() if inside is not None else ""
                note = "; ".join(filter(None, (_progress(state, step_id, step.inside), waiting)))
        tokens = self._tokens.get(step_id)
        return LiveRow(
            step=safe(step_id),
            status=status,
            attempt=str(step.attempts) if step.attempts > 1 else "",
            time=duration_text(took),
            tokens="" if tokens is None else number_text(tokens),
            cost=_cost(self._spent.get(step_id)),
            note=safe(note),
            grows=status == "running" and step.inside is None,
        )


def _place(state: JobState, step_id: str) -> tuple[int, ...]:
    """The sort key of a step: inner steps come right after the step that contains them."""
    step = state.steps[step_id]
    return (*(_place(state, step.parent) if step.parent else ()), step.index)


def _progress(state: JobState, step_id: str, inside: Inside) -> str:
    """The progress of a step that contains others."""
    loop = state.graph.steps[step_id].loop
    if loop is not None and state.graph.steps[step_id].is_loop:
        return f"round {len(inside.children)} of at most {loop.max_iterations}"
    return f"{len(inside.children) - inside.open} of {inside.total} have ended"


def _cost(spent: Spending | None) -> str:
    if spent is None:
        return ""
    return cost_text(spent.known_nano_usd, spent.calls_unpriced, brief=True)
