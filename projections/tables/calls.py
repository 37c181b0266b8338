"""The projector's handlers for calls to models, for calls of tools and for circuits."""

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
from orc.ledger.money import optional_usd
from orc.projections.folds.doubt_finder import worst_cost
from orc.projections.money.price import Price
from orc.projections.money.prices import price_of_call, priced_usage, saved_nano_usd
from orc.projections.tables.batches import enter_batch, leave_batch
from orc.projections.tables.writer import Writer, preview


def llm_requested(writer: Writer, recorded: Recorded, event: LlmRequested) -> None:
    """Add the row of a call that is about to be sent."""
    writer.add(
        "call_requested",
        **_call_keys(recorded, event),
        provider=event.provider,
        model=event.model,
        requested_at=recorded.recorded_at,
        request_sha256=event.request_sha256,
        request_blob=event.request.sha256,
        endpoint=event.endpoint,
        identity=event.identity,
        dropped=", ".join(event.dropped or ()) or None,
        changed=", ".join(event.changed or ()) or None,
        request_version=recorded.version,
        batch=event.batch,
        worst_case_tokens=_tokens_max(event.worst_case),
        **_in_both_units("worst_case", worst_cost(event)),
    )
    enter_batch(writer, recorded, event, event.batch)


def _tokens_max(worst: WorstCase | None) -> int | None:
    """The most tokens that the call can send and receive; None if that is unknown."""
    if worst is None or worst.output_tokens is None:
        return None
    return worst.input_tokens + worst.output_tokens


def cache_hit(writer: Writer, recorded: Recorded, event: CacheHit) -> None:
    """Add the row of a call that a recorded reply answered."""
    paid_by = event.paid_by
    writer.add(
        "cache_hit",
        **_call_keys(recorded, event),
        provider=event.provider,
        model=event.model,
        requested_at=recorded.recorded_at,
        finish_reason=event.finish_reason,
        request_sha256=event.request_sha256,
        reply_blob=None if event.reply is None else event.reply.sha256,
        paid_by_job=None if paid_by is None else paid_by.job_id,
        paid_by_step=None if paid_by is None else paid_by.step,
        **_in_both_units("saved", saved_nano_usd(writer.prices, event, at=recorded.recorded_at)),
    )


def llm_responded(writer: Writer, recorded: Recorded, event: LlmResponded) -> None:
    """Record the reply in the row of the call."""
    # The price is looked up first: it may need the requested model, which the update overwrites.
    used = _use_tokens(writer, recorded, event)
    writer.add(
        "call_responded",
        call_id=_call_key(recorded, event),
        model=event.model,
        duration_s=event.duration_s,
        **used,
        **_in_both_units("reported", event.reported_nano_usd),
        finish_reason=event.finish_reason,
        reply_blob=event.reply.sha256,
        reply_version=recorded.version,
    )
    if event.batch is not None:
        leave_batch(writer, recorded, event)


def llm_failed(writer: Writer, recorded: Recorded, event: LlmFailed) -> None:
    """Record the failure in the row of the call."""
    call_key = _call_key(recorded, event)
    used = _use_tokens(writer, recorded, event)
    if event.is_in_doubt:
        writer.add("step_failed_doubt", row=f"{recorded.job_id}/{event.step}", call_id=call_key)
        writer.add("job_failed_doubt", row=recorded.job_id, call_id=call_key)
    writer.add(
        "call_failed",
        call_id=call_key,
        duration_s=event.duration_s,
        **used,
        failure_kind=event.kind,
        failure=event.message,
        in_doubt=int(event.is_in_doubt),
    )
    if event.batch is not None:
        leave_batch(writer, recorded, event)


def mark_in_doubt(writer: Writer, recorded: Recorded, event: StepFailed | StepInterrupted) -> None:
    """Mark the calls and tools of an attempt that has ended as in doubt, if they had not ended."""
    step_key = f"{recorded.job_id}/{event.step}"
    attempt_key = f"{step_key}/{event.attempt}"
    if not writer.ends_first(attempt_key):
        return
    writer.add("step_cut_doubt", row=step_key, step_id=step_key, attempt_id=attempt_key)
    writer.add("job_cut_doubt", row=recorded.job_id, step_id=step_key, attempt_id=attempt_key)
    writer.add("call_cut", step_id=step_key, attempt_id=attempt_key)
    writer.add("tool_cut", step_id=step_key, attempt_id=attempt_key)


