"""The lines about a run: its changes, its totals, its end, and the next command."""

from __future__ import annotations

import os
import sys
from itertools import chain, repeat

from orc.cli.jobs.folders import output_folder
from orc.cli.jobs.owned_job import Ended
from orc.cli.terminal.next_commands import answers_of, continue_command, lines_on_providers
from orc.cli.terminal.paragraphs import hanging, paragraph
from orc.cli.terminal.text import safe, say
from orc.ledger import LedgerReader, Recorded
from orc.ledger.command_lines import command_line, is_in_decision, quoted_command
from orc.ledger.events import (
    ApprovalDecided,
    ApprovalRequested,
    BatchAccepted,
    BatchEnded,
    BatchProgressed,
    BatchSubmitted,
    BudgetExceeded,
    BudgetRaised,
    CacheHit,
    CircuitClosed,
    CircuitOpened,
    HookEnded,
    HookStarted,
    JobCancelling,
    JobResumed,
    LlmRequested,
    ScoreRecorded,
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
    ToolCalled,
    ToolReturned,
)
from orc.ledger.kinds import INTERRUPTED
from orc.ledger.wording import (
    calls_cost_text,
    count_text,
    decision_text,
    duration_text,
    limit_text,
    number_text,
    steps_text,
)
from orc.projections.folds.doubts import Doubts
from orc.projections.folds.tolerance_fold import tolerances_of
from orc.projections.folds.tolerated import Tolerated
from orc.projections.money.prices import NO_PRICES, CallPricer, PricedCall, PriceTable, Spending
from orc.projections.tables.inside import total_of
from orc.projections.tables.tolerated import read_tolerated
from orc.scheduler.core.fold.placing import open_remote

_LISTED_MAX = 20
_SPENT = (
    "SELECT calls, input_tokens + output_tokens, cost_nano_usd, calls_unpriced, calls_in_doubt, "
    "in_doubt_nano_usd, in_doubt_unpriced FROM jobs WHERE job_id = ?"
)


class Totals:
    """Sums tokens and cost of a job's calls, and counts the failures that were tolerated.

    `calls` is 0 if none of them has a cost, known or not.
    """

    def __init__(self, prices: PriceTable) -> None:
        self.tokens = 0
        self.calls = 0
        self.spent = Spending()
        self.doubts = Doubts()
        self.tolerated = Tolerated()
        self._pricer = CallPricer(prices)

    def take(self, recorded: Recorded) -> PricedCall | None:
        """Add the call that this event ends; the call, or None if the event ends no call."""
        for one in tolerances_of(recorded):
            self.tolerated.add(one.setting, one.kind, one.failures)
        call = self._pricer.take(recorded)
        if call is not None:
            self.calls += 1
            self.tokens += call.usage.input_tokens + call.usage.output_tokens
            self.spent.add(call.cost_nano_usd)
        return call

    @classmethod
    def of_job(cls, ended: Ended) -> Totals:
        """Tokens and cost of the whole job, over all processes that ran it."""
        found = cls(NO_PRICES)
        with LedgerReader.open(ended.database) as ledger:
            row = ledger.connection.execute(_SPENT, (ended.job_id,)).fetchone()
            found.tolerated = total_of(read_tolerated(ledger.connection, ended.job_id))
        found.calls, found.tokens, known_nano_usd, found.spent.calls_unpriced, *doubts = row
        found.doubts = Doubts(doubts[0], doubts[1] or 0, doubts[2])
        found.spent.known_nano_usd = known_nano_usd or 0
        if known_nano_usd is None:
            found.calls = found.spent.calls_unpriced
        return found

    def summary(self) -> str:
        """`1,200 tokens, cost $0.0012`; empty if no call was answered."""
        tokens = count_text(self.tokens, "token") if self.tokens else ""
        cost = calls_cost_text(self.calls, self.spent.known_nano_usd, self.spent.calls_unpriced)
        return ", ".join(filter(None, (tokens, cost and f"cost {cost}")))


