"""The timeline of a job: the spans of each step, in seconds since the submission.

This module draws nothing: `pictures/timeline_svg.py` and `pictures/timeline_text.py` do.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Literal

from msgspec import Struct

from orc.ledger.kinds import CUT_SHORT, INTERRUPTED, facts_of
from orc.ledger.stored import parse_time
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import AttemptRow, StepRow
from orc.projections.tables.status import step_state

SpanKind = Literal["queued", "attempt", "retry_wait", "decision", "budget", "reused"]


class Span(Struct, frozen=True):
    """A part of a step's time, from `begin_s` to `end_s`. `is_open`: it has not ended yet.

    - `queued`: the steps that it depends on have ended, and it has not started; or an attempt has
      started, and waits for a worker of its executor.
    - `attempt`: an attempt; `status` is that of the attempt.
    - `retry_wait`: the wait between two attempts.
    - `decision`: the wait for a person.
    - `budget`: the wait for a larger budget.
    - `reused`: the moment at which the result of another step was copied.

    `is_cached`: recorded replies answered all calls of the attempt.
    """

    kind: SpanKind
    begin_s: float
    end_s: float
    status: str
    attempt: int | None = None
    is_open: bool = False
    is_cached: bool = False
    note: str = ""


class TimelineRow(Struct, frozen=True):
    """A step and its spans, in order; a step that has not started has no spans.

    `state` is the one that is shown, as in `step_state`.
    """

    step: StepRow
    depth: int
    spans: tuple[Span, ...]
    state: str = ""


class Timeline(Struct, frozen=True):
    """All steps in the order of the spec, each followed by its inner steps.

    `begin_at` is the time of second 0, as UTC text. `stopped` has the begin and end, in seconds, of
    the times in which no process ran the job. `is_live`: a process runs it now.
    """

    begin_at: str
    length_s: float
    rows: tuple[TimelineRow, ...]
    stopped: tuple[tuple[float, float], ...]
    is_live: bool = True


def read_timeline(
    connection: sqlite3.Connection,
    view: JobView,
    *,
    now: str,
    up_to: int | None = None,
    is_live: bool = True,
) -> Timeline:
    """The timeline of a job; open spans end at `now` (UTC text as in `recorded_at`).

    With `up_to`, only events up to that version count, and `view` must come from `tables_at`. If
    no live process runs the job, open spans end at its last event.
    """
    return _Builder(connection, view, now, up_to, is_live=is_live).build()


class _Builder:
    def __init__(
        self,
        connection: sqlite3.Connection,
        view: JobView,
        now: str,
        up_to: int | None,
        *,
        is_live: bool,
    ) -> None:
        self._view = view
        # A clock that was fast at the submission and right at the start would hide all spans.
        self._begin_at = min(view.job.submitted_at, view.job.started_at or view.job.submitted_at)
        self._zero = _time(self._begin_at)
        job_id = view.job.job_id
        version = up_to or 1 << 62
        last = connection.execute(
            "SELECT recorded_at FROM events WHERE job_id = ? AND version <= ? "
            "ORDER BY version DESC LIMIT 1",
            (job_id, version),
        ).fetchone()
        self._last_s = self._since(last[0])
        self._is_live = is_live
        self._is_running = view.job.status == "running" and is_live
        self._now_s = max(self._last_s, self._since(now)) if self._is_running else self._last_s
        self._stopped = tuple(self._pauses(connection, job_id, version))
        self._cached = {
            attempt_id
            for (attempt_id,) in connection.execute(
                "SELECT attempt_id FROM llm_calls WHERE job_id = ? GROUP BY attempt_id "
                "HAVING min(status = 'from ledger')",
                (job_id,),
            )
        }

    def build(self) -> Timeline:
        rows = [
            TimelineRow(
                step,
                depth,
                tuple(self._spans(step)),
                self._state(step),
            )
            for step, depth in self._view.in_order()
        ]
        length_s = max(self._now_s, *(s.end_s for r in rows for s in r.spans), 0.001)
        return Timeline(self._begin_at, length_s, tuple(rows), self._stopped, self._is_live)

    def _state(self, step: StepRow) -> str:
        return step_state(self._view, step, is_live=self._is_live)

    def _spans(self, step: StepRow) -> list[Span]:
        attempts = self._view.attempts_of.get(step.name, [])
        if step.reused is not None and step.finished_at and not self._is_after(attempts, step):
            at_s = self._since(step.finished_at)
            note = f"{step.reused} of {step.reused_from}"
            return [Span("reused", at_s, at_s, "succeeded", is_cached=True, note=note)]
        queued = self._queued(step, attempts)
        spans = [] if queued is None else [queued]
        for index, attempt in enumerate(attempts):
            next_attempt = attempts[index + 1] if index + 1 < len(attempts) else None
            spans += self._attempt(step, attempt, next_attempt)
        return spans

    def _attempt(
        self, step: StepRow, attempt: AttemptRow, next_attempt: AttemptRow | None
    ) -> list[Span]:
        begin_s = self._since(attempt.started_at)
        is_open = attempt.finished_at is None
        end_s = self._now_s if attempt.finished_at is None else self._since(attempt.finished_at)
        is_decision = facts_of(step.kind).asks_person
        if not is_decision and attempt.status in CUT_SHORT:
            end_s = self._interrupted_s(begin_s, end_s)
        end_s = max(begin_s, end_s)
        waits = self._waits_for_worker(attempt, begin_s, end_s)
        if waits is not None and waits.is_open:
            return [waits]
        begin_s = begin_s if waits is None else waits.end_s
        status = attempt.status
        if is_open and (is_decision or self._state(step) == "waiting"):
            status = "waiting"
        elif is_open and not self._is_running:
            status = INTERRUPTED
        span = Span(
            "decision" if is_decision else "attempt",
            begin_s,
            end_s,
            status,
            attempt.attempt,
            is_open and self._is_running,
            attempt.attempt_id in self._cached,
            _note(attempt),
        )
        spans = [span] if waits is None else [waits, span]
        if attempt.retry_delay_s is not None or attempt.failure_kind == "budget":
            kind: SpanKind = "retry_wait" if attempt.retry_delay_s is not None else "budget"
            until_s = self._now_s if next_attempt is None else self._since(next_attempt.started_at)
            if until_s > end_s and (next_attempt is not None or step.status == "waiting"):
                is_waiting = next_attempt is None and self._is_running
                spans.append(
                    Span(
                        kind, end_s, until_s, "waiting", attempt.attempt, is_waiting, note=span.note
                    )
                )
        return spans

    def _waits_for_worker(self, attempt: AttemptRow, begin_s: float, end_s: float) -> Span | None:
        """The span from the start of an attempt until a worker took it; None for one that ran here."""
        if attempt.executor is None:
            return None
        is_open = attempt.placed_at is None and attempt.finished_at is None
        if attempt.placed_at is not None:
            end_s = min(end_s, max(begin_s, self._since(attempt.placed_at)))
        note = f"for a worker of {attempt.executor}"
        return Span("queued", begin_s, end_s, "pending", attempt.attempt, is_open, note=note)

    def _interrupted_s(self, begin_s: float, end_s: float) -> float:
        """The end of an interrupted attempt: when its process ended, not when the next one noted it."""
        ends = (stopped_s for stopped_s, _ in self._stopped if begin_s <= stopped_s < end_s)
        return min(ends, default=end_s)

    def _queued(self, step: StepRow, attempts: list[AttemptRow]) -> Span | None:
        """The span from the end of the steps that it depends on to its first start."""
        if not attempts:
            return None
        ends = [
            self._view.by_name[name].finished_at
            for name in step.needed
            if name in self._view.by_name
        ]
        known = [self._since(at) for at in ends if at is not None]
        if len(known) < len(step.needed) or (not known and step.parent is not None):
            return None
        begin_s = max(known, default=0.0)
        end_s = self._since(attempts[0].started_at)
        return Span("queued", begin_s, end_s, "pending") if end_s > begin_s else None

    def _is_after(self, attempts: list[AttemptRow], step: StepRow) -> bool:
        """Whether the step ran after its result was copied from another step."""
        return any(attempt.started_at > (step.finished_at or "") for attempt in attempts)

    def _pauses(
        self, connection: sqlite3.Connection, job_id: str, version: int
    ) -> list[tuple[float, float]]:
        rows = connection.execute(
            "SELECT before.recorded_at, after.recorded_at FROM events AS after "
            "JOIN events AS before ON before.job_id = after.job_id "
            "AND before.version = after.version - 1 "
            "WHERE after.job_id = ? AND after.version <= ? AND after.type = 'job.resumed' "
            "ORDER BY after.version",
            (job_id, version),
        )
        found = [(self._since(before), self._since(after)) for before, after in rows]
        return [(begin_s, end_s) for begin_s, end_s in found if end_s > begin_s]

    def _since(self, at: str) -> float:
        return max(0.0, round((_time(at) - self._zero).total_seconds(), 6))


def _time(at: str) -> datetime:
    return parse_time(at)


def _note(attempt: AttemptRow) -> str:
    if attempt.failure is None:
        return ""
    return f"{attempt.failure_kind}: {attempt.failure}"
