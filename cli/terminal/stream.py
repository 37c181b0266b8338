"""`orc run --stream STEP`: prints a step's model text on stdout while it arrives."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from orc.cli.errors import OutputLost, ReaderGone
from orc.cli.jobs.owned_job import Ended, Listener
from orc.cli.terminal.display import Display, JsonDisplay, LineDisplay, QuietDisplay
from orc.cli.terminal.text import put_json, put_piece, safe, safe_lines, say
from orc.ledger import Recorded
from orc.ledger.events import (
    CacheHit,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    StepFailed,
    StepInterrupted,
    StepSucceeded,
)
from orc.projections.money.prices import NO_PRICES, PriceTable
from orc.scheduler.core.fold.evolve import JobState

_ENDS = (
    CacheHit,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    StepFailed,
    StepInterrupted,
    StepSucceeded,
)


class StreamDisplay:
    """Another display, plus the model text of one step. Each reply ends with a line feed."""

    def __init__(
        self, step: str, *, as_json: bool, quiet: bool, prices: PriceTable = NO_PRICES
    ) -> None:
        self._step = step
        self._as_json = as_json
        self._inner: Display = QuietDisplay(prices) if quiet else LineDisplay(prices)
        if as_json:
            self._inner = JsonDisplay(prices)
        self._inner_listener = self._inner.listener()
        self._is_terminal = sys.stdout.isatty()
        self._is_in_line = False
        self._is_gone = False

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)

    def listener(self) -> Listener:
        """See `Display`."""
        return Listener(
            on_job=self.on_job,
            on_events=self.on_events,
            on_delta=self.on_delta,
            on_notice=self._inner_listener.on_notice,
        )

    def on_job(self, state: JobState, job_id: str, folder: Path) -> None:
        """The job is durable."""
        self._inner_listener.on_job(state, job_id, folder)

    def on_events(self, recorded: Sequence[Recorded]) -> None:
        """Events were committed."""
        for item in recorded:
            is_end = isinstance(item.event, _ENDS) and item.event.step == self._step
            if is_end and self._is_in_line:
                self._put("\n")
        self._inner_listener.on_events(recorded)

    def on_delta(self, step: str, text: str) -> None:
        """A model sent a piece of text."""
        if step == self._step and text:
            self._put(text)

    def aside(self) -> AbstractContextManager[None]:
        """See `Display`."""
        return self._inner.aside()

    def done(self, ended: Ended) -> None:
        """See `Display`."""
        self._inner.done(ended)

    def _put(self, text: str) -> None:
        if self._is_gone:
            return
        try:
            if self._as_json:
                put_json({"event": "delta", "step": self._step, "text": text})
            else:
                put_piece(safe_lines(text) if self._is_terminal else text)
                self._is_in_line = not text.endswith("\n")
        except ReaderGone:
            # The reader may close stdout at any time; the job continues.
            self._is_gone = True
        except OutputLost as error:
            # The job continues: the reply was paid for and is recorded in any case.
            self._is_gone = True
            say(f"orc: --stream: {safe(error)}; the job continues")