def describe_change(recorded: Recorded) -> str:
    """A line about the event; empty for events that are not shown."""
    event = recorded.event
    match event:
        case StepStarted():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            queued = f", queued on {safe(event.executor)}" if event.executor else ""
            return f"{safe(event.step)} started{again}{queued}"
        case StepPlaced():
            where = f"{safe(event.host)} ({safe(event.executor)})"
            return f"{safe(event.step)} placed on {where}"
        case StepUnplaced():
            return _said(f"{safe(event.step)} queued again:", event.reason)
        case StepReattached():
            return f"{safe(event.step)} still runs where it was placed"
        case StepSucceeded():
            warning = f"; {safe(event.warning)}" if event.warning else ""
            return f"{safe(event.step)} succeeded in {duration_text(event.duration_s)}{warning}"
        case StepFailed():
            again = f"; retry in {duration_text(event.delay_s)}" if event.delay_s else ""
            how = f"{event.kind}, tolerated" if event.tolerated else event.kind
            return _said(f"{safe(event.step)} failed ({how}){again}:", event.message)
        case StepSkipped():
            because = f" because of {safe(', '.join(event.because))}" if event.because else ""
            if event.condition is not None:
                because = f": its condition is false: {safe(event.condition)}"
            return f"{safe(event.step)} skipped{because}"
        case StepExpanded() if event.first <= 1:
            return (
                f"{safe(event.step)} expands to {number_text(event.total)} steps"
                if event.total > 1
                else ""
            )
        case ApprovalRequested():
            return _said(f"{safe(event.step)} asks:", event.message)
        case BudgetExceeded():
            return (
                f"{safe(event.step)} waits for budget: {safe(event.limit)} is "
                f"{limit_text(event.limit, event.maximum)}; spent: "
                f"{limit_text(event.limit, event.spent)}; "
                f"its next call may need {limit_text(event.limit, event.needed)}"
            )
        case BudgetRaised():
            return "the budget was raised"
        case ApprovalDecided():
            decided = f"{safe(event.step)} decided: {safe(decision_text(event.option, event.by))}"
            return _said(f"{decided}:", event.comment) if event.comment else decided
        case StepInterrupted():
            if event.reason == "worker":
                return f"{safe(event.step)} interrupted: its worker was lost"
            if event.reason == "server":
                return ""
            if event.reason == "batch":
                return f"{safe(event.step)} interrupted: its batch is not at the server"
            return f"{safe(event.step)} interrupted ({safe(event.reason)})"
        case CircuitOpened() if event.waits_since is not None:
            waited = duration_text(event.retry_at - event.cooldown_s - event.waits_since)
            return _said(f"waiting for server {safe(event.target)}, {waited}:", event.message)
        case StepReused():
            if event.reason == "amend":
                return f"{safe(event.step)} did not change: it keeps its result"
            return f"{safe(event.step)} reused from {safe(event.from_job)} ({safe(event.reason)})"
        case StepSwitched():
            lead = f"{safe(event.step)} falls back to {safe(event.to_target)}:"
            return _said(lead, event.message)
        case LlmRequested():
            return _describe_request(event)
        case CacheHit() if event.paid_by is not None:
            by = event.paid_by
            payer = safe(f"{by.job_id} {by.step}")
            return f"{safe(event.step)}: the reply cache has the reply, which {payer} paid for"
        case ToolCalled():
            return f"{safe(event.step)} calls {safe(event.tool)}"
        case ToolReturned() if event.is_error:
            return f"{safe(event.step)}: {safe(event.tool)} gave an error, which goes back to the model"
        case ScoreRecorded() if event.error is not None:
            return _said(f"{safe(event.step)} has no score {safe(event.name)}:", event.error)
        case CircuitOpened():
            wait = duration_text(event.cooldown_s)
            return (
                f"{safe(event.target)} failed {count_text(event.failures, 'time')} in a row: "
                f"no step calls it for {wait}"
            )
        case CircuitClosed():
            return f"{safe(event.target)} answers again"
        case BatchSubmitted() | BatchAccepted() | BatchProgressed() | BatchEnded():
            return _describe_batch(event)
        case HookStarted():
            return f"the hook {event.hook!r} runs"
        case HookEnded() if event.is_good:
            return f"the hook {event.hook!r} ended in {duration_text(event.duration_s or 0.0)}"
        case HookEnded() if event.outcome == "unknown":
            return f"the hook {event.hook!r}: {safe(event.message or '')}"
        case JobCancelling():
            return f"cancelling; these steps still run: {safe(', '.join(event.steps[:5]))}"
        case JobResumed():
            only = f", only {safe(', '.join(event.only))}" if event.only else ""
            return f"resumed{only}"
    return ""


