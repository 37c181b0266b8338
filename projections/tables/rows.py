"""Declares the tables of the read model: each class is a table, each field a column.

Everything else is derived from these classes: the tables in the file, the statements that write
rows, the queries that read them, Datasette's descriptions and docs/tables.md. To add a column, add a
field here, set its value in the projector's handler (`projector.py`) and raise `VERSION`
(`version.py`). `column` takes the meaning and the properties of the column. The end of a name
gives the unit: `_s`, `_at`, `_usd`, `_nano_usd`, `_tokens`, `_bytes`. An amount of money has two
columns: orc adds and compares the nano-dollars, and people read the dollars.

Keys are texts made of ids (`job/step/attempt`), so that a rebuilt table has the same keys.
Datasette shows the column `name` in place of a key.
"""

from typing import Annotated, NamedTuple

from orc.projections.tables.assessments import NoteRow, ScoreRow, TagRow
from orc.projections.tables.call_rows import BatchRow
from orc.projections.tables.call_rows import CallRow as CallRow
from orc.projections.tables.call_rows import ToolRow as ToolRow
from orc.projections.tables.circuits import CircuitRow
from orc.projections.tables.columns import Row, column, table
from orc.projections.tables.file_rows import FileRow as FileRow
from orc.projections.tables.tolerated import ToleratedRow

# What the calls of a job, and of a step, used.
_Calls = Annotated[int, column("Calls to models that were answered or failed.", start=0)]
_InputTokens = Annotated[int, column("Tokens sent in these calls.", start=0)]
_OutputTokens = Annotated[int, column("Tokens received in these calls.", start=0)]
_CostUsd = Annotated[
    float | None,
    column(
        "The cost of the calls whose price is known; the whole cost if calls_unpriced is 0.",
        by_prices=True,
    ),
]
_CostNanoUsd = Annotated[int | None, column("The same; its sums are exact.", by_prices=True)]
_CallsUnpriced = Annotated[
    int,
    column(
        "Calls whose price is unknown; cost_usd does not contain them.", start=0, by_prices=True
    ),
]
_CallsInDoubt = Annotated[
    int,
    column(
        "Calls whose outcome was not recorded: they may have been answered and charged.",
        start=0,
    ),
]
_InDoubtUsd = Annotated[
    float | None,
    column(
        "The most that the calls in doubt may have cost, as far as that is known; not in cost_usd."
    ),
]
_InDoubtNanoUsd = Annotated[int | None, column("The same; its sums are exact.")]
_InDoubtUnpriced = Annotated[int, column("Calls in doubt whose highest cost is unknown.", start=0)]


@table("jobs", "Jobs", "One row for each submitted spec.")
class JobRow(NamedTuple):
    """A row of `jobs`; `name` is the project."""

    job_id: Annotated[str, column("The id of the job.", key=True)]
    name: Annotated[str, column("The project of the spec.")]
    status: Annotated[
        str,
        column(
            "running, waiting (for a person, a budget or a batch), succeeded, failed or cancelled. A "
            "job that is running without a live process is shown as interrupted, or as queued if it is "
            "in the queue; one that a process in the background is about to run as starting.",
            start="running",
            indexed=True,
        ),
    ]
    task_description: Annotated[str | None, column("The task_description of the spec.")]
    provider: Annotated[str | None, column("The default provider of its steps.")]
    model: Annotated[str | None, column("The default model of its steps.")]
    position: Annotated[
        int,
        column(
            "The position of the job's first event: jobs are in the order of submission.",
            indexed=True,
        ),
    ]
    submitted_at: Annotated[str, column("When the job was submitted.", indexed=True)]
    started_at: Annotated[str | None, column("When a process first started the job.")]
    finished_at: Annotated[str | None, column("When the job ended; NULL until then.")]
    duration_s: Annotated[
        float | None,
        column(
            "From the first start to the end, with pauses; 0 if the clock was set back by more."
        ),
    ]
    steps_total: Annotated[int, column("The number of steps, with items, rounds and members.")]
    steps_succeeded: Annotated[int, column("The number of steps that succeeded.", start=0)]
    steps_failed: Annotated[int, column("The number of steps that failed.", start=0)]
    steps_skipped: Annotated[int, column("The number of steps that were skipped.", start=0)]
    calls: _Calls
    input_tokens: _InputTokens
    output_tokens: _OutputTokens
    cost_usd: _CostUsd
    cost_nano_usd: _CostNanoUsd
    calls_unpriced: _CallsUnpriced
    calls_in_doubt: _CallsInDoubt
    in_doubt_usd: _InDoubtUsd
    in_doubt_nano_usd: _InDoubtNanoUsd
    in_doubt_unpriced: _InDoubtUnpriced
    failure: Annotated[
        str | None, column("The first failure when the job ended, or why the job was cancelled.")
    ]
    spec_file: Annotated[str | None, column("The name of the spec's file.")]
    runs_dir: Annotated[
        str | None,
        column(
            "The folder that contains the job's run folder; relative to the ledger's folder, or "
            "absolute."
        ),
    ]
    owner: Annotated[
        str | None, column("The process that last ran the job: its process id and host.")
    ]
    forked_from: Annotated[str | None, column("The job that this one was forked from.")]
    queued: Annotated[
        int,
        column(
            "1 while the job is in the queue: a worker (orc work) runs it when no process does.",
            start=0,
            indexed=True,
        ),
    ]


