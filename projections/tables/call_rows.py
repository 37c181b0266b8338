"""The tables around calls to models: batches of them, and calls of tools."""

from typing import Annotated, NamedTuple

from orc.ledger.kinds import BATCH_OPEN
from orc.ledger.wording import batch_text
from orc.projections.tables.columns import column, table


@table(
    "batches",
    "Batches",
    "One row for each batch of requests that was submitted to a server.",
)
class BatchRow(NamedTuple):
    """A row of `batches`; `name` is what the server was told."""

    batch_id: Annotated[str, column("`job/batch`.", key=True)]
    name: Annotated[str, column("The name of the batch, by which it can be found at the server.")]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id", indexed=True)]
    batch: Annotated[int, column("The number of the batch in its job, from 1.")]
    status: Annotated[
        str,
        column(
            "submitted, accepted (the server works on it), completed, expired, cancelled, failed or "
            "refused (by the server), lost (it may or may not have been accepted) or abandoned "
            "(nothing waits for it any more).",
            start="submitted",
        ),
    ]
    provider: Annotated[str, column("The provider or server.")]
    model: Annotated[str, column("The model of its requests.")]
    endpoint: Annotated[str | None, column("The address of the server.")]
    server_id: Annotated[str | None, column("The id that the server gave it.")]
    requests: Annotated[int, column("The number of its requests.")]
    answered: Annotated[int, column("How many the server said it has answered.", start=0)]
    failed: Annotated[int, column("How many the server said have failed.", start=0)]
    size_bytes: Annotated[int, column("The size of its requests.")]
    submitted_at: Annotated[str, column("When it was recorded, just before it was submitted.")]
    ended_at: Annotated[str | None, column("When orc saw that it had ended.")]
    trouble: Annotated[str | None, column("Why the server cannot be asked at present.")]
    failure: Annotated[str | None, column("Why its requests have no replies.")]

    def text(self) -> str:
        """Where it stands."""
        return batch_text(self.status, self.requests, self.answered, self.failed)

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.status in BATCH_OPEN


@table("tool_calls", "Calls of tools", "One row for each call of a tool by a model.")
class ToolRow(NamedTuple):
    """A row of `tool_calls`."""

    tool_call_id: Annotated[str, column("`job/step/attempt/call/key`.", key=True)]
    name: Annotated[str, column("The id of the step, the attempt, the call and the tool.")]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id", indexed=True)]
    step_id: Annotated[str, column("The step.", refers="steps.step_id", indexed=True)]
    attempt_id: Annotated[str, column("The attempt.", refers="attempts.attempt_id")]
    call_id: Annotated[
        str,
        column("The call to the model whose reply asked for the tool.", refers="llm_calls.call_id"),
    ]
    tool: Annotated[str, column("The name of the tool.")]
    status: Annotated[
        str,
        column(
            "called, returned or error; `in doubt` if the outcome was not recorded.", start="called"
        ),
    ]
    called_at: Annotated[
        str, column("When the call was recorded, just before the tool was called.")
    ]
    duration_s: Annotated[float | None, column("How long the tool took.")]
    arguments: Annotated[
        str | None,
        column("The first 200 characters of the arguments, as JSON, if they are at most 1 kB."),
    ]
    result: Annotated[
        str | None,
        column("The first 200 characters of the result, as text or JSON, if it is at most 1 kB."),
    ]
    arguments_blob: Annotated[
        str | None,
        column("The blob with the arguments, if they are larger.", refers="blobs.sha256"),
    ]
    result_blob: Annotated[
        str | None, column("The blob with the result, if it is larger.", refers="blobs.sha256")
    ]