def _describe_batch(event: BatchSubmitted | BatchAccepted | BatchProgressed | BatchEnded) -> str:
    lead = f"batch {event.batch}"
    match event:
        case BatchSubmitted():
            target = safe(f"{event.provider}/{event.model}")
            return f"{lead}: {count_text(event.requests, 'request')} to {target} are submitted"
        case BatchAccepted():
            how = "found at the server" if event.found else "accepted"
            return f"{lead} {how} as {safe(event.server_id)}"
        case BatchProgressed() if event.trouble:
            return _said(f"{lead}: the server cannot be asked:", event.trouble)
        case BatchProgressed():
            failed = f", {number_text(event.failed)} failed" if event.failed else ""
            return f"{lead}: {number_text(event.answered)} answered{failed}"
        case BatchEnded() if event.message:
            return _said(f"{lead} {event.outcome}:", event.message)
    return f"{lead} {event.outcome}"


def _said(lead: str, text: str) -> str:
    """A text in full after `lead`: its lines are below if it has more than one."""
    return paragraph(lead, text, stream=sys.stderr)


def _describe_request(event: LlmRequested) -> str:
    """What the request asks to correct, or why the reply cache had no reply to it; else empty."""
    if event.corrects is not None:
        return _said(
            f"{safe(event.step)}: the model is asked to correct its reply:", event.corrects
        )
    if not event.changed or event.changed[0].startswith("nothing"):
        return ""
    changed = safe(", ".join(event.changed))
    return f"{safe(event.step)}: not in the reply cache, since the request changed: {changed}"


class DroppedParams:
    """Reports, once for each step and provider, which parameters were not sent."""

    def __init__(self) -> None:
        self._reported: set[tuple[str, str]] = set()

    def take(self, recorded: Recorded) -> str:
        """A line about parameters that this request dropped; empty if there is nothing new."""
        event = recorded.event
        if not isinstance(event, LlmRequested) or not event.dropped:
            return ""
        if (event.step, event.provider) in self._reported:
            return ""
        self._reported.add((event.step, event.provider))
        dropped = safe(", ".join(event.dropped))
        return f"{safe(event.step)}: {safe(event.provider)} does not support {dropped}: not sent"


def ending_line(ended: Ended, totals: Totals | None = None) -> str:
    """How a run ended: the job's status, its steps, tokens and cost."""
    steps = ended.state.steps
    good = sum(1 for step in steps.values() if step.status == "succeeded")
    totals = totals or Totals.of_job(ended)
    used = ", ".join(filter(None, (totals.tolerated.summary(), totals.summary())))
    counted = steps_text(good, len(steps))
    if ended.status != "succeeded":
        # Of a job that failed, these could be taken for the failed ones.
        counted += " succeeded"
    is_back = ended.status == INTERRUPTED and ended.state.is_queued
    where = "; it is back in the queue" if is_back else ""
    return f"{ended.job_id} {ended.status}: {counted}{used and f', {used}'}{where}"


