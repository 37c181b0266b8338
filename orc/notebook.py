"""The progress of a run in a Jupyter notebook: one output that is updated in place.

Outside of a notebook nothing is shown and IPython is not imported: `orc.run` stays silent there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from orc.cli.jobs.owned_job import Listener
from orc.ledger import Recorded
from orc.ledger.kinds import ENDED, NOTABLE
from orc.ledger.wording import calls_cost_text, count_text, duration_text, steps_text, visible
from orc.projections.money.prices import CallPricer, PriceTable, Spending
from orc.scheduler.core.fold.evolve import JobState

UPDATE_S = 0.2
"""At most one update in this time, since each is a message to the browser; events of the whole job are
always shown."""
ROWS_MAX = 12
"""The steps that are shown: first those that failed, wait or run."""


def progress_listener(prices: PriceTable) -> Listener:
    """What shows a run in the notebook that asks for it; elsewhere, what shows nothing."""
    display = notebook_display()
    return Listener() if display is None else Progress(display, prices).listener()


def notebook_display() -> Callable[..., Any] | None:
    """IPython's `display`, if this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    found: Callable[..., Any] = display
    return found


class Progress:
    """What a run looks like now, for a display with a handle that can be updated."""

    def __init__(
        self,
        display: Callable[..., Any],
        prices: PriceTable,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display = display
        self._pricer = CallPricer(prices)
        self._now_s = now_s
        self._begun_s = self._shown_s = now_s()
        self._handle: Any = None
        self._state: JobState | None = None
        self._job_id = ""
        self._calls = self._tokens = 0
        self._spent = Spending()

    def listener(self) -> Listener:
        """The callbacks for the run."""
        return Listener(on_job=self.on_job, on_events=self.on_events)

    def on_job(self, state: JobState, job_id: str, folder: Path) -> None:
        """The job is durable."""
        self._state, self._job_id = state, job_id
        self._handle = self._display(self, display_id=True)

    def on_events(self, recorded: Sequence[Recorded]) -> None:
        """Events were committed."""
        for item in recorded:
            call = self._pricer.take(item)
            if call is not None:
                self._calls += 1
                self._tokens += call.usage.input_tokens + call.usage.output_tokens
                self._spent.add(call.cost_nano_usd)
        now_s = self._now_s()
        is_last = any(item.event.type.startswith("job.") for item in recorded)
        if self._handle is not None and (is_last or now_s - self._shown_s >= UPDATE_S):
            self._shown_s = now_s
            self._handle.update(self)

    def __repr__(self) -> str:
        """The progress as a line, where a notebook cannot show HTML."""
        if self._state is None:
            return ""
        steps = self._state.steps.values()
        good = sum(step.status == "succeeded" for step in steps)
        tokens = count_text(self._tokens, "token") if self._tokens else ""
        spent = self._spent
        cost = calls_cost_text(self._calls, spent.known_nano_usd, spent.calls_unpriced)
        parts = (
            steps_text(good, len(steps)),
            duration_text(self._now_s() - self._begun_s),
            tokens,
            cost and f"cost {cost}",
        )
        said = ", ".join(filter(None, parts))
        return visible(f"{self._state.project} {self._job_id} {self._state.status}: {said}")

    def _repr_html_(self) -> str:
        """The progress with a bar and the steps that matter now. Every text is escaped."""
        if self._state is None:
            return ""
        steps = self._state.steps
        ended = sum(step.status in ENDED for step in steps.values())
        order = {status: number for number, status in enumerate(NOTABLE)}
        shown = sorted(steps.items(), key=lambda item: order.get(item[1].status, len(order)))
        rows = "".join(
            f"<tr><td>{escape(visible(name))}</td><td>{escape(step.status)}</td></tr>"
            for name, step in shown[:ROWS_MAX]
        )
        left = len(steps) - ROWS_MAX
        more = f"<tr><td>and {count_text(left, 'more step')}</td><td></td></tr>" if left > 0 else ""
        bar = f'<progress max="{max(len(steps), 1)}" value="{ended}"></progress>'
        return f"<div>{bar} {escape(repr(self))}</div><table>{rows}{more}</table>"
