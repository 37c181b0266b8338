"""Words each event of a step, and each event of its job that affects it, as a statement."""

from __future__ import annotations

from itertools import takewhile
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
    LlmFailed,
    LlmRequested,
    Recorded,
    StepConfigured,
    StepExpanded,
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
    ToolReturned,
)
from orc.ledger.kinds import NOT_DONE, OPEN, facts_of
from orc.ledger.reader import LedgerReader
from orc.ledger.step_names import is_within, lineage
from orc.ledger.wording import duration_text
from orc.projections.folds.tolerance_fold import tolerances_of
from orc.projections.history.definitions import SpecSeen, read_spec
from orc.projections.history.trace import Trace, TracedEvent
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow
from orc.projections.tables.step_notes import JOB_TIMED_OUT
from orc.projections.why.cache import cache_statement, not_cached
from orc.projections.why.causes import chain_events, chain_text, read_causes
from orc.projections.why.pending import pending_statements
from orc.projections.why.retries import retry_rule
from orc.projections.why.texts import (
    ENDED,
    INTERRUPTED_BY,
    Kind,
    Statement,
    budget_text,
    configured_text,
    expanded_text,
    past_status,
    placing_text,
    quoted,
    referenced_text,
    stopped_text,
    switched_text,
    waiting_text,
    warning_text,
)
from orc.projections.why.waits import find_creation, find_job_start, find_wait, mark_of

_CITED_MAX = 20


