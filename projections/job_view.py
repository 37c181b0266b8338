"""One job as its tables tell it: the rows, typed, for pages, pictures, commands and exports.

Works on any connection that has the read model: the ledger's own, or the one of
`moment.py`, which has the tables as they were at an earlier event.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeVar

from projections.read_model_schema import TABLES


@dataclass(frozen=True, slots=True)
class JobRow:
    """A row of `jobs`; `name` is the project. Times are UTC text, costs US dollars."""

    job_id: str
    name: str
    status: str
    task_description: str | None
    provider: str | None
    model: str | None
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    duration_s: float | None
    steps_total: int
    steps_succeeded: int
    steps_failed: int
    steps_skipped: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    calls_unpriced: int
    calls_in_doubt: int
    in_doubt_usd: float | None
    in_doubt_unpriced: int
    failure: str | None
    spec_file: str | None
    runs_dir: str | None
    owner: str | None
    forked_from: str | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """A row of `steps`; `name` is the step's id. `children` counts the steps inside this one."""

    step_id: str
    name: str
    job_id: str
    position: int
    kind: str
    status: str
    needs: str
    provider: str | None
    model: str | None
    attempts: int
    started_at: str | None
    finished_at: str | None
    duration_s: float | None
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    calls_unpriced: int
    calls_in_doubt: int
    in_doubt_usd: float | None
    in_doubt_unpriced: int
    output: str | None
    output_sha256: str | None
    failure_kind: str | None
    failure: str | None
    skip_reason: str | None
    tolerated: int
    parent: str | None
    children: int | None
    question: str | None
    decision: str | None
    decided_by: str | None
    reused: str | None
    reused_from: str | None

    @property
    def needed(self) -> tuple[str, ...]:
        """The ids of the steps that it waits for."""
        return tuple(self.needs.split(", ")) if self.needs else ()

    @property
    def tokens(self) -> int:
        """All tokens, in and out."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A row of `attempts`; `retry_delay_s` is the wait that followed it."""

    attempt_id: str
    name: str
    job_id: str
    step_id: str
    attempt: int
    status: str
    started_at: str
    finished_at: str | None
    duration_s: float | None
    failure_kind: str | None
    failure: str | None
    exit_code: int | None
    retry_delay_s: float | None
    log: str | None
    log_sha256: str | None
    cache_key: str | None
    result_version: int | None


@dataclass(frozen=True, slots=True)
class CallRow:
    """A row of `llm_calls`; `status` is `from ledger` where a kept reply was used again."""

    call_id: str
    name: str
    job_id: str
    step_id: str
    attempt_id: str
    call: int
    status: str
    provider: str | None
    model: str | None
    requested_at: str | None
    duration_s: float | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None
    worst_case_tokens: int | None
    worst_case_usd: float | None
    in_doubt: int | None
    price_date: str | None
    saved_usd: float | None
    finish_reason: str | None
    failure_kind: str | None
    failure: str | None
    request_sha256: str | None
    request_blob: str | None
    reply_blob: str | None
    endpoint: str | None
    identity: str | None
    request_version: int | None
    reply_version: int | None
    rejected: int | None
    dropped: str | None
    changed: str | None
    paid_by_job: str | None
    paid_by_step: str | None


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A row of `tool_calls`."""

    tool_call_id: str
    name: str
    job_id: str
    step_id: str
    attempt_id: str
    call_id: str
    tool: str
    status: str
    called_at: str
    duration_s: float | None
    arguments: str | None
    result: str | None
    arguments_blob: str | None
    result_blob: str | None


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row of `files`; `path` is relative to the job's `outputs/`."""

    file_id: str
    name: str
    job_id: str
    step_id: str
    path: str
    sha256: str
    size_bytes: int
    media_type: str
    written_at: str
    attempt: int | None