def say_ending(ended: Ended, *, is_quiet: bool = False) -> None:
    """Print the last lines about a run: status, failures, and the next command.

    After a success that is the command that shows the job, unless `is_quiet`.
    """
    totals = Totals.of_job(ended)
    say(hanging(ending_line(ended, totals), indent="  ", stream=sys.stderr))
    for line in totals.tolerated.lines():
        say(hanging(f"  tolerated: {safe(line)}", indent="    ", stream=sys.stderr))
    if totals.doubts.calls:
        say(f"  {totals.doubts.text()}")
    failures = ended.failures
    for failure in failures[:_LISTED_MAX]:
        lead = f"  {safe(failure.step or 'the job')}: {failure.kind}:"
        say(paragraph(lead, failure.message, stream=sys.stderr))
    if len(failures) > _LISTED_MAX:
        more = number_text(len(failures) - _LISTED_MAX)
        say(f"  and {more} more: {command_line('show', ended.job_id)}")
    if ended.status == "waiting":
        say_questions(ended)
        return
    if ended.status == "succeeded":
        say(f"  files: {safe(ended.folder / 'outputs' / ended.state.project)}")
        target = output_folder(ended.state, ended.database)
        if target and not ended.left_alone:
            say(f"  copied to: {safe(target)}")
        elif ended.left_alone:
            names = ", ".join(safe(name) for name in ended.left_alone[:5])
            say(
                f"  not copied to {safe(target)}, since files are there that orc did not write: {names}"
            )
            overwriting = command_line("resume", ended.job_id, "--force")
            say(f"  next: {overwriting}    (overwrites them)")
        if not is_quiet:
            say_details(ended)
        return
    if ended.status == INTERRUPTED and ended.signal is None:
        say("  the requested steps have ended; the other steps are pending")
    elsewhere = [name for name, _, place in open_remote(ended.state) if place is not None]
    if elsewhere:
        steps = ", ".join(safe(name) for name in elsewhere[:5])
        more = ", ..." * (len(elsewhere) > 5)
        say(
            f"  still running on other machines: {steps}{more}; "
            f"{quoted_command('resume', ended.job_id)} takes them up again, "
            f"{quoted_command('cancel', ended.job_id)} ends them"
        )
    for line in lines_on_providers(ended, os.environ):
        say(f"  {safe(line)}")
    say(f"  next: {continue_command(ended)}")


def say_details(ended: Ended) -> None:
    """Print the command that shows a job after which nothing is left to do."""
    say(f"  details: {command_line('show', ended.job_id)}")


def say_questions(ended: Ended) -> None:
    """Print what the job waits for: human review, budget or batches, and the next commands."""
    for step_id in sorted(ended.state.questions)[:_LISTED_MAX]:
        question = ended.state.steps[step_id].question
        options = safe(", ".join(question.options)) if question is not None else ""
        say(f"  {safe(step_id)} waits for a decision: {options}")
        if question is not None:
            say(paragraph("asked:", question.message, indent="    ", stream=sys.stderr))
        for word, answer in zip(
            chain(("next",), repeat("  or")), answers_of(ended, step_id), strict=False
        ):
            say(f"  {word}: {answer}")
    left = len(ended.state.questions) - _LISTED_MAX
    if left > 0:
        questions = count_text(left, "more question")
        say(f"  and {questions}: {command_line('approve', ended.job_id)}")
    for step_id in list(ended.state.over_budget)[:_LISTED_MAX]:
        say(f"  {safe(step_id)} waits for budget")
    for batch in [one for one in ended.state.batches.values() if one.waiting][:_LISTED_MAX]:
        say(f"  batch {batch.number} at {safe(batch.provider)}: {batch.text()}")
    if ended.state.over_budget:
        say(f"  next: {continue_command(ended)}    (or another amount)")
        return
    then = continue_command(ended)
    if not ended.state.questions:
        say(f"  next: {then}")
    elif not is_in_decision(then, ended.job_id):
        say(f"  then: {then}")
