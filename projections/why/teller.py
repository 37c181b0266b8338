"""The events of a step, told one by one: what each of them means for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orc.ledger.events import (
    ApprovalDecided,
    ApprovalRequested,
    BudgetExceeded,
    BudgetRaised,
    CacheHit,
    JobAmended,
    JobCancelled,
    JobCancelling,
    JobInterrupted,
    JobResumed,
    JobStarted,
    JobWaiting,
    LlmRequested,
    Recorded,
    StepExpanded,
    StepFailed,
    StepInterrupted,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepSwitched,
)
from orc.ledger.kinds import NOT_DONE, OPEN, facts_of
from orc.ledger.reader import LedgerReader
from orc.ledger.step_names import lineage
from orc.ledger.wording import duration_text
from orc.projections.history.definitions import read_spec
from orc.projections.history.trace import Trace, TracedEvent
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow
from orc.projections.why.cache import cache_statement, not_cached
from orc.projections.why.causes import chain_events, chain_text, read_causes
from orc.projections.why.pending import pending_statements
from orc.projections.why.retries import retry_rule
from orc.projections.why.texts import (
    CUT,
    ENDED,
    Kind,
    Statement,
    budget_text,
    expanded_text,
    had,
    referred,
    stopped_text,
    switched_text,
)
from orc.projections.why.waits import find_birth, find_wait, mark_of, opening


@dataclass
class Teller:
    """Takes the events of a step and of its job in order, and says what each means for the step.

    `row` is the step as it is now, `job_events` those of the whole job.
    """

    reader: LedgerReader
    view: JobView
    trace: Trace
    row: StepRow
    job_events: list[Recorded] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    status: str = "pending"
    failures: int = 0
    ready: TracedEvent | None = None
    _only: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self.spec = read_spec(self.reader, self.view.job.job_id, version=1)
        self.definition = self.spec.step(self.row.name)

    def say(
        self, recorded: Recorded | None, kind: Kind, text: str, *more: int, **facts: Any
    ) -> None:
        """Add a statement that cites the event, and more of them."""
        events = (() if recorded is None else (recorded.version,)) + more
        at = None if recorded is None else recorded.recorded_at
        self.statements.append(Statement(kind, text, events, at, facts))

    def take(self, recorded: Recorded) -> None:
        """Tell what the event means for the step."""
        event = recorded.event
        match event:
            case JobStarted():
                self._left_out(recorded, event.only)
            case JobResumed():
                self._resumed(recorded, event)
            case JobAmended():
                self._amended(recorded, event)
            case JobCancelling() | JobCancelled():
                self._cancelled(recorded, event)
            case StepStarted():
                self._started(recorded, event)
            case StepSwitched():
                self.failures = 0
                self.say(recorded, "switched", switched_text(event))
            case StepFailed():
                self._failed(recorded, event)
            case StepInterrupted():
                self._interrupted(recorded, event)
            case StepSkipped():
                self._skipped(recorded, event)
            case CacheHit():
                self.say(recorded, "cached", cache_statement(event, self.view.job.job_id))
            case StepReused():
                self.status = "succeeded"
                self.say(recorded, "reused", cache_statement(event, self.view.job.job_id))
            case LlmRequested():
                text = not_cached(event, self.definition)
                if text:
                    self.say(recorded, "not_cached", text, changed=list(event.changed or ()))
            case StepSucceeded():
                self.status = "succeeded"
                warned = f"; {event.warning}" if event.warning else ""
                took = duration_text(event.duration_s)
                text = f"attempt {event.attempt} succeeded after {took}{warned}"
                self.say(recorded, "succeeded", text)
            case StepExpanded():
                self.say(recorded, "expanded", expanded_text(self.definition, self.row, event))
            case _:
                self._asked(recorded)

    def close(self, *, is_live: bool) -> None:
        """After the last event: what a step that has not ended waits for."""
        if self.row.status in OPEN:
            self.statements += pending_statements(
                self.reader, self.view, self.row, self.spec.definition, self._only, is_live=is_live
            )

    def _started(self, recorded: Recorded, event: StepStarted) -> None:
        start = next(m for m in self.trace.of_step[event.step] if m.version == recorded.version)
        is_first = self.status != "waiting"
        self.status = "running"
        if is_first:
            self._let_in(recorded, event)
        else:
            self.say(recorded, "started", f"attempt {event.attempt} began")
        ready = self.ready
        if ready is not None:
            wait = find_wait(
                self.view, self.trace, self.job_events, self.spec.definition, self.row,
                ready=ready, start=start,
            )  # fmt: skip
            if wait is not None:
                text = f"it could have begun {duration_text(wait.waited_s)} before: {wait.text}"
                facts = {"reason": wait.reason, "waited_s": round(wait.waited_s, 3)}
                self.say(None, "waited", text, *wait.events, **facts)
        self.ready = None
        if event.cache_key is not None:
            scope = "ledger" if self.definition is None else self.definition.cache
            key = event.cache_key[:12]
            text = f"no result was used again: the {scope} had none for its key {key}..."
            self.say(recorded, "not_cached", text)

    def _let_in(self, recorded: Recorded, event: StepStarted) -> None:
        """What the step had to wait for, and which of these came last."""
        ends = [self.trace.end_of(name, before=recorded.version) for name in event.needs]
        known = [end for end in ends if end is not None]
        began = (
            "it began" if facts_of(event.kind).is_container else f"attempt {event.attempt} began"
        )
        condition = None if self.definition is None else self.definition.condition
        held = (
            f", and its condition held: {condition}" if condition and "[" not in event.step else ""
        )
        if known:
            last = max(known, key=lambda end: end.version)
            if self.ready is None or self.ready.version < last.version:
                self.ready = last
            others = len(event.needs) - 1
            all_ = "" if not others else f", the last of the {others + 1} steps that it needs"
            text = f"{began}, since {last.step} {ENDED[last.type]}{all_}{held}"
            self.say(recorded, "started", text, last.version, needs=list(event.needs))
            return
        born = find_birth(self.reader, self.trace, self.row, recorded.version)
        if born is not None:
            self.ready = self.ready or born
            text = f"{began}, as a part of {self.row.parent}, which brought it into being{held}"
            self.say(recorded, "started", text, born.version)
            return
        self.ready = self.ready or opening(self.job_events, recorded.version)
        self.say(recorded, "started", f"{began}: it needs no other step{held}")

    def _failed(self, recorded: Recorded, event: StepFailed) -> None:
        self.failures += 1
        if facts_of(self.row.kind).is_container:
            self.status = "failed"
            self.say(recorded, "failed", f"it failed: {event.kind}: {event.message}")
            return
        text = f"attempt {event.attempt} failed: {event.kind}: {event.message}"
        facts = {"failure_kind": event.kind, "attempt": event.attempt}
        rule = retry_rule(self.definition, event, self.failures)
        if event.retry_at is not None:
            self.status = "waiting"
            wait = f"; it was to be tried again after {duration_text(event.delay_s or 0.0)}: {rule}"
            self.say(recorded, "retried", text + wait, **facts, delay_s=event.delay_s)
            return
        self.status = "tolerated" if event.tolerated else "failed"
        tolerated = "; the job goes on from that (continue_on_error)" if event.tolerated else ""
        self.say(recorded, "failed", f"{text}; not tried again: {rule}{tolerated}", **facts)

    def _interrupted(self, recorded: Recorded, event: StepInterrupted) -> None:
        self.status = "pending"
        self.say(
            recorded, "interrupted", f"attempt {event.attempt} was cut short: {CUT[event.reason]}"
        )

    def _skipped(self, recorded: Recorded, event: StepSkipped) -> None:
        self.status = "skipped"
        job_id = self.view.job.job_id
        if event.reason == "condition":
            values = referred(self.view, event.condition or "")
            text = f"skipped: its condition does not hold: {event.condition}{values}"
            self.say(recorded, "skipped", text, reason=event.reason)
            return
        before = recorded.version + 1
        links = read_causes(self.reader, self.view, self.trace, event.step, before=before)
        cited = chain_events(links[1:])
        cause = chain_text(links[1:]) or "the job's time was over"
        text = f"skipped, because {cause}"
        self.say(recorded, "skipped", text, *cited, reason=event.reason, job_id=job_id)

    def _resumed(self, recorded: Recorded, event: JobResumed) -> None:
        was = self.status
        is_kept = self.row.name in (event.kept or ())
        if was in NOT_DONE:
            if is_kept:
                text = f"the job was resumed, and it stayed {was}: what led to that stands"
                self.say(recorded, "kept", text)
            else:
                self._open_again(recorded)
                self.say(
                    recorded,
                    "reopened",
                    f"the job was resumed: it had {had(was)}, and may run again",
                )
        elif self.ready is not None and self.ready.type == "job.amended":
            self.ready = mark_of(recorded)
        elif was in OPEN:
            self.say(recorded, "resumed", "the job was resumed, and it had not ended")
        self._left_out(recorded, event.only)

    def _amended(self, recorded: Recorded, event: JobAmended) -> None:
        self.spec = read_spec(self.reader, self.view.job.job_id, version=recorded.version)
        self.definition = self.spec.step(self.row.name)
        names = set(lineage(self.row.name))
        if names & set(event.removed):
            self.status = "removed"
            self.say(recorded, "removed", "the spec was changed, and has it no more")
        elif names & set(event.reset):
            was = self.status
            self._open_again(recorded)
            fresh = ", and no cache may answer it" if names & set(event.fresh or ()) else ""
            text = f"the job was amended: it is to run anew (it had {had(was)}){fresh}"
            self.say(recorded, "reset", text)
        elif self.status in NOT_DONE:
            self._open_again(recorded)
            self.say(
                recorded,
                "reopened",
                "the job was amended, and what had not succeeded may run again",
            )

    def _open_again(self, recorded: Recorded) -> None:
        self.status, self.failures = "pending", 0
        self.ready = mark_of(recorded)

    def _left_out(self, recorded: Recorded, only: tuple[str, ...] | None) -> None:
        self._only = only
        if only is not None and self.row.status == "pending" and self.status == "pending":
            text = f"only {', '.join(only)}, and what that needs, were to run (--until)"
            self.say(recorded, "left_out", text)

    def _cancelled(self, recorded: Recorded, event: JobCancelling | JobCancelled) -> None:
        if self.status not in OPEN or self.row.name in getattr(event, "steps", ()):
            return
        self.status = "cancelled"
        reason = f": {event.reason}" if event.reason else ""
        self.say(recorded, "cancelled", f"the job was cancelled by orc cancel{reason}")

    def _asked(self, recorded: Recorded) -> None:
        """What persons are asked and decide, and what stops the whole job meanwhile."""
        match event := recorded.event:
            case ApprovalRequested():
                self.status = "waiting"
                self.say(recorded, "asked", f"a person was asked: {event.message}")
            case ApprovalDecided():
                who = event.by or "nobody decided in time, and so"
                said = f": {event.comment}" if event.comment else ""
                self.say(recorded, "decided", f"{who} chose {event.option}{said}")
            case BudgetExceeded():
                self.status = "waiting"
                self.say(recorded, "budget", budget_text(event), limit=event.limit)
            case BudgetRaised() if self.status == "waiting":
                self.say(recorded, "budget", "the budget was raised")
            case JobInterrupted() if self.status in OPEN:
                self.say(recorded, "stopped", stopped_text(event))
            case JobWaiting() if self.row.name in event.steps:
                self.say(
                    recorded, "stopped", f"the job stopped, and waits for a person: {event.reason}"
                )
            case _:
                pass
