"""The spec as its author writes it: pydantic models, one field a key.

Shapes and types only; what keys mean together is checked in `spec.py`, and
what is left out is filled in by `resolve.py`. The descriptions are what
`orc schema` and the documentation show.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from orc.ledger.kinds import KIND_OF_KEY, FailureKind
from orc.scheduler.core.spec.base import CacheScope, Duration, Names, Strict, Text, shorthand
from orc.scheduler.core.spec.flow import Approval, BudgetSpec, Condition, LoopSpec
from orc.scheduler.core.spec.prompt import (
    MessageSpec,
    OutputSpec,
    ParamsSpec,
    RateSpec,
    Target,
    Tool,
)

PROJECT_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"
STEP_ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
STEP_ID_LENGTH_MAX = 64
STEP_IDS: dict[str, Any] = {
    "propertyNames": {"pattern": STEP_ID_PATTERN, "maxLength": STEP_ID_LENGTH_MAX}
}
"""What an editor is told of the keys under `steps`."""

LATER_STEP_KEYS = frozenset("limits template".split())
"""Keys of the language that a step will have and this version does not; refused, never ignored."""

LATER_JOB_KEYS = frozenset("tools max_turns limits".split())


class RetrySpec(Strict):
    """How often, and after which waits, a failed step is tried again."""

    max_attempts: int = Field(3, ge=1, le=1000, description="Attempts in all, the first included.")
    backoff: Literal["exponential", "linear", "fixed"] = Field(
        "exponential", description="How the wait grows from one attempt to the next."
    )
    initial: Duration = Field(1.0, description="The first wait.")
    max: Duration = Field(60.0, description="The longest wait.")
    jitter: float | None = Field(
        None, ge=0, le=1, description="The random part of each wait, from 0 to 1."
    )


Retry = Annotated[
    RetrySpec,
    BeforeValidator(shorthand("max_attempts", int), json_schema_input_type=int | RetrySpec),
]


class FileSpec(Strict):
    """A file to write (`path`, `content`), or files to capture (`glob`)."""

    path: str | None = Field(None, description="Relative to outputs/<project>/.")
    content: str | None = Field(
        None, description="Default: the step's text, with a code fence around it removed."
    )
    glob: str | None = Field(None, description="Files that the step's command leaves.")


File = Annotated[
    FileSpec, BeforeValidator(shorthand("glob", str), json_schema_input_type=str | FileSpec)
]


class ConcurrencySpec(Strict):
    """How many steps run at once: `total`, and for each provider by its name."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    __pydantic_extra__: dict[str, Annotated[int, Field(ge=1)]]

    total: int = Field(4, ge=1, le=100_000, description="Over all steps.")


Concurrency = Annotated[
    ConcurrencySpec,
    BeforeValidator(shorthand("total", int), json_schema_input_type=int | ConcurrencySpec),
]


class InputSpec(Strict):
    """A value that the caller gives with `-i NAME=VALUE`."""

    type: Literal["string", "number", "integer", "boolean", "list", "object"] = Field(
        "string", description="What its values are."
    )
    description: str | None = Field(None, description="What a person is told who is asked.")
    required: bool | None = Field(None, description="Default: required without a `default`.")
    default: Any = Field(None, description="The value where none is given.")
    enum: list[Any] | None = Field(None, description="The values that are allowed.")


class DefaultsSpec(Strict):
    """What steps have that do not say otherwise."""

    provider: str | None = Field(None, description="provider, or provider/model.")
    model: str | None = None
    fallback: list[Target] | None = Field(None, description="Whom to ask when that fails.")
    cache: CacheScope | None = None
    params: ParamsSpec | None = None
    system: Text | None = None
    retry: Retry | None = None
    retry_on: Annotated[list[FailureKind], Field(min_length=1)] | None = None
    timeout: Duration | None = None
    total_timeout: Duration | None = None
    continue_on_error: bool | None = None
    on_unknown: Literal["retry", "ask", "fail"] | None = None
    env: dict[str, str | None] | None = None