@table(
    "steps",
    "Steps",
    "One row for each node of a job's graph: the steps of the spec, and the items, rounds and "
    "members to which they expanded.",
)
class StepRow(NamedTuple):
    """A row of `steps`; `name` is the step's id."""

    step_id: Annotated[str, column("`job/step`.", key=True)]
    name: Annotated[str, column("The id of the step in its job.")]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id", indexed=True)]
    position: Annotated[int, column("The step's place in the spec, from 0.")]
    kind: Annotated[str, column("The kind of the step: prompt, run, python, for_each and so on.")]
    status: Annotated[
        str,
        column(
            "pending, running, waiting (for a retry, a person or a budget), succeeded, failed, skipped "
            "or cancelled; removed if an amendment of the job removed the step. A step that contains "
            "others is running from its start to its end, also in a job that waits; `jobs.status` says "
            "so.",
            start="pending",
        ),
    ]
    needs: Annotated[str, column("The ids of the steps that it depends on, separated by commas.")]
    provider: Annotated[str | None, column("The provider to which the step sends its calls.")]
    model: Annotated[str | None, column("The model to which the step sends its calls.")]
    attempts: Annotated[int, column("The number of attempts so far.", start=0)]
    started_at: Annotated[str | None, column("When the first attempt started.")]
    finished_at: Annotated[str | None, column("When the step ended; NULL until then.")]
    duration_s: Annotated[float | None, column("How long the last attempt took.")]
    calls: _Calls
    input_tokens: _InputTokens
    output_tokens: _OutputTokens
    cost_usd: _CostUsd
    cost_nano_usd: _CostNanoUsd
    calls_unpriced: _CallsUnpriced
    calls_in_doubt: _CallsInDoubt
    in_doubt_usd: _InDoubtUsd
    in_doubt_nano_usd: _InDoubtNanoUsd
    in_doubt_unpriced: _InDoubtUnpriced
    output: Annotated[
        str | None,
        column(
            "The first 200 characters of the result, as text or JSON, if the result is at most 1 kB."
        ),
    ]
    output_sha256: Annotated[
        str | None,
        column("The blob with the result, if the result is larger.", refers="blobs.sha256"),
    ]
    failure_kind: Annotated[
        str | None,
        column(
            "The kind of the last failure, or `budget` while the step waits for a larger budget."
        ),
    ]
    failure: Annotated[
        str | None, column("The message of the last failure, or what the step waits for.")
    ]
    skip_reason: Annotated[
        str | None, column("Why the step was skipped, with the steps that caused it.")
    ]
    warning: Annotated[str | None, column("A warning about its result, although it succeeded.")]
    tolerated: Annotated[
        int, column("1 if the step failed and the job continued (continue_on_error).", start=0)
    ]
    parent: Annotated[str | None, column("The id of the step that contains this one.")]
    children: Annotated[int | None, column("The number of steps to which this one expanded.")]
    question: Annotated[str | None, column("The question that the step asks a person.")]
    decision: Annotated[
        str | None,
        column("The option that the person chose, or that was taken when the time was over."),
    ]
    decided_by: Annotated[str | None, column("The person who chose it; NULL if the time was over.")]
    executor: Annotated[
        str | None, column("The executor of the last attempt; NULL if it ran where the job did.")
    ]
    host: Annotated[str | None, column("The machine that took it; NULL while it waits for one.")]
    queued_s: Annotated[float | None, column("How long it waited for that machine.")]
    batch: Annotated[int | None, column("The batch in which its call waits for a reply.")]
    reused: Annotated[
        str | None, column("Why the result was copied from another step: fork or cache.")
    ]
    reused_from: Annotated[
        str | None, column("The key of the step that made the result: `job/step`.")
    ]
    dimensions: Annotated[
        str | None,
        column(
            "What sets it apart from other items, as JSON: the values of the matrix or the item, and "
            "the repetition; values over 500 characters by their beginning and digest."
        ),
    ]
    item_key: Annotated[
        str | None,
        column(
            "The key of the item as the spec gives it; the item's id has a name made of it. NULL for an "
            "item without a key, a round and a member."
        ),
    ]

    @property
    def is_queued(self) -> bool:
        """Whether its attempt has started, and waits for a worker of its executor."""
        return self.status == "running" and self.executor is not None and self.host is None

    @property
    def hidden_key(self) -> str | None:
        """The key of the item if its id does not have it; else None."""
        is_in_id = self.item_key is None or self.name.endswith(f"[{self.item_key}]")
        return None if is_in_id else self.item_key

    @property
    def needed(self) -> tuple[str, ...]:
        """The ids of the steps that it depends on."""
        return tuple(self.needs.split(", ")) if self.needs else ()

    @property
    def tokens(self) -> int:
        """The sum of input and output tokens."""
        return self.input_tokens + self.output_tokens


