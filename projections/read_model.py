"""The projector: how each event changes the tables, inside the append's own transaction.

Rows are collected and written a statement at a time for a whole batch. The
statements of one batch run in the order of `ORDER`, which is the order in
which events follow each other within a turn of the loop; an event that would
break that order closes the batch first, so that a rebuild in large batches
gives the same rows.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from ledger.events import (
    CacheHit,
    FileWritten,
    JobCancelled,
    JobFailed,
    JobInterrupted,
    JobResumed,
    JobStarted,
    JobSubmitted,
    JobSucceeded,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Payload,
    Recorded,
    StepFailed,
    StepInterrupted,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from projections.prices import cost_usd
from projections.read_model_schema import create_tables
from projections.read_model_statements import ORDER, STATEMENTS

PREVIEW_CHARS = 200

# The phase of each event: the place of its statements in `ORDER`.
_PHASES: dict[type, int] = {
    JobSubmitted: 0,
    JobStarted: 1,
    JobResumed: 1,
    JobInterrupted: 1,
    CacheHit: 2,
    LlmRequested: 2,
    LlmResponded: 3,
    LlmFailed: 3,
    FileWritten: 4,
    StepInterrupted: 5,
    StepSucceeded: 6,
    StepFailed: 6,
    StepSkipped: 7,
    StepStarted: 8,
    JobSucceeded: 9,
    JobFailed: 9,
    JobCancelled: 9,
}


class ReadModel:
    """See `ledger.Projector`."""

    version = 1

    def create(self, connection: sqlite3.Connection) -> None:
        """See `Projector.create`."""
        create_tables(connection)

    def apply(self, connection: sqlite3.Connection, batch: Sequence[Recorded]) -> None:
        """See `Projector.apply`."""
        writer = _Writer(connection)
        phase = 0
        for recorded in batch:
            following = _PHASES[type(recorded.event)]
            if following < phase:
                writer.flush()
            phase = following
            _HANDLERS[type(recorded.event)](writer, recorded, recorded.event)
        writer.flush()


class _Writer:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self.counters: dict[str, list[int]] = {}

    def add(self, statement: str, *values: Any) -> None:
        self.rows[statement].append(values)

    def count(self, job_id: str, index: int, change: int = 1) -> None:
        """Succeeded is counter 0, failed 1, skipped 2."""
        self.counters.setdefault(job_id, [0, 0, 0])[index] += change

    def flush(self) -> None:
        for job_id, counts in self.counters.items():
            self.add("counters", *counts, job_id)
        for statement in ORDER:
            rows = self.rows.get(statement)
            if rows:
                self.connection.executemany(STATEMENTS[statement], rows)
        self.rows.clear()
        self.counters.clear()

    def payload(self, payload: Payload) -> Any:
        if payload.sha256 is None:
            return payload.value
        row = self.connection.execute(
            "SELECT content FROM blobs WHERE sha256 = ?", (payload.sha256,)
        ).fetchone()
        return json.loads(row[0])


def _submitted(writer: _Writer, recorded: Recorded, event: JobSubmitted) -> None:
    job_id = recorded.job_id
    spec = writer.payload(event.spec)
    writer.add(
        "job",
        job_id,
        event.project,
        spec.get("task_description"),
        spec["provider"],
        spec["model"],
        recorded.recorded_at,
        len(spec["steps"]),
        event.source_name,
        event.runs_dir,
    )
    for position, step in enumerate(spec["steps"]):
        writer.add(
            "step",
            f"{job_id}/{step['id']}",
            step["id"],
            job_id,
            position,
            step["kind"],
            ", ".join(step.get("needs", ())),
            step.get("provider"),
            step.get("model"),
        )


def _job_started(writer: _Writer, recorded: Recorded, event: JobStarted) -> None:
    owner = f"{event.owner.pid} on {event.owner.host}"
    writer.add("job_started", recorded.recorded_at, owner, recorded.job_id)


def _job_resumed(writer: _Writer, recorded: Recorded, event: JobResumed) -> None:
    writer.add("job_resumed", f"{event.owner.pid} on {event.owner.host}", recorded.job_id)
    writer.add("reopened", recorded.job_id)


def _job_succeeded(writer: _Writer, recorded: Recorded, event: JobSucceeded) -> None:
    _job_ended(writer, recorded, "succeeded", None)


def _job_failed(writer: _Writer, recorded: Recorded, event: JobFailed) -> None:
    first = event.failures[0] if event.failures else None
    others = f" (and {event.failures_total - 1} more)" if event.failures_total > 1 else ""
    named = f"{first.step}: " if first is not None and first.step else ""
    failure = f"{named}{first.message}{others}" if first is not None else None
    _job_ended(writer, recorded, "failed", failure)


def _job_cancelled(writer: _Writer, recorded: Recorded, event: JobCancelled) -> None:
    writer.add("steps_cancelled", recorded.recorded_at, recorded.job_id)
    _job_ended(writer, recorded, "cancelled", event.reason)


def _job_ended(writer: _Writer, recorded: Recorded, status: str, failure: str | None) -> None:
    at = recorded.recorded_at
    writer.add("job_ended", status, at, failure, at, recorded.job_id)


def _step_started(writer: _Writer, recorded: Recorded, event: StepStarted) -> None:
    job_id, step_key = recorded.job_id, f"{recorded.job_id}/{event.step}"
    writer.add("step_started", event.attempt, recorded.recorded_at, step_key)
    writer.add(
        "attempt",
        f"{step_key}/{event.attempt}",
        f"{event.step} {event.attempt}",
        job_id,
        step_key,
        event.attempt,
        recorded.recorded_at,
    )


def _step_succeeded(writer: _Writer, recorded: Recorded, event: StepSucceeded) -> None:
    step_key = f"{recorded.job_id}/{event.step}"
    at = recorded.recorded_at
    output, blob = _preview(event.output)
    writer.add("step_succeeded", at, event.duration_s, output, blob, step_key)
    _attempt_ended(writer, recorded, event, "succeeded")
    writer.count(recorded.job_id, 0)


def _step_failed(writer: _Writer, recorded: Recorded, event: StepFailed) -> None:
    status = "failed" if event.retry_at is None else "waiting"
    writer.add(
        "step_failed",
        status,
        recorded.recorded_at if status == "failed" else None,
        event.duration_s,
        event.kind,
        event.message,
        int(bool(event.tolerated)),
        f"{recorded.job_id}/{event.step}",
    )
    _attempt_ended(writer, recorded, event, "failed")
    if status == "failed":
        writer.count(recorded.job_id, 1)


def _step_interrupted(writer: _Writer, recorded: Recorded, event: StepInterrupted) -> None:
    writer.add("step_interrupted", f"{recorded.job_id}/{event.step}")
    _attempt_ended(writer, recorded, event, "interrupted")


def _attempt_ended(
    writer: _Writer,
    recorded: Recorded,
    event: StepSucceeded | StepFailed | StepInterrupted,
    status: str,
) -> None:
    log, log_blob = (None, None) if event.log is None else _preview(event.log)
    failed = event if isinstance(event, StepFailed) else None
    writer.add(
        "attempt_ended",
        status,
        recorded.recorded_at,
        event.duration_s,
        failed.kind if failed else None,
        failed.message if failed else None,
        failed.exit_code if failed else None,
        failed.delay_s if failed else None,
        log,
        log_blob,
        f"{recorded.job_id}/{event.step}/{event.attempt}",
    )


def _step_skipped(writer: _Writer, recorded: Recorded, event: StepSkipped) -> None:
    because = f"{event.reason}: {', '.join(event.because)}" if event.because else event.reason
    step_key = f"{recorded.job_id}/{event.step}"
    writer.add("step_skipped", because, recorded.recorded_at, step_key)
    writer.count(recorded.job_id, 2)


def _requested(writer: _Writer, recorded: Recorded, event: LlmRequested) -> None:
    writer.add(
        "call_requested",
        *_call_keys(recorded, event),
        event.provider,
        event.model,
        recorded.recorded_at,
        event.request_sha256,
        event.request.sha256,
    )


def _cache_hit(writer: _Writer, recorded: Recorded, event: CacheHit) -> None:
    keys = _call_keys(recorded, event)
    writer.add("cache_hit", *keys, recorded.recorded_at, event.request_sha256)


def _responded(writer: _Writer, recorded: Recorded, event: LlmResponded) -> None:
    usage = event.usage
    cost = cost_usd(event.provider)
    writer.add(
        "call_responded",
        event.model,
        event.duration_s,
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
        cost,
        event.finish_reason,
        event.reply.sha256,
        _call_keys(recorded, event)[0],
    )
    spent = (usage.input_tokens, usage.output_tokens, cost, cost)
    writer.add("step_usage", *spent, f"{recorded.job_id}/{event.step}")
    writer.add("job_usage", *spent, recorded.job_id)


def _call_failed(writer: _Writer, recorded: Recorded, event: LlmFailed) -> None:
    key = _call_keys(recorded, event)[0]
    writer.add("call_failed", event.duration_s, event.kind, event.message, key)
    writer.add("step_usage", 0, 0, None, None, f"{recorded.job_id}/{event.step}")
    writer.add("job_usage", 0, 0, None, None, recorded.job_id)


def _file_written(writer: _Writer, recorded: Recorded, event: FileWritten) -> None:
    if event.reason == "nochange":
        return
    writer.add(
        "file",
        f"{recorded.job_id}/{event.path}",
        event.path,
        recorded.job_id,
        f"{recorded.job_id}/{event.step}",
        event.path,
        event.sha256,
        event.size_bytes,
        event.media_type,
        recorded.recorded_at,
        event.attempt,
    )


def _nothing(writer: _Writer, recorded: Recorded, event: Any) -> None:
    """The event changes no table: an interrupted job is one that has not ended."""


def _call_keys(
    recorded: Recorded, event: LlmRequested | LlmResponded | LlmFailed | CacheHit
) -> tuple[str, str, str, str, str, int]:
    step_key = f"{recorded.job_id}/{event.step}"
    attempt_key = f"{step_key}/{event.attempt}"
    name = f"{event.step} {event.attempt}.{event.call}"
    return f"{attempt_key}/{event.call}", name, recorded.job_id, step_key, attempt_key, event.call


def _preview(payload: Payload) -> tuple[str | None, str | None]:
    """The first of a value, for a table, and the digest of all of it where it is a blob."""
    if payload.sha256 is not None:
        return None, payload.sha256
    if payload.value is None:
        return None, None
    value = payload.value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:PREVIEW_CHARS], None


_HANDLERS: dict[type, Callable[[_Writer, Recorded, Any], None]] = {
    JobSubmitted: _submitted,
    JobStarted: _job_started,
    JobResumed: _job_resumed,
    JobInterrupted: _nothing,
    JobSucceeded: _job_succeeded,
    JobFailed: _job_failed,
    JobCancelled: _job_cancelled,
    StepStarted: _step_started,
    StepSucceeded: _step_succeeded,
    StepFailed: _step_failed,
    StepSkipped: _step_skipped,
    StepInterrupted: _step_interrupted,
    LlmRequested: _requested,
    LlmResponded: _responded,
    LlmFailed: _call_failed,
    CacheHit: _cache_hit,
    FileWritten: _file_written,
}