class StepSpec(Strict):
    """A node of the graph. One of prompt, messages, run, python, value, approval, steps or workflow."""

    prompt: Text | None = Field(None, description="Ask a model: the user's message.")
    messages: list[MessageSpec] | None = Field(
        None, min_length=1, description="Ask a model: a whole conversation."
    )
    system: Text | None = Field(None, description="The system message of a prompt.")
    provider: str | None = Field(None, description="provider, or provider/model.")
    model: str | None = Field(None, description="The model's name at its provider.")
    base_url: str | None = Field(None, description="The server's address, without credentials.")
    fallback: list[Target] | None = Field(
        None, description="Models to ask, in this order, when the first fails."
    )
    params: ParamsSpec | None = Field(None, description="Parameters of a prompt's calls.")
    tools: list[Tool] = Field([], description="What the model may call, and how.")
    max_turns: int = Field(10, ge=1, le=1000, description="Calls of a conversation with tools.")
    cache: CacheScope | None = Field(
        None, description="Where equal requests, or equal work, are looked up."
    )
    run: str | list[str] | None = Field(
        None, description="A command: a text for /bin/sh -ec, or a list of words without a shell."
    )
    python: str | None = Field(None, description="A Python function: `package.module:function`.")
    args: dict[str, Any] | None = Field(None, description="Keyword arguments of the function.")
    value: Any = Field(None, description="Pure data, usually with templates in it.")
    approval: Approval | None = Field(None, description="Ask a person, and wait for the answer.")
    steps: dict[str, StepSpec] | None = Field(
        None,
        min_length=1,
        description="A group: steps of its own, by their ids.",
        json_schema_extra=STEP_IDS,
    )
    workflow: str | None = Field(
        None, description="A group whose steps stand in another spec, relative to this one."
    )
    with_: dict[str, Any] | None = Field(
        None, alias="with", description="The inputs of the workflow."
    )
    if_: Condition | None = Field(
        None,
        alias="if",
        description="An expression; where it is false, the step is skipped. It may ask "
        "success(), failure(), always() and cancelled().",
    )
    for_each: str | list[Any] | None = Field(
        None, description="A list, or an expression that gives one: the step once for each item."
    )
    as_: str = Field("item", alias="as", description="What an item is called in the step.")
    key: str | None = Field(
        None, description="Names each item in its step's id: x[key] in place of x[0]."
    )
    max_parallel: int | None = Field(
        None, ge=1, description="How many items are under way at once."
    )
    matrix: dict[str, Annotated[list[Any], Field(min_length=1)]] | None = Field(
        None, min_length=1, description="Lists: the step once for each combination, `matrix.name`."
    )
    loop: LoopSpec | None = Field(None, description="The step again and again, until it is good.")
    budget: BudgetSpec | None = Field(
        None, description="What the step may spend, with all that is inside it."
    )
    on_unknown: Literal["retry", "ask", "fail"] | None = Field(
        None,
        description="When an attempt was cut short with a call, a tool or a command under way: do it "
        "again, ask a person first, or fail. Default: retry.",
    )
    idempotent: bool | None = Field(
        None,
        description="Whether a command or a function may be done twice. `false`: where it was cut "
        "short, a person is asked first. Default: true.",
    )
    needs: Names = Field([], description="Steps that must end first; references add themselves.")
    output: OutputSpec | None = Field(None, description="What the step's output is.")
    files: list[File] = Field([], description="Files to write or to capture.")
    env: dict[str, str | None] | None = Field(
        None, description="Environment of commands; null passes the caller's value through."
    )
    secrets: list[str] = Field(
        [],
        description="Variables of the caller that commands get, whose values are shown and kept "
        "nowhere.",
    )
    retry: Retry | None = Field(None, description="Attempts in all, or how to try again.")
    retry_on: Annotated[list[FailureKind], Field(min_length=1)] | None = Field(
        None, description="The kinds of failure that are tried again."
    )
    timeout: Duration | None = Field(
        None, description="Of one attempt, without waits for a slot, a rate or a circuit."
    )
    total_timeout: Duration | None = Field(
        None, description="Of all attempts and waits from the first start on."
    )
    continue_on_error: bool | None = Field(
        None, description="The job goes on, and succeeds, although this step fails."
    )


class JobSpec(Strict):
    """A whole job. Without `steps` it is the six-field form and runs the template `app`."""

    template: str | None = Field(
        None, description="Steps, inputs and defaults from another spec, or a built-in one."
    )
    project: str = Field(
        pattern=PROJECT_PATTERN, max_length=100, description="Names the output folder."
    )
    task_description: str | None = Field(None, description="Free text, `${{ task_description }}`.")
    provider: str | None = Field(None, description="provider, or provider/model; default ollama.")
    model: str | None = Field(None, description="The model of steps that name none.")
    base_url: str | None = Field(
        None, description="Address of the job-level provider's server, without credentials."
    )
    fallback: list[Target] | None = Field(
        None, description="Models to ask, in this order, when a step's first fails."
    )
    params: ParamsSpec | None = Field(None, description="Parameters of every prompt.")
    rate: dict[str, RateSpec] = Field({}, description="Limits a minute, by provider.")
    cache: CacheScope | None = Field(
        None,
        description="Answer equal requests from replies of this job, or of the whole ledger.",
    )
    concurrency: Concurrency = Field(
        ConcurrencySpec(), description="How many steps run at once: a number, or a mapping."
    )
    timeout: Duration | None = Field(
        None, description="Of the whole job, counted while a process runs it."
    )
    timeout_s: float | None = Field(None, gt=0, description="The same, in seconds.")
    budget: BudgetSpec | None = Field(None, description="What the whole job may spend.")
    output_dir: str | None = Field(
        None, description="Where the files are also copied to when the job succeeds."
    )
    env: dict[str, str | None] = Field({}, description="Environment of all commands.")
    secrets: list[str] = Field(
        [], description="Variables of the caller that all commands get as secrets."
    )
    inputs: dict[str, InputSpec] = Field({}, description="Values that the caller gives.")
    defaults: DefaultsSpec = Field(DefaultsSpec(), description="What steps have by default.")
    steps: dict[str, StepSpec] | None = Field(
        None,
        min_length=1,
        description="The graph: step ids to steps.",
        json_schema_extra=STEP_IDS,
    )


def kind_of(step: StepSpec) -> str | None:
    """The step's kind; none when it has no kind or several."""
    given = [key for key in KIND_OF_KEY if key in step.model_fields_set]
    return KIND_OF_KEY[given[0]] if len(given) == 1 else None