class StepExplainer:
    """Builds the statements about one step from its events and those of its job, in order.

    `row` is the step's current row; `job_events` are the events of the whole job. While events
    are added, `status` and `failures` follow the step, and `ready` is the event from which on
    it could start. `known_spec` is a spec of the job that was read already; it is read again unless it
    is the first one.
    """

    def __init__(
        self,
        reader: LedgerReader,
        view: JobView,
        trace: Trace,
        row: StepRow,
        *,
        known_spec: SpecSeen | None = None,
    ) -> None:
        self.reader = reader
        self.view = view
        self.trace = trace
        self.row = row
        self.job_events: list[Recorded] = []
        self.statements: list[Statement] = []
        self.status = "pending"
        self.failures = 0
        self.ready: TracedEvent | None = None
        self.was_absent = False  # whether the server of the last call did not run
        is_first = known_spec is not None and known_spec.version == 1
        first = known_spec if is_first else None
        self.spec = first or read_spec(reader, view.job.job_id, version=1)
        self.definition = self.spec.step(row.name)

    def add(
        self, recorded: Recorded | None, kind: Kind, text: str, *more: int, **facts: Any
    ) -> None:
        """Add a statement that cites the event, and the events `more`."""
        events = (() if recorded is None else (recorded.version,)) + more
        at = None if recorded is None else recorded.recorded_at
        self.statements.append(Statement(kind, text, events, at, facts))

    def add_event(self, recorded: Recorded) -> None:
        """Add the statements for one event."""
        event = recorded.event
        match event:
            case JobStarted():
                self._add_left_out(recorded, event.only)
            case JobResumed():
                self._resumed(recorded, event)
            case JobAmended():
                self._amended(recorded, event)
            case JobCancelling() | JobCancelled():
                self._cancelled(recorded, event)
            case StepStarted():
                self._started(recorded, event)
            case StepConfigured():
                text = configured_text(event)
                self.add(recorded, "configured", text, settings=dict(event.settings))
            case StepSwitched():
                self.failures = 0
                self.add(recorded, "switched", switched_text(event))
            case StepPlaced():
                facts = {"host": event.host, "executor": event.executor}
                self.add(recorded, "placed", placing_text(event), **facts)
            case StepUnplaced() | StepReattached():
                self.add(recorded, "placed", placing_text(event))
            case LlmFailed():
                self.was_absent = bool(event.absent)
            case StepFailed():
                self._failed(recorded, event)
            case StepInterrupted():
                self._interrupted(recorded, event)
            case StepSkipped():
                self._skipped(recorded, event)
            case ToolReturned() if event.is_error:
                text = f"the tool {event.tool} answered with an error, which went back to the model"
                for one in tolerances_of(recorded):
                    said = one.message.removeprefix(f"{event.tool}: ")
                    self.add(recorded, "tolerated", quoted(text, said))
            case CacheHit():
                self._corrects(recorded, event)
                self.add(recorded, "cached", cache_statement(event, self.view.job.job_id))
            case StepReused():
                self.status = "succeeded"
                text = cache_statement(event, self.view.job.job_id)
                self.add(recorded, "reused", text + warning_text(event))
            case LlmRequested():
                self._corrects(recorded, event)
                text = not_cached(event, self.definition)
                if text:
                    self.add(recorded, "not_cached", text, changed=list(event.changed or ()))
            case StepSucceeded():
                self.status = "succeeded"
                took = duration_text(event.duration_s)
                is_container = facts_of(self.row.kind).is_container
                subject = "it" if is_container else f"attempt {event.attempt}"
                text = f"{subject} succeeded after {took}{warning_text(event)}"
                self.add(recorded, "succeeded", text)
            case StepExpanded():
                self.add(recorded, "expanded", expanded_text(self.definition, self.row, event))
            case _:
                self._add_review_or_stop(recorded)

    def finish(self, *, is_live: bool) -> None:
        """Add the failures that were tolerated in the step, and what it waits for if it has not ended.

        Call it after the last event.
        """
        self._add_tolerated()
        if self.row.status in OPEN:
            self.statements += pending_statements(
                self.reader, self.view, self.row, self.spec.definition, is_live=is_live
            )

    def _add_tolerated(self) -> None:
        """The tolerated failures of the steps inside this one, all together."""
        name = self.row.name
        inside = self.view.tolerated.get(name)
        if inside is None or inside == self.view.own_tolerated.get(name):
            return
        steps = {owner for owner in self.view.own_tolerated if is_within(owner, {name})}
        events = [
            version
            for step, version in self.reader.connection.execute(
                "SELECT name, version FROM tolerated_failures WHERE job_id = ? ORDER BY version",
                (self.view.job.job_id,),
            )
            if step in steps
        ]
        text = f"inside it: {inside.text()}"
        self.add(None, "tolerated", text, *events[:_CITED_MAX], **inside.value())

    def _started(self, recorded: Recorded, event: StepStarted) -> None:
        start = next(m for m in self.trace.of_step(event.step) if m.version == recorded.version)
        is_first = self.status != "waiting"
        self.status = "running"
        if is_first:
            self._add_start(recorded, event)
        else:
            # It may have waited for a person, too.
            since = takewhile(lambda said: said.kind != "started", reversed(self.statements))
            is_retry = any(said.kind == "retried" for said in since)
            after = f" after attempt {event.attempt - 1} had failed" if is_retry else ""
            self.add(recorded, "started", f"attempt {event.attempt} started{after}")
        ready = self.ready
        if ready is not None:
            wait = find_wait(
                self.view, self.trace, self.job_events, self.spec.definition, self.row,
                ready=ready, start=start,
            )  # fmt: skip
            if wait is not None:
                text = f"its start was delayed by {duration_text(wait.waited_s)}: {wait.text}"
                facts = {"reason": wait.reason, "waited_s": round(wait.waited_s, 3)}
                self.add(None, "waited", text, *wait.events, **facts)
        self.ready = None
        if event.cache_key is not None:
            scope = "ledger" if self.definition is None else self.definition.cache
            key = event.cache_key[:12]
            text = f"it did not reuse a result: the {scope} had none for its key {key}..."
            self.add(recorded, "not_cached", text)

    def _add_start(self, recorded: Recorded, event: StepStarted) -> None:
        """The start, with the last of the steps that it had to wait for."""
        ends = [self.trace.end_of(name, before=recorded.version) for name in event.needs]
        known = [end for end in ends if end is not None]
        started = (
            "it started"
            if facts_of(event.kind).is_container
            else f"attempt {event.attempt} started"
        )
        condition = None if self.definition is None else self.definition.condition
        condition_text = (
            f"; its condition was true: {condition}" if condition and "[" not in event.step else ""
        )
        if known:
            last = max(known, key=lambda end: end.version)
            if self.ready is None or self.ready.version < last.version:
                self.ready = last
            others = len(event.needs) - 1
            all_ = "" if not others else f", the last of the {others + 1} steps that it needs"
            text = f"{started} after {last.step} {ENDED[last.type]}{all_}{condition_text}"
            self.add(recorded, "started", text, last.version, needs=list(event.needs))
            return
        created = find_creation(self.reader, self.trace, self.row, recorded.version)
        if created is not None:
            self.ready = self.ready or created
            text = f"{started} after {self.row.parent} had created it{condition_text}"
            self.add(recorded, "started", text, created.version)
            return
        self.ready = self.ready or find_job_start(self.job_events, recorded.version)
        self.add(recorded, "started", f"{started}; the step needs no other step{condition_text}")

    def _failed(self, recorded: Recorded, event: StepFailed) -> None:
        self.failures += 1
        tolerated = "; the job continues (continue_on_error)" if event.tolerated else ""
        if facts_of(self.row.kind).is_container:
            self.status = "tolerated" if event.tolerated else "failed"
            text = quoted(f"it failed: {event.kind}", event.message, tolerated)
            self.add(recorded, "failed", text)
            return
        text = f"attempt {event.attempt} failed: {event.kind}"
        facts = {"failure_kind": event.kind, "attempt": event.attempt}
        rule = retry_rule(self.definition, event, self.failures, was_absent=self.was_absent)
        self.was_absent = False
        if event.retry_at is not None:
            self.status = "waiting"
            wait = f"; the retry was due after {duration_text(event.delay_s or 0.0)}: {rule}"
            text = quoted(text, event.message, wait)
            self.add(recorded, "retried", text, **facts, delay_s=event.delay_s)
            return
        self.status = "tolerated" if event.tolerated else "failed"
        text = quoted(text, event.message, f"; not retried: {rule}{tolerated}")
        self.add(recorded, "failed", text, **facts)

    def _corrects(self, recorded: Recorded, event: LlmRequested | CacheHit) -> None:
        """The correction that a call asks for."""
        if event.corrects is None:
            return
        text = f"call {event.call} asked the model to correct its reply (repair)"
        self.add(recorded, "repaired", quoted(text, event.corrects), call=event.call)

    def _interrupted(self, recorded: Recorded, event: StepInterrupted) -> None:
        self.status = "pending"
        text = f"attempt {event.attempt} was interrupted: {INTERRUPTED_BY[event.reason]}"
        self.add(recorded, "interrupted", text)
        if event.reason in ("server", "worker", "batch"):  # The job goes on in the meantime.
            self.ready = mark_of(recorded)

    def _skipped(self, recorded: Recorded, event: StepSkipped) -> None:
        self.status = "skipped"
        job_id = self.view.job.job_id
        if event.reason == "condition":
            values = referenced_text(self.view, event.condition or "")
            text = f"skipped: its condition was false: {event.condition}{values}"
            self.add(recorded, "skipped", text, reason=event.reason)
            return
        before = recorded.version + 1
        causes = read_causes(self.reader, self.view, self.trace, event.step, before=before)
        cited = chain_events(causes[1:])
        text = f"skipped, because {chain_text(causes[1:]) or JOB_TIMED_OUT}"
        self.add(recorded, "skipped", text, *cited, reason=event.reason, job_id=job_id)

    def _resumed(self, recorded: Recorded, event: JobResumed) -> None:
        was = self.status
        is_kept = self.row.name in (event.kept or ())
        if was in NOT_DONE:
            if is_kept:
                text = (
                    f"the job was resumed; the step stays {was}, because the reason has not changed"
                )
                self.add(recorded, "kept", text)
            else:
                self._reopen(recorded)
                text = f"the job was resumed; the step {past_status(was)} and is pending again"
                self.add(recorded, "reopened", text)
        elif self.ready is not None and self.ready.type == "job.amended":
            self.ready = mark_of(recorded)
        elif was in OPEN:
            self.add(recorded, "resumed", "the job was resumed; the step had not ended")
        self._add_left_out(recorded, event.only)

    def _amended(self, recorded: Recorded, event: JobAmended) -> None:
        self.spec = read_spec(self.reader, self.view.job.job_id, version=recorded.version)
        self.definition = self.spec.step(self.row.name)
        names = set(lineage(self.row.name))
        if names & set(event.removed):
            self.status = "removed"
            self.add(
                recorded, "removed", "the job was amended; the new spec does not have the step"
            )
        elif names & set(event.reset):
            was = self.status
            self._reopen(recorded)
            fresh = ", without the caches" if names & set(event.fresh or ()) else ""
            text = f"the job was amended; the step {past_status(was)} and runs again{fresh}"
            self.add(recorded, "reset", text)
        elif self.status in NOT_DONE:
            self._reopen(recorded)
            text = "the job was amended; the step had not succeeded and is pending again"
            self.add(recorded, "reopened", text)

    def _reopen(self, recorded: Recorded) -> None:
        self.status, self.failures = "pending", 0
        self.ready = mark_of(recorded)

    def _add_left_out(self, recorded: Recorded, only: tuple[str, ...] | None) -> None:
        if only is not None and self.row.status == "pending" and self.status == "pending":
            text = f"--until limits this run to {', '.join(only)} and the steps upstream"
            self.add(recorded, "left_out", text)

    def _cancelled(self, recorded: Recorded, event: JobCancelling | JobCancelled) -> None:
        if self.status not in OPEN or self.row.name in getattr(event, "steps", ()):
            return
        self.status = "cancelled"
        reason = f": {event.reason}" if event.reason else ""
        self.add(recorded, "cancelled", f"the job was cancelled by orc cancel{reason}")

    def _add_review_or_stop(self, recorded: Recorded) -> None:
        """Events of human review and budgets, and those that stop the whole job."""
        match event := recorded.event:
            case ApprovalRequested():
                self.status = "waiting"
                text = quoted("a person was asked to decide", event.message)
                self.add(recorded, "asked", text)
            case ApprovalDecided():
                text = (
                    f"{event.by} chose {event.option}"
                    if event.by
                    else f"no decision was made in time, so the result is {event.option}"
                )
                self.add(
                    recorded, "decided", quoted(text, event.comment) if event.comment else text
                )
            case BudgetExceeded():
                self.status = "waiting"
                self.add(recorded, "budget", budget_text(event), limit=event.limit)
            case BudgetRaised() if self.status == "waiting":
                self.add(recorded, "budget", "the budget was raised")
            case JobInterrupted() if self.status in OPEN:
                self.add(recorded, "stopped", stopped_text(event))
            case JobWaiting() if self.row.name in event.steps:
                self.add(recorded, "stopped", waiting_text(event))
            case _:
                pass
