"""The tables of the read model, made with sqlite-utils: names and columns for people to read.

Keys are texts that say what they are (`job/step/attempt`), so that a rebuilt
table has equal rows; `name` columns are what Datasette shows for a link.
"""

from __future__ import annotations

import sqlite3
from typing import Any

VERSION = 5
"""Raised with every change of the tables: a ledger that has an older one derives them anew."""

TABLES = ("files", "tool_calls", "circuits", "llm_calls", "attempts", "steps", "jobs")
"""In an order in which they can be dropped."""

_JOBS: dict[str, type] = {
    "job_id": str,
    "name": str,
    "status": str,
    "task_description": str,
    "provider": str,
    "model": str,
    "submitted_at": str,
    "started_at": str,
    "finished_at": str,
    "duration_s": float,
    "steps_total": int,
    "steps_succeeded": int,
    "steps_failed": int,
    "steps_skipped": int,
    "calls": int,
    "input_tokens": int,
    "output_tokens": int,
    "cost_usd": float,
    "calls_unpriced": int,
    "calls_in_doubt": int,
    "in_doubt_usd": float,
    "in_doubt_unpriced": int,
    "failure": str,
    "spec_file": str,
    "runs_dir": str,
    "owner": str,
    "forked_from": str,
}
_STEPS: dict[str, type] = {
    "step_id": str,
    "name": str,
    "job_id": str,
    "position": int,
    "kind": str,
    "status": str,
    "needs": str,
    "provider": str,
    "model": str,
    "attempts": int,
    "started_at": str,
    "finished_at": str,
    "duration_s": float,
    "calls": int,
    "input_tokens": int,
    "output_tokens": int,
    "cost_usd": float,
    "calls_unpriced": int,
    "calls_in_doubt": int,
    "in_doubt_usd": float,
    "in_doubt_unpriced": int,
    "output": str,
    "output_sha256": str,
    "failure_kind": str,
    "failure": str,
    "skip_reason": str,
    "tolerated": int,
    "parent": str,
    "children": int,
    "question": str,
    "decision": str,
    "decided_by": str,
    "reused": str,
    "reused_from": str,
}
_ATTEMPTS: dict[str, type] = {
    "attempt_id": str,
    "name": str,
    "job_id": str,
    "step_id": str,
    "attempt": int,
    "status": str,
    "started_at": str,
    "finished_at": str,
    "duration_s": float,
    "failure_kind": str,
    "failure": str,
    "exit_code": int,
    "retry_delay_s": float,
    "log": str,
    "log_sha256": str,
    "cache_key": str,
    "result_version": int,
}
_LLM_CALLS: dict[str, type] = {
    "call_id": str,
    "name": str,
    "job_id": str,
    "step_id": str,
    "attempt_id": str,
    "call": int,
    "status": str,
    "provider": str,
    "model": str,
    "requested_at": str,
    "duration_s": float,
    "input_tokens": int,
    "output_tokens": int,
    "cached_tokens": int,
    "reasoning_tokens": int,
    "cost_usd": float,
    "worst_case_tokens": int,
    "worst_case_usd": float,
    "in_doubt": int,
    "price_date": str,
    "saved_usd": float,
    "finish_reason": str,
    "failure_kind": str,
    "failure": str,
    "request_sha256": str,
    "request_blob": str,
    "reply_blob": str,
    "endpoint": str,
    "identity": str,
    "request_version": int,
    "reply_version": int,
    "rejected": int,
    "dropped": str,
    "changed": str,
    "paid_by_job": str,
    "paid_by_step": str,
}
_TOOL_CALLS: dict[str, type] = {
    "tool_call_id": str,
    "name": str,
    "job_id": str,
    "step_id": str,
    "attempt_id": str,
    "call_id": str,
    "tool": str,
    "status": str,
    "called_at": str,
    "duration_s": float,
    "arguments": str,
    "result": str,
    "arguments_blob": str,
    "result_blob": str,
}
_CIRCUITS: dict[str, type] = {
    "circuit_id": str,
    "name": str,
    "job_id": str,
    "status": str,
    "opened_at": str,
    "closed_at": str,
    "failures": int,
    "times_opened": int,
    "cooldown_s": float,
    "failure_kind": str,
    "failure": str,
}
_FILES: dict[str, type] = {
    "file_id": str,
    "name": str,
    "job_id": str,
    "step_id": str,
    "path": str,
    "sha256": str,
    "size_bytes": int,
    "media_type": str,
    "written_at": str,
    "attempt": int,
}


def create_tables(connection: sqlite3.Connection) -> None:
    """Drop the read model and create it empty; the caller holds a transaction."""
    from sqlite_utils import Database

    for table in TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    database = Database(connection)
    job = ("job_id", "jobs", "job_id")
    step = ("step_id", "steps", "step_id")
    _create(database, "jobs", _JOBS, links=[])
    _create(database, "steps", _STEPS, links=[job, ("output_sha256", "blobs", "sha256")])
    _create(database, "attempts", _ATTEMPTS, links=[job, step, ("log_sha256", "blobs", "sha256")])
    _create(
        database,
        "llm_calls",
        _LLM_CALLS,
        links=[
            job,
            step,
            ("attempt_id", "attempts", "attempt_id"),
            ("request_blob", "blobs", "sha256"),
            ("reply_blob", "blobs", "sha256"),
        ],
    )
    _create(
        database,
        "tool_calls",
        _TOOL_CALLS,
        links=[
            job,
            step,
            ("attempt_id", "attempts", "attempt_id"),
            ("call_id", "llm_calls", "call_id"),
            ("arguments_blob", "blobs", "sha256"),
            ("result_blob", "blobs", "sha256"),
        ],
    )
    _create(database, "circuits", _CIRCUITS, links=[job])
    _create(database, "files", _FILES, links=[job, step, ("sha256", "blobs", "sha256")])
    # Each index is one more page in every commit that touches it: these are the
    # ones that pages and commands look rows up by.
    for table, columns in (
        ("jobs", ("status",)),
        ("jobs", ("submitted_at",)),
        ("steps", ("job_id",)),
        ("attempts", ("step_id",)),
        ("llm_calls", ("job_id",)),
        ("llm_calls", ("step_id",)),
        ("llm_calls", ("provider", "model")),
        ("llm_calls", ("request_sha256",)),
        ("tool_calls", ("job_id",)),
        ("tool_calls", ("step_id",)),
        ("circuits", ("job_id",)),
        ("files", ("job_id",)),
        ("files", ("sha256",)),
    ):
        connection.execute(
            f"CREATE INDEX {table}_by_{'_'.join(columns)} ON {table} ({', '.join(columns)})"
        )
    # Few attempts have a key, and only those cost a page.
    connection.execute(
        "CREATE INDEX attempts_by_cache_key ON attempts (cache_key) WHERE cache_key IS NOT NULL"
    )


def _create(
    database: Any, table: str, columns: dict[str, type], *, links: list[tuple[str, str, str]]
) -> None:
    database[table].create(columns, pk=next(iter(columns)), foreign_keys=links, strict=True)
