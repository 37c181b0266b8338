"""The tables around calls to models: batches of them, and calls of tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orc.ledger.kinds import BATCH_OPEN
from orc.ledger.wording import batch_text
from orc.projections.tables.columns import TableInfo, column


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A row of `batches`; `name` is what the server was told."""

    TABLE: ClassVar = TableInfo(
        "batches",
        "Batches",
        "One row for each batch of requests that was submitted to a server.",
    )

    batch_id: str = column("`job/batch`.", key=True)
    name: str = column("The name of the batch, by which it can be found at the server.")
    job_id: str = column("The job.", refers="jobs.job_id", indexed=True)
    batch: int = column("The number of the batch in its job, from 1.")
    status: str = column(
        "submitted, accepted (the server works on it), completed, expired, cancelled, failed or refused "
        "(by the server), lost (it may or may not have been accepted) or abandoned (nothing waits for "
        "it any more).",
        start="submitted",
    )
    provider: str = column("The provider or server.")
    model: str = column("The model of its requests.")
    endpoint: str | None = column("The address of the server.")
    server_id: str | None = column("The id that the server gave it.")
    requests: int = column("The number of its requests.")
    answered: int = column("How many the server said it has answered.", start=0)
    failed: int = column("How many the server said have failed.", start=0)
    size_bytes: int = column("The size of its requests.")
    submitted_at: str = column("When it was recorded, just before it was submitted.")
    ended_at: str | None = column("When orc saw that it had ended.")
    trouble: str | None = column("Why the server cannot be asked at present.")
    failure: str | None = column("Why its requests have no replies.")

    def text(self) -> str:
        """Where it stands."""
        return batch_text(self.status, self.requests, self.answered, self.failed)

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.status in BATCH_OPEN


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A row of `tool_calls`."""

    TABLE: ClassVar = TableInfo(
        "tool_calls", "Calls of tools", "One row for each call of a tool by a model."
    )

    tool_call_id: str = column("`job/step/attempt/call/key`.", key=True)
    name: str = column("The id of the step, the attempt, the call and the tool.")
    job_id: str = column("The job.", refers="jobs.job_id", indexed=True)
    step_id: str = column("The step.", refers="steps.step_id", indexed=True)
    attempt_id: str = column("The attempt.", refers="attempts.attempt_id")
    call_id: str = column(
        "The call to the model whose reply asked for the tool.", refers="llm_calls.call_id"
    )
    tool: str = column("The name of the tool.")
    status: str = column(
        "called, returned or error; `in doubt` if the outcome was not recorded.", start="called"
    )
    called_at: str = column("When the call was recorded, just before the tool was called.")
    duration_s: float | None = column("How long the tool took.")
    arguments: str | None = column(
        "The first 200 characters of the arguments, as JSON, if they are at most 1 kB."
    )
    result: str | None = column(
        "The first 200 characters of the result, as text or JSON, if it is at most 1 kB."
    )
    arguments_blob: str | None = column(
        "The blob with the arguments, if they are larger.", refers="blobs.sha256"
    )
    result_blob: str | None = column(
        "The blob with the result, if it is larger.", refers="blobs.sha256"
    )