@dataclass(frozen=True, slots=True)
class CircuitRow:
    """A row of `circuits`; `name` is the target, a provider and a model."""

    circuit_id: str
    name: str
    job_id: str
    status: str
    opened_at: str
    closed_at: str | None
    failures: int
    times_opened: int
    cooldown_s: float
    failure_kind: str | None
    failure: str | None


@dataclass(frozen=True)
class JobView:
    """A job with its steps (removed ones left out) and their attempts, in order.

    Calls and tools are read by step, where they are wanted: `read_calls`, `read_tools`.
    """

    job: JobRow
    steps: tuple[StepRow, ...]
    attempts: tuple[AttemptRow, ...]

    @cached_property
    def by_name(self) -> dict[str, StepRow]:
        """The steps by their ids."""
        return {step.name: step for step in self.steps}

    @cached_property
    def attempts_of(self) -> dict[str, list[AttemptRow]]:
        """The attempts of each step that has any, by the step's id."""
        names = {step.step_id: step.name for step in self.steps}
        found: dict[str, list[AttemptRow]] = {}
        for attempt in self.attempts:
            if attempt.step_id in names:
                found.setdefault(names[attempt.step_id], []).append(attempt)
        return found

    @cached_property
    def children_of(self) -> dict[str, list[StepRow]]:
        """What each step holds that holds any: items, rounds, members, by its id."""
        found: dict[str, list[StepRow]] = {}
        for step in self.steps:
            if step.parent is not None:
                found.setdefault(step.parent, []).append(step)
        return found


_Row = TypeVar("_Row")

_TABLE_OF: dict[type, str] = {
    JobRow: "jobs",
    StepRow: "steps",
    AttemptRow: "attempts",
    CallRow: "llm_calls",
    ToolRow: "tool_calls",
    FileRow: "files",
    CircuitRow: "circuits",
}
assert set(_TABLE_OF.values()) == set(TABLES)


def read_view(connection: sqlite3.Connection, job_id: str) -> JobView:
    """The job with that id, which has to be there."""
    return JobView(
        read_rows(connection, JobRow, "job_id = ?", job_id)[0],
        tuple(
            read_rows(
                connection, StepRow, "job_id = ? AND status <> 'removed' ORDER BY position", job_id
            )
        ),
        tuple(_attempts(connection, job_id)),
    )


def read_calls(connection: sqlite3.Connection, step_id: str) -> list[CallRow]:
    """The calls of a step (`job/step`), in order."""
    return read_rows(connection, CallRow, "step_id = ? ORDER BY rowid", step_id)


def read_tools(connection: sqlite3.Connection, step_id: str) -> list[ToolRow]:
    """The calls of tools of a step (`job/step`), in order."""
    return read_rows(connection, ToolRow, "step_id = ? ORDER BY rowid", step_id)


def read_files(connection: sqlite3.Connection, job_id: str) -> list[FileRow]:
    """The files of a job, by path."""
    return read_rows(connection, FileRow, "job_id = ? ORDER BY path", job_id)


def read_circuits(connection: sqlite3.Connection, job_id: str) -> list[CircuitRow]:
    """The circuits of a job that ever opened, by name."""
    return read_rows(connection, CircuitRow, "job_id = ? ORDER BY name", job_id)


def read_rows(
    connection: sqlite3.Connection, row_type: type[_Row], chosen: str, *values: Any
) -> list[_Row]:
    """The rows of the type's table that a condition of ours chooses; `values` are bound."""
    columns = ", ".join(field.name for field in fields(row_type))  # type: ignore[arg-type]
    query = f"SELECT {columns} FROM {_TABLE_OF[row_type]} WHERE {chosen}"
    return [row_type(*row) for row in connection.execute(query, values)]


def _attempts(connection: sqlite3.Connection, job_id: str) -> list[AttemptRow]:
    # There is an index by step, and none by job.
    return read_rows(
        connection,
        AttemptRow,
        "step_id IN (SELECT step_id FROM steps WHERE job_id = ?) ORDER BY rowid",
        job_id,
    )