@table("attempts", "Attempts", "One row for each attempt of a step.")
class AttemptRow(NamedTuple):
    """A row of `attempts`."""

    attempt_id: Annotated[str, column("`job/step/attempt`.", key=True)]
    name: Annotated[str, column("The id of the step and the number of the attempt.")]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id")]
    step_id: Annotated[str, column("The step.", refers="steps.step_id", indexed=True)]
    attempt: Annotated[int, column("The number of the attempt in its step, from 1.")]
    status: Annotated[
        str,
        column(
            "running, succeeded, failed or interrupted; `in doubt` if it was interrupted while work was "
            "in progress.",
            start="running",
        ),
    ]
    started_at: Annotated[str, column("When the attempt started.")]
    finished_at: Annotated[str | None, column("When the attempt ended.")]
    duration_s: Annotated[float | None, column("How long the attempt took.")]
    failure_kind: Annotated[
        str | None, column("The kind of the failure (docs/events.md lists them).")
    ]
    failure: Annotated[str | None, column("The message of the failure.")]
    exit_code: Annotated[int | None, column("The exit code of the command.")]
    retry_delay_s: Annotated[
        float | None, column("The wait between this attempt and the next one.")
    ]
    log: Annotated[
        str | None,
        column("The first 200 characters of what the command printed, if that is at most 1 kB."),
    ]
    log_sha256: Annotated[
        str | None,
        column("The blob with what the command printed, if that is larger.", refers="blobs.sha256"),
    ]
    cache_key: Annotated[
        str | None,
        column(
            "The digest of everything that determines the result; NULL if the step has no cache.",
            indexed=True,
            sparse=True,
        ),
    ]
    result_version: Annotated[int | None, column("The version of the event that has the result.")]
    executor: Annotated[str | None, column("The executor; NULL if it ran where the job did.")]
    host: Annotated[str | None, column("The machine that took it; NULL while it waits for one.")]
    worker: Annotated[str | None, column("The worker on that machine.")]
    placed_at: Annotated[str | None, column("When it was placed there.")]
    queued_s: Annotated[float | None, column("How long it waited for that machine.")]


ROWS: tuple[type[Row], ...] = (
    JobRow,
    StepRow,
    AttemptRow,
    CallRow,
    CircuitRow,
    BatchRow,
    ToolRow,
    FileRow,
    ToleratedRow,
    ScoreRow,
    TagRow,
    NoteRow,
)
"""All tables, in an order in which they can be created: a table follows those that it refers to."""