def _use_tokens(
    writer: Writer, recorded: Recorded, event: LlmResponded | LlmFailed
) -> dict[str, Any]:
    """Add the call's tokens and cost to its step and job; returns the columns of the call's row."""
    usage, priced = event.usage, priced_usage(event)
    price: Price | None = None
    cost: int | None = None
    if priced is not None:
        price = _find_price(writer, recorded, event)
        is_batch = event.batch is not None
        cost = None if price is None else price.cost_nano_usd(priced, is_batch=is_batch)
    spent = {
        "input_tokens": 0 if usage is None else usage.input_tokens,
        "output_tokens": 0 if usage is None else usage.output_tokens,
        "cost_nano_usd": cost,
        "calls_unpriced": int(priced is not None and cost is None),
    }
    writer.add("step_usage", step_id=f"{recorded.job_id}/{event.step}", **spent)
    writer.add("job_usage", job_id=recorded.job_id, **spent)
    seen = price.seen if price is not None and cost is not None else None
    return {
        "input_tokens": None if usage is None else usage.input_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
        "cached_tokens": None if usage is None else usage.cached_tokens,
        "cache_write_tokens": None if usage is None else usage.cache_write_tokens,
        "reasoning_tokens": None if usage is None else usage.reasoning_tokens,
        **_in_both_units("cost", cost),
        "price_date": None if seen is None else seen.isoformat(),
    }


def _in_both_units(name: str, nano_usd: int | None) -> dict[str, Any]:
    """The two columns of an amount."""
    return {f"{name}_nano_usd": nano_usd, f"{name}_usd": optional_usd(nano_usd)}


def _find_price(
    writer: Writer, recorded: Recorded, event: LlmResponded | LlmFailed
) -> Price | None:
    at = recorded.recorded_at
    price = price_of_call(writer.prices, event, at=at)
    if price is not None or not writer.prices.knows(event.provider):
        return price
    # The row of the request is read only if it is needed.
    asked, endpoint = writer.requested(_call_key(recorded, event))
    return price_of_call(writer.prices, event, asked=asked, endpoint=endpoint, at=at)


def _call_keys(recorded: Recorded, event: LlmRequested | CacheHit) -> dict[str, Any]:
    step_key = f"{recorded.job_id}/{event.step}"
    attempt_key = f"{step_key}/{event.attempt}"
    return {
        "call_id": f"{attempt_key}/{event.call}",
        "name": f"{event.step} {event.attempt}.{event.call}",
        "job_id": recorded.job_id,
        "step_id": step_key,
        "attempt_id": attempt_key,
        "call": event.call,
    }


def _call_key(recorded: Recorded, event: LlmResponded | LlmFailed) -> str:
    return f"{recorded.job_id}/{event.step}/{event.attempt}/{event.call}"


def tool_called(writer: Writer, recorded: Recorded, event: ToolCalled) -> None:
    """Add the row of a tool that is about to be called."""
    step_key = f"{recorded.job_id}/{event.step}"
    attempt_key = f"{step_key}/{event.attempt}"
    arguments, blob = preview(event.arguments)
    writer.add(
        "tool_called",
        tool_call_id=_tool_key(recorded, event),
        name=f"{event.step} {event.attempt}.{event.call} {event.tool}",
        job_id=recorded.job_id,
        step_id=step_key,
        attempt_id=attempt_key,
        call_id=f"{attempt_key}/{event.call}",
        tool=event.tool,
        called_at=recorded.recorded_at,
        arguments=arguments,
        arguments_blob=blob,
    )


def tool_returned(writer: Writer, recorded: Recorded, event: ToolReturned) -> None:
    """Record the result in the row of the call of a tool."""
    result, blob = preview(event.result)
    writer.add(
        "tool_returned",
        tool_call_id=_tool_key(recorded, event),
        status="error" if event.is_error else "returned",
        duration_s=event.duration_s,
        result=result,
        result_blob=blob,
    )


def circuit_opened(writer: Writer, recorded: Recorded, event: CircuitOpened) -> None:
    """Record that a target's circuit is open: no step asks the target until the cooldown is over."""
    writer.add(
        "circuit_opened",
        circuit_id=f"{recorded.job_id}/{event.target}",
        name=event.target,
        job_id=recorded.job_id,
        opened_at=recorded.recorded_at,
        failures=event.failures,
        cooldown_s=event.cooldown_s,
        failure_kind=event.kind,
        failure=event.message,
    )


def circuit_closed(writer: Writer, recorded: Recorded, event: CircuitClosed) -> None:
    """Record that a target's circuit is closed: the target has answered again."""
    circuit_key = f"{recorded.job_id}/{event.target}"
    writer.add("circuit_closed", circuit_id=circuit_key, closed_at=recorded.recorded_at)


def _tool_key(recorded: Recorded, event: ToolCalled | ToolReturned) -> str:
    attempt = f"{recorded.job_id}/{event.step}/{event.attempt}"
    return f"{attempt}/{event.call}/{event.key[:16]}"
