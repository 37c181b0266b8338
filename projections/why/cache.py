"""What the caches answered for a step, who had paid for that, and why they did not answer."""

from __future__ import annotations

from orc.ledger.definition import StepDef
from orc.ledger.events import CacheHit, LlmRequested, StepReused


def cache_statement(event: StepReused | CacheHit, job_id: str) -> str:
    """Where the result, or the reply, came from."""
    if isinstance(event, StepReused):
        place = f"step {event.from_step} of {event.from_job} (its event {event.version})"
        if event.reason == "fork":
            return f"nothing ran: the job was forked, and has the result of {place}"
        return f"nothing ran: the cache of results had the same work done, by {place}"
    if event.paid_by is None:
        return (
            f"call {event.call} was answered by a reply that this job had already: event "
            f"{event.version}; nothing was sent"
        )
    paid = event.paid_by
    whose = "this job" if paid.job_id == job_id else paid.job_id
    return (
        f"call {event.call} was answered from the cache of replies: step {paid.step} of {whose} "
        f"had asked the same (its event {event.version}), and paid; nothing was sent"
    )


def not_cached(event: LlmRequested, definition: StepDef | None) -> str:
    """Why the cache of replies did not answer a call; empty where it was not asked."""
    scope = "off" if definition is None else definition.cache
    if event.changed:
        parts = ", ".join(event.changed)
        return (
            f"call {event.call} was sent: the nearest request that the cache has differs in {parts}"
        )
    if scope == "off":
        return ""
    where = "this job" if scope == "job" else "the ledger"
    return (
        f"call {event.call} was sent: {where} has no earlier request of this step to compare with"
    )
