"""What a person, or a program, sees of a run: a live table, lines, JSON, or nothing.

All of it is talk, on stderr, but for JSON, which is data.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from cli.ownership import Ended, Listener
from cli.text import ReaderGone, put_json, safe, say
from ledger import Recorded
from ledger.events import (
    JobResumed,
    LlmResponded,
    StepFailed,
    StepInterrupted,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from scheduler.core.durations import format_duration
from scheduler.core.state import JobState

if TYPE_CHECKING:
    from cli.live import LiveTable


class Display(Protocol):
    """Hears of a run from its submission to its end. A context manager around the run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def listener(self) -> Listener:
        """What to give to the run."""

    def done(self, ended: Ended) -> None:
        """Say how the run ended, and what to do next."""


def make_display(*, as_json: bool, quiet: bool) -> Display:
    """The display for this process's streams and options."""
    if as_json:
        return JsonDisplay()
    if quiet:
        return QuietDisplay()
    if sys.stderr.isatty():
        from cli.live import LiveTable

        return LiveTable()
    return LineDisplay()


class Totals:
    """Tokens and cost of the job so far, this process's part included."""

    def __init__(self) -> None:
        self.tokens = 0
        self.cost_usd: float | None = None
        self._unknown = False

    def take(self, recorded: Recorded) -> None:
        """Count the event if it is a paid reply."""
        from projections.prices import cost_usd

        event = recorded.event
        if not isinstance(event, LlmResponded):
            return
        self.tokens += event.usage.input_tokens + event.usage.output_tokens
        cost = cost_usd(event.provider)
        if cost is None:
            self._unknown = True
        else:
            self.cost_usd = (self.cost_usd or 0.0) + cost

    def known_cost(self) -> float | None:
        """The cost where every call's price is known."""
        return None if self._unknown else self.cost_usd


class QuietDisplay:
    """Says nothing but what went wrong."""

    def __init__(self) -> None:
        self.totals = Totals()

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
        return Listener(on_job=self.on_job, on_events=self.on_events, on_delta=self.on_delta)

    def on_job(self, state: JobState, job_id: str, folder: Path) -> None:
        """The job is durable."""

    def on_events(self, recorded: Sequence[Recorded]) -> None:
        """Events were committed."""
        for item in recorded:
            self.totals.take(item)

    def on_delta(self, step: str, text: str) -> None:
        """A model wrote something."""

    def done(self, ended: Ended) -> None:
        """See `Display`."""
        if ended.status != "succeeded" or ended.left_alone:
            say_ending(ended, self.totals)


class LineDisplay(QuietDisplay):
    """One line a change, for logs and pipes."""

    def on_job(self, state: JobState, job_id: str, folder: Path) -> None:
        """See `QuietDisplay`."""
        say(f"{job_id}  {safe(state.project)}: {len(state.steps)} steps, in {safe(folder)}")

    def on_events(self, recorded: Sequence[Recorded]) -> None:
        """See `QuietDisplay`."""
        super().on_events(recorded)
        for item in recorded:
            line = describe_change(item)
            if line:
                say(f"{item.recorded_at[11:23]}  {line}")

    def done(self, ended: Ended) -> None:
        """See `Display`."""
        say_ending(ended, self.totals)


class JsonDisplay(QuietDisplay):
    """One JSON object a line on stdout: the launch, each change of a step, the end."""

    def on_job(self, state: JobState, job_id: str, folder: Path) -> None:
        """See `QuietDisplay`."""
        self._put({"event": "launch", "job_id": job_id, "folder": str(folder)})

    def on_events(self, recorded: Sequence[Recorded]) -> None:
        """See `QuietDisplay`."""
        from projections.jsonl import event_object

        super().on_events(recorded)
        for item in recorded:
            if item.event.type.startswith("step."):
                shown = event_object(item)
                kept: dict[str, Any] = {
                    key: shown[key]
                    for key in ("seq", "step", "attempt", "kind", "message", "duration_s")
                    if key in shown
                }
                self._put({"event": item.event.type, "job_id": item.job_id, **kept})

    def done(self, ended: Ended) -> None:
        """See `Display`."""
        line: dict[str, Any] = {
            "event": "done",
            "job_id": ended.job_id,
            "status": ended.status,
            "cost_usd": self.totals.known_cost(),
            "tokens": self.totals.tokens,
        }
        if ended.failures:
            line["failures"] = [failure.model_dump() for failure in ended.failures]
        if ended.left_alone:
            line["left_alone"] = list(ended.left_alone)
        if ended.status != "succeeded":
            line["next"] = f"orc resume {ended.job_id}"
            say(f"next: {line['next']}")
        self._put(line)

    def _put(self, line: dict[str, Any]) -> None:
        # A script may read the launch alone, and go; the job does not end for that.
        with suppress(ReaderGone):
            put_json(line)


def describe_change(recorded: Recorded) -> str:
    """One line for a person; empty for events that are details."""
    event = recorded.event
    match event:
        case StepStarted():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"{event.step} started{again}"
        case StepSucceeded():
            warning = f"; {safe(event.warning)}" if event.warning else ""
            return f"{event.step} succeeded in {format_duration(event.duration_s)}{warning}"
        case StepFailed():
            again = f"; again in {format_duration(event.delay_s)}" if event.delay_s else ""
            return f"{event.step} failed ({event.kind}): {safe(event.message)}{again}"
        case StepSkipped():
            because = f" because of {', '.join(event.because)}" if event.because else ""
            return f"{event.step} skipped{because}"
        case StepInterrupted():
            return f"{event.step} interrupted ({event.reason})"
        case JobResumed():
            return "resumed"
    return ""


def say_ending(ended: Ended, totals: Totals) -> None:
    """The last lines: status, failures, and the exact next command."""
    steps = ended.state.steps
    good = sum(1 for step in steps.values() if step.status == "succeeded")
    used = f", {totals.tokens} tokens" if totals.tokens else ""
    cost = totals.known_cost()
    used += f", ${cost:.4f}" if cost else ""
    say(f"{ended.job_id} {ended.status}: {good} of {len(steps)} steps{used}")
    failures = ended.failures
    for failure in failures[:20]:
        say(f"  {failure.step or 'the job'}: {failure.kind}: {safe(failure.message)}")
    if len(failures) > 20:
        say(f"  and {len(failures) - 20} more: orc show {ended.job_id}")
    if ended.status == "succeeded":
        say(f"  files: {safe(ended.folder / 'outputs' / ended.state.project)}")
        target = ended.state.definition.output_dir
        if target and not ended.left_alone:
            say(f"  copied to: {safe(target)}")
        elif ended.left_alone:
            names = ", ".join(safe(name) for name in ended.left_alone[:5])
            say(f"  not copied to {safe(target)}: orc did not write what is there now: {names}")
            say(f"  next: orc resume {ended.job_id} --force    (overwrites them)")
        return
    timed_out = ended.state.job_failure is not None
    say(f"  next: orc resume {ended.job_id}{' --timeout TIME' if timed_out else ''}")


if TYPE_CHECKING:
    _: type[Display] = LiveTable
