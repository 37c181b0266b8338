"""The rows of a job's tables, typed: one class a table, one field a column."""

from __future__ import annotations

from dataclasses import dataclass


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
