"""The projector's handlers for calls: to models, to tools, and the circuits that hold them back."""

from __future__ import annotations

from typing import Any

from orc.ledger.events import (
    CacheHit,
    CircuitClosed,
    CircuitOpened,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Recorded,
    StepFailed,
    StepInterrupted,
    ToolCalled,
    ToolReturned,
    WorstCase,
)
from orc.projections.money.prices import Price, saved_usd
from orc.projections.tables.writer import Writer, preview


def requested(writer: Writer, recorded: Recorded, event: LlmRequested) -> None:
    """A call is on its way."""
    writer.add(
        "call_requested",
        *_call_keys(recorded, event),
        event.provider,
        event.model,
        recorded.recorded_at,
        event.request_sha256,
        event.request.sha256,
        event.endpoint,
        event.identity,
        ", ".join(event.dropped or ()) or None,
        ", ".join(event.changed or ()) or None,
        recorded.version,
        *_most(event.worst_case),
    )


def _most(worst: WorstCase | None) -> tuple[int | None, float | None]:
    """The most tokens and dollars; what nobody knows is none."""
    if worst is None:
        return None, None
    is_known = worst.output_tokens is not None
    return worst.input_tokens + (worst.output_tokens or 0) if is_known else None, worst.cost_usd


def cache_hit(writer: Writer, recorded: Recorded, event: CacheHit) -> None:
    """A call was answered without being sent."""
    paid_by = event.paid_by
    writer.add(
        "cache_hit",
        *_call_keys(recorded, event),
        event.provider,
        event.model,
        recorded.recorded_at,
        event.finish_reason,
        event.request_sha256,
        None if event.reply is None else event.reply.sha256,
        None if paid_by is None else paid_by.job_id,
        None if paid_by is None else paid_by.step,
        saved_usd(writer.prices, event),
    )


def responded(writer: Writer, recorded: Recorded, event: LlmResponded) -> None:
    """A call was answered."""
    key = _call_keys(recorded, event)[0]
    # The price first: it may have to ask which model the row names before the reply does.
    used = _use_tokens(writer, recorded, event)
    writer.add(
        "call_responded",
        event.model,
        event.duration_s,
        *used,
        event.finish_reason,
        event.reply.sha256,
        recorded.version,
        key,
    )


def call_failed(writer: Writer, recorded: Recorded, event: LlmFailed) -> None:
    """A call ended without a reply."""
    key = _call_keys(recorded, event)[0]
    used = _use_tokens(writer, recorded, event)
    if event.is_in_doubt:
        writer.add("step_failed_doubt", key, f"{recorded.job_id}/{event.step}")
        writer.add("job_failed_doubt", key, recorded.job_id)
    in_doubt = int(event.is_in_doubt)
    writer.add("call_failed", event.duration_s, *used, event.kind, event.message, in_doubt, key)


def cut(writer: Writer, recorded: Recorded, event: StepFailed | StepInterrupted) -> None:
    """An attempt has ended; a call or a tool that has not is in doubt."""
    step_key = f"{recorded.job_id}/{event.step}"
    open_call = (step_key, f"{step_key}/{event.attempt}")
    writer.add("step_cut_doubt", *open_call, step_key)
    writer.add("job_cut_doubt", *open_call, recorded.job_id)
    writer.add("call_cut", *open_call)
    writer.add("tool_cut", *open_call)


def _use_tokens(
    writer: Writer, recorded: Recorded, event: LlmResponded | LlmFailed
) -> tuple[Any, ...]:
    """Count the call's tokens and cost for its step and job; the values of the call's own row."""
    usage = event.usage
    price: Price | None = None
    cost: float | None = None
    if usage is not None:
        price = _find_price(writer, recorded, event)
        cost = None if price is None else price.cost_usd(usage)
    tokens = (0, 0) if usage is None else (usage.input_tokens, usage.output_tokens)
    is_unpriced = int(usage is not None and cost is None)
    spent = (*tokens, cost, cost, is_unpriced)
    writer.add("step_usage", *spent, f"{recorded.job_id}/{event.step}")
    writer.add("job_usage", *spent, recorded.job_id)
    if usage is None:
        return (None,) * 6
    seen = price.seen if price is not None and cost is not None else None
    price_date = None if seen is None else seen.isoformat()
    return (*tokens, usage.cached_tokens, usage.reasoning_tokens, cost, price_date)


def _find_price(
    writer: Writer, recorded: Recorded, event: LlmResponded | LlmFailed
) -> Price | None:
    """By the model that answered, else by the one that was asked."""
    price = writer.prices.find(event.provider, event.model)
    if price is not None:
        return price
    asked = writer.requested_model(_call_keys(recorded, event)[0])
    return None if asked is None else writer.prices.find(event.provider, asked)


def _call_keys(
    recorded: Recorded, event: LlmRequested | LlmResponded | LlmFailed | CacheHit
) -> tuple[str, str, str, str, str, int]:
    step_key = f"{recorded.job_id}/{event.step}"
    attempt_key = f"{step_key}/{event.attempt}"
    name = f"{event.step} {event.attempt}.{event.call}"
    return f"{attempt_key}/{event.call}", name, recorded.job_id, step_key, attempt_key, event.call


def tool_called(writer: Writer, recorded: Recorded, event: ToolCalled) -> None:
    """A tool is at work."""
    step_key = f"{recorded.job_id}/{event.step}"
    attempt_key = f"{step_key}/{event.attempt}"
    arguments, blob = preview(event.arguments)
    writer.add(
        "tool_called",
        _tool_key(recorded, event),
        f"{event.step} {event.attempt}.{event.call} {event.tool}",
        recorded.job_id,
        step_key,
        attempt_key,
        f"{attempt_key}/{event.call}",
        event.tool,
        recorded.recorded_at,
        arguments,
        blob,
    )


def tool_returned(writer: Writer, recorded: Recorded, event: ToolReturned) -> None:
    """A tool has answered."""
    result, blob = preview(event.result)
    status = "error" if event.is_error else "returned"
    key = _tool_key(recorded, event)
    writer.add("tool_returned", status, event.duration_s, result, blob, key)


def circuit_opened(writer: Writer, recorded: Recorded, event: CircuitOpened) -> None:
    """No step asks the target for a while."""
    writer.add(
        "circuit_opened",
        f"{recorded.job_id}/{event.target}",
        event.target,
        recorded.job_id,
        recorded.recorded_at,
        event.failures,
        event.cooldown_s,
        event.kind,
        event.message,
    )


def circuit_closed(writer: Writer, recorded: Recorded, event: CircuitClosed) -> None:
    """The target has answered again."""
    key = f"{recorded.job_id}/{event.target}"
    writer.add("circuit_closed", recorded.recorded_at, key)


def _tool_key(recorded: Recorded, event: ToolCalled | ToolReturned) -> str:
    attempt = f"{recorded.job_id}/{event.step}/{event.attempt}"
    return f"{attempt}/{event.call}/{event.key[:16]}"
