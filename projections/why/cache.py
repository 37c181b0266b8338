"""Statements about the caches: where a result or a reply came from, and why a call was sent."""

from __future__ import annotations

from orc.ledger.definition import StepDef
from orc.ledger.events import CacheHit, LlmRequested, StepReused


def cache_statement(event: StepReused | CacheHit, job_id: str) -> str:
    """The job and step from which a result or a reply was taken, and who paid for it."""
    if isinstance(event, StepReused):
        place = f"step {event.from_step} of {event.from_job} (event {event.version} of that job)"
        if event.reason == "fork":
            return f"it did not run: the job was forked and took the result of {place}"
        if event.reason == "amend":
            return (
                "it did not run again: the amendment did not change its work, so that it kept the "
                f"result of {place}"
            )
        return (
            f"it did not run: the cache of results had a result of the same work, made by {place}"
        )
    if event.paid_by is None:
        return (
            f"call {event.call} was not sent: this job already had a reply to the same request "
            f"(event {event.version})"
        )
    paid = event.paid_by
    whose = "this job" if paid.job_id == job_id else paid.job_id
    return (
        f"call {event.call} was not sent: the cache of replies answered it; step {paid.step} of "
        f"{whose} had sent the same request and paid for it (event {event.version} of that job)"
    )


def not_cached(event: LlmRequested, definition: StepDef | None) -> str:
    """Why the cache of replies did not answer a call; empty if the cache is off for the step."""
    scope = "off" if definition is None else definition.cache
    if event.changed:
        parts = ", ".join(event.changed)
        return (
            f"call {event.call} was sent: the most similar request in the cache differs in {parts}"
        )
    if scope == "off":
        return ""
    where = "this job" if scope == "job" else "the ledger"
    return f"call {event.call} was sent: the cache has no earlier request of this step in {where}"
