"""The tables of calls: those to models, batches of them, and those of tools."""

from typing import Annotated, NamedTuple

from orc.ledger.kinds import BATCH_OPEN
from orc.ledger.wording import batch_text
from orc.projections.money.unknown_costs import has_cost
from orc.projections.tables.columns import column, table


@table(
    "batches",
    "Batches",
    "One row for each batch of requests that was submitted to a server.",
)
class BatchRow(NamedTuple):
    """A row of `batches`; `name` is that which was sent to the server."""

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


@table(
    "llm_calls",
    "Calls to models",
    "One row for each request to a model.",
    indexes=(("provider", "model"),),
)
class CallRow(NamedTuple):
    """A row of `llm_calls`; `status` is `from ledger` if a recorded reply answered the call."""

    call_id: Annotated[str, column("`job/step/attempt/call`.", key=True)]
    name: Annotated[str, column("The id of the step, the attempt and the call.")]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id", indexed=True)]
    step_id: Annotated[str, column("The step.", refers="steps.step_id", indexed=True)]
    attempt_id: Annotated[str, column("The attempt.", refers="attempts.attempt_id")]
    call: Annotated[int, column("The number of the call in its attempt, from 1.")]
    status: Annotated[
        str,
        column(
            "sent, answered or failed; `in doubt` if the outcome was not recorded; `from ledger` if "
            "a recorded reply was used again and nothing was sent.",
            start="sent",
        ),
    ]
    provider: Annotated[str | None, column("The provider to which the call was sent.")]
    model: Annotated[
        str | None, column("The model that answered, or else the model that was requested.")
    ]
    requested_at: Annotated[
        str | None, column("When the request was recorded, just before it was sent.")
    ]
    duration_s: Annotated[float | None, column("From the request to the end of the reply.")]
    input_tokens: Annotated[int | None, column("Tokens sent.")]
    output_tokens: Annotated[int | None, column("Tokens received.")]
    cached_tokens: Annotated[
        int | None, column("Tokens sent that the provider had in its own cache.")
    ]
    cache_write_tokens: Annotated[
        int | None, column("Tokens sent that the provider put into its cache.")
    ]
    reasoning_tokens: Annotated[
        int | None, column("Tokens received that the model used for reasoning.")
    ]
    cost_usd: Annotated[
        float | None,
        column(
            "The tokens at the prices that were in effect; NULL if the price is unknown.",
            by_prices=True,
        ),
    ]
    cost_nano_usd: Annotated[int | None, column("The same; its sums are exact.", by_prices=True)]
    reported_usd: Annotated[
        float | None,
        column("The cost of the call as the server itself reports it; NULL if it reports none."),
    ]
    reported_nano_usd: Annotated[int | None, column("The same; its sums are exact.")]
    worst_case_tokens: Annotated[
        int | None,
        column(
            "The most tokens, sent and received, that the call can use; NULL without max_tokens."
        ),
    ]
    worst_case_usd: Annotated[
        float | None,
        column("The most that the call can cost, at the prices of the time when it was sent."),
    ]
    worst_case_nano_usd: Annotated[int | None, column("The same; its sums are exact.")]
    in_doubt: Annotated[
        int | None,
        column("1 if the outcome was not recorded: the call may have been answered and charged."),
    ]
    price_date: Annotated[
        str | None,
        column(
            "The day (UTC) on which the price was seen, or since which it holds; NULL if unknown.",
            by_prices=True,
        ),
    ]
    saved_usd: Annotated[
        float | None,
        column("What the call would have cost, if the cache answered it.", by_prices=True),
    ]
    saved_nano_usd: Annotated[int | None, column("The same; its sums are exact.", by_prices=True)]
    finish_reason: Annotated[
        str | None, column("Why the model stopped: stop, length, tool_calls and so on.")
    ]
    failure_kind: Annotated[
        str | None, column("The kind of the failure (docs/events.md lists them).")
    ]
    failure: Annotated[str | None, column("The message of the failure.")]
    request_sha256: Annotated[str | None, column("The digest of the whole request.", indexed=True)]
    request_blob: Annotated[
        str | None,
        column(
            "The blob with the request, if the request is larger than 1 kB.", refers="blobs.sha256"
        ),
    ]
    reply_blob: Annotated[
        str | None,
        column("The blob with the reply, if the reply is larger than 1 kB.", refers="blobs.sha256"),
    ]
    endpoint: Annotated[str | None, column("The address of the provider's server.")]
    identity: Annotated[
        str | None,
        column(
            "The model's version as its server names it; a later model of the same name has another one."
        ),
    ]
    request_version: Annotated[int | None, column("The version of the event that has the request.")]
    reply_version: Annotated[int | None, column("The version of the event that has the reply.")]
    rejected: Annotated[
        int | None, column("1 if the step rejected the reply; the cache does not use it again.")
    ]
    dropped: Annotated[
        str | None,
        column(
            "Parameters that were not sent, since the provider does not support them, separated by "
            "commas."
        ),
    ]
    changed: Annotated[
        str | None,
        column(
            "Parts of the request that differ from the step's previous request, so that the cache had "
            "no reply, separated by commas."
        ),
    ]
    batch: Annotated[
        int | None, column("The batch in which it was submitted, at the price of batches.")
    ]
    paid_by_job: Annotated[str | None, column("The job that paid for the reply from the cache.")]
    paid_by_step: Annotated[str | None, column("The id of the step in that job.")]

    @property
    def has_cost(self) -> bool:
        """Whether it has a cost, which may be unknown."""
        return has_cost(self.status, self.input_tokens)
