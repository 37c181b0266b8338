"""The notes of the live table: why a step does not run yet, and the job's budget."""

from __future__ import annotations

from collections.abc import Mapping

from orc.cli.terminal.text import safe
from orc.ledger.kinds import JOB_AT_REST, QUEUED
from orc.ledger.wording import count_text, duration_text, number_text, usd_text
from orc.projections.tables.inner_waits import InnerWaits
from orc.scheduler.core.fold.budgets import JOB, current_limits
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.limits import held_by_circuit, room_at, room_of
from orc.scheduler.core.fold.state import Spent


def wait_note(
    state: JobState, step_id: str, *, now_s: float, last: str, inside: InnerWaits | None = None
) -> tuple[str, str]:
    """The status to show, and the note: until when the step waits, or which limit holds it back.

    `now_s` is in seconds since 1970. `last` is the note of the step's last event, `inside` what the
    steps inside it wait for.
    """
    if inside is not None and inside.is_waiting:
        return "waiting", inside.text()
    step = state.steps[step_id]
    held = held_by_circuit(state, step_id, now_s)
    if held is not None:
        circuit = state.circuits.get(held)
        if circuit is not None and circuit.waits_since is not None:
            waited = duration_text(max(0.0, now_s - circuit.waits_since))
            return "waiting", f"for server {safe(held)}, {waited}"
        until = None if circuit is None else circuit.retry_at
        left = "" if until is None else _left(until - now_s)
        return "waiting", f"for the circuit of {held}{left}"
    if step.status == "waiting" and step.waits_for == "retry" and step.retry_at is not None:
        after = f"; {last}" if last else ""
        left = _left(step.retry_at - now_s)
        if step.retry_at <= now_s:
            is_late = step.retry_at < now_s
            held = _limit_of(state, step_id) or (_unknown_limit(state, step_id) if is_late else "")
            return "waiting", f"retry, {held}{after}" if held else f"retry now{after}"
        return "waiting", f"retry{left or ' now'}{after}"
    if step.status == "waiting" and step.question is not None:
        expires = step.question.expires_at
        asked = last or "for human review"
        if expires is None:
            return "waiting", asked
        # The time comes first, since a long question is cut at its end.
        return "waiting", f"times out{_left(expires - now_s) or ' now'}; {asked}"
    if step.status == "pending" and step.ticket and state.status not in JOB_AT_REST:
        return "pending", _limit_of(state, step_id) or _unknown_limit(state, step_id)
    if step.batched is not None:
        batch = state.batches[step.batched.batch]
        return "waiting", f"in batch {batch.number}: {batch.text()}"
    if step.status == "running" and step.queued_at is not None:
        return QUEUED, f"on {state.graph.steps[step_id].executor}"
    return step.status, last


def counts_text(state: JobState, waits: Mapping[str, InnerWaits]) -> str:
    """How many steps are in each status, in which the rows show them."""
    found: dict[str, int] = {}
    for step_id, step in state.steps.items():
        inside = waits.get(step_id)
        is_waiting = step.batched is not None or (inside is not None and inside.is_waiting)
        status = "waiting" if step.status == "running" and is_waiting else step.status
        found[status] = found.get(status, 0) + 1
    return ", ".join(f"{number_text(count)} {status}" for status, count in found.items())


def budget_note(state: JobState) -> str:
    """The used part of the job's budget: `budget: $0.1200 of $2.00, 7 of 50 calls`, or empty."""
    limits = current_limits(state, JOB)
    if limits is None:
        return ""
    spent = state.spent.get(JOB, Spent())
    parts = []
    if limits.max_cost_nano_usd is not None:
        parts.append(f"{usd_text(spent.nano_usd)} of {usd_text(limits.max_cost_nano_usd)}")
    if limits.max_tokens is not None:
        parts.append(f"{number_text(spent.tokens)} of {count_text(limits.max_tokens, 'token')}")
    if limits.max_calls is not None:
        parts.append(f"{number_text(spent.calls)} of {count_text(limits.max_calls, 'call')}")
    return f"budget: {', '.join(parts)}" if parts else ""


def _unknown_limit(state: JobState, step_id: str) -> str:
    """What holds a ready step back that no limit of the state does; only calls have a rate."""
    calls_model = state.graph.steps[step_id].facts.calls_model
    return "queued: for a slot" + ", or for its provider's rate limit" * calls_model


def _limit_of(state: JobState, step_id: str) -> str:
    """The limit that holds a ready step back; empty if there is none."""
    definition = state.graph.steps[step_id]
    if definition.is_remote:
        running = count_text(state.running.get(definition.executor, 0), "step runs", "steps run")
        full = room_at(state, definition.executor) <= 0
        return f"queued: {running} on {safe(definition.executor)}" if full else ""
    total = state.definition.concurrency["total"]
    here = state.running_total - state.running_slotless
    if here >= total:
        verb = "is" if total == 1 else "are"
        return f"queued: {here} of {count_text(total, 'slot')} {verb} in use"
    for target in state.route_of(step_id)[:1]:
        if room_of(state, target.provider) <= 0:
            running = count_text(state.running.get(target.provider, 0), "step calls", "steps call")
            return f"queued: {running} {safe(target.provider)}"
    return ""


def _left(seconds: float) -> str:
    return f" in {duration_text(seconds)}" if seconds >= 0.5 else ""
