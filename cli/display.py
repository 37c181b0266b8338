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
    CacheHit,
    CircuitClosed,
    CircuitOpened,
    JobResumed,
    LlmRequested,
    StepFailed,
    StepInterrupted,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepSwitched,
    ToolCalled,
)
from projections.money import cost_text
from projections.prices import NO_PRICES, CallPricer, PricedCall, PriceTable, Spending
from scheduler.core.durations import format_duration
from scheduler.core.state import JobState

if TYPE_CHECKING:
    from cli.live import LiveTable


_WHY_CHARS = 160


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


def make_display(
    *,
    as_json: bool,
    quiet: bool,
    stream: str | None = None,
    prices: PriceTable = NO_PRICES,
) -> Display:
    """The display for this process's streams and options; `stream` is a step whose text is wanted."""
    if stream is not None:
        from cli.stream import StreamDisplay

        return StreamDisplay(stream, as_json=as_json, quiet=quiet, prices=prices)
    if as_json:
        return JsonDisplay(prices)
    if quiet:
        return QuietDisplay(prices)
    if sys.stderr.isatty():
        from cli.live import LiveTable

        return LiveTable(prices)
    return LineDisplay(prices)


class Totals:
    """Tokens and cost of the calls that this process has made for the job."""

    def __init__(self, prices: PriceTable) -> None:
        self.tokens = 0
        self.spent = Spending()
        self._pricer = CallPricer(prices)

    def take(self, recorded: Recorded) -> PricedCall | None:
        """Count the event if it ends a call that used tokens; that call."""
        call = self._pricer.take(recorded.event)
        if call is not None:
            self.tokens += call.usage.input_tokens + call.usage.output_tokens
            self.spent.add(call.cost_usd)
        return call

    def summary(self) -> str:
        """`1200 tokens, cost $0.0012`; what there is nothing of is left out."""
        tokens = f"{self.tokens} tokens" if self.tokens else ""
        cost = ""
        if self.spent.total_usd != 0:
            cost = f"cost {cost_text(self.spent.known_usd, self.spent.calls_unpriced)}"
        return ", ".join(filter(None, (tokens, cost)))


class QuietDisplay:
    """Says nothing but what went wrong."""

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
        return Listener(on_job=self.on_job, on_events=self.on_events, on_delta=self.on_delta)

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
            "cost_usd": self.totals.spent.total_usd,
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
        case StepSwitched():
            why = safe(event.message, width=_WHY_CHARS)
            return f"{event.step} goes on with {safe(event.to_target)}: {why}"
        case LlmRequested():
            return _describe_request(event)
        case CacheHit() if event.paid_by is not None:
            by = event.paid_by
            return f"{event.step} answered from the cache: {by.job_id} {by.step} paid for it"
        case ToolCalled():
            return f"{event.step} calls {safe(event.tool)}"
        case CircuitOpened():
            wait = format_duration(event.cooldown_s)
            return (
                f"{safe(event.target)} failed {event.failures} times in a row: "
                f"no step asks it for {wait}"
            )
        case CircuitClosed():
            return f"{safe(event.target)} answers again"
        case JobResumed():
            return "resumed"
    return ""


def _describe_request(event: LlmRequested) -> str:
    said = []
    if event.dropped and event.call == 1:
        said.append(f"{event.provider} cannot honour {', '.join(event.dropped)}: dropped")
    if event.changed:
        changed = safe(", ".join(event.changed), width=_WHY_CHARS)
        said.append(f"not in the cache, since its last request differs in {changed}")
    return f"{event.step}: {'; '.join(said)}" if said else ""


def say_ending(ended: Ended, totals: Totals) -> None:
    """The last lines: status, failures, and the exact next command."""
    steps = ended.state.steps
    good = sum(1 for step in steps.values() if step.status == "succeeded")
    used = totals.summary()
    say(f"{ended.job_id} {ended.status}: {good} of {len(steps)} steps{used and f', {used}'}")
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
