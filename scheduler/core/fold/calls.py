"""Folds the events of calls, and keeps the replies that a later attempt can continue from."""

from __future__ import annotations

from orc.ledger.definition import REPLAY
from orc.ledger.events import (
    CacheHit,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Payload,
    ToolReturned,
)
from orc.ledger.stored_struct import NO_ENTRIES, NO_ITEMS
from orc.scheduler.core.fold.batches import enter_batch, leave_batch
from orc.scheduler.core.fold.budgets import charge_call, charge_cut_call, reserve_call
from orc.scheduler.core.fold.limits import call_ended
from orc.scheduler.core.fold.state import CommittedReply, CommittedResult, JobState, StepState


def fold_call(
    state: JobState, event: LlmRequested | LlmResponded | LlmFailed | CacheHit, version: int
) -> None:
    """Fold an event of a call; `version` is the event's."""
    step = state.steps[event.step]
    match event:
        case LlmRequested():
            step.requested_version = version
            step.in_flight = "call"
            reserve_call(state, event)
            enter_batch(state, event, version)
        case LlmResponded():
            step.in_flight = None
            step.calls_ended += 1
            step.calls_recorded += 1
            _keep_reply(step, event, event.reply, version)
            charge_call(state, event)
            call_ended(state, event, version)
            leave_batch(state, event.step)
        case LlmFailed():
            step.in_flight = None
            step.calls_ended += 1
            step.calls_in_doubt += event.is_in_doubt
            # A recorded failure uses up a recorded reply; a failure of a real provider does not.
            step.calls_recorded += event.provider == REPLAY
            charge_call(state, event)
            call_ended(state, event, version)
            leave_batch(state, event.step)
        case CacheHit() if event.reply is not None:
            # The reply comes from another stream, and is in this stream from now on.
            step.calls_ended += 1
            step.calls_recorded += 1
            _keep_reply(step, event, event.reply, version)


def cut_call(state: JobState, step_id: str) -> None:
    """Fold the end of an attempt. A call in flight may have been processed and billed."""
    step = state.steps[step_id]
    step.calls_in_doubt += step.in_flight == "call"
    step.in_flight = None
    charge_cut_call(state, step_id)
    leave_batch(state, step_id)


def _keep_reply(
    step: StepState, event: LlmResponded | CacheHit, reply: Payload, version: int
) -> None:
    kept = CommittedReply(
        version,
        event.call,
        event.request_sha256,
        reply,
        event.finish_reason or "stop",
        event.attempt,
    )
    if not step.replies:
        step.replies = []
    step.replies.append(kept)


def keep_result(step: StepState, event: ToolReturned) -> None:
    """Keep the result of a tool call, which a later attempt can use again."""
    if not step.results:
        step.results = {}
    step.results[event.key] = CommittedResult(event.result, bool(event.is_error))


def forget_calls(step: StepState) -> None:
    """Drop the replies and tool results, so that the next attempt begins from the start."""
    step.replies, step.results = NO_ITEMS, NO_ENTRIES
