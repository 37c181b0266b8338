"""The spec as its author writes it: pydantic models with one field per key.

The models check forms and types. Checks across keys are left to `checks.py`, default values to
`core/resolve`. `orc schema` and the documentation show the descriptions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from orc.ledger.definition import Cwd
from orc.ledger.kinds import FailureKind, kind_with
from orc.ledger.stored_struct import NO_ITEMS
from orc.scheduler.core.spec.base import (
    IGNORED_PREFIX,
    CacheScope,
    Duration,
    Filled,
    Names,
    OrTemplate,
    Sparse,
    Strict,
    Text,
    Variables,
    Word,
    without_anchors,
)
from orc.scheduler.core.spec.flow import (
    Approval,
    BudgetSpec,
    Condition,
    LoopSpec,
    Retry,
    Score,
    Tag,
)
from orc.scheduler.core.spec.hooks import HooksSpec
from orc.scheduler.core.spec.input_spec import InputSpec as InputSpec
from orc.scheduler.core.spec.prompt import (
    EmbedSpec,
    MessageSpec,
    Model,
    OutputSpec,
    ParamsSpec,
    RateSpec,
    ServerName,
    ServerSpec,
    Target,
    Tool,
)
from orc.scheduler.core.spec.resources import (
    Concurrency,
    ConcurrencySpec,
    Executor,
    File,
    Label,
    LimitsSpec,
    ResourcesSpec,
)

PROJECT_LENGTH_MAX = 100
PROJECT_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"
STEP_ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
STEP_ID_LENGTH_MAX = 64
STEP_IDS: dict[str, Any] = {
    "propertyNames": {"pattern": STEP_ID_PATTERN, "maxLength": STEP_ID_LENGTH_MAX}
}
"""The JSON Schema of the keys under `steps`, for editors."""

LATER_STEP_KEYS = frozenset("template".split())
"""Keys of a step that a later version will support. This version reports them as errors."""

IGNORED = "Is ignored: a place for YAML anchors."
LATER_JOB_KEYS = frozenset("tools max_turns".split())


class DefaultsSpec(Strict):
    """Values for steps that do not have the key."""

    provider: Filled | None = Field(None, description="A provider, or provider/model.")
    model: Model | None = None
    fallback: list[Target] | None = Field(
        None, description="Other models, tried in this order if the first fails."
    )
    cache: CacheScope | None = None
    cache_prompt: bool | None = None
    params: ParamsSpec | None = None
    system: Text | None = None
    batch: bool | None = None
    retry: Retry | None = None
    retry_on: Annotated[list[FailureKind], Field(min_length=1)] | None = None
    timeout: Duration | OrTemplate | None = None
    attempt_timeout: Duration | OrTemplate | None = None
    total_timeout: Duration | OrTemplate | None = None
    wait_for_server: Duration | None = None
    continue_on_error: bool | None = None
    on_unknown: Literal["retry", "ask", "fail"] | None = None
    limits: LimitsSpec | None = None
    executor: Executor | None = None
    cwd: Cwd | None = None
    env: Variables | None = None


class StepSpec(Sparse, Strict):
    """A step. It has exactly one of prompt, messages, embed, run, python, value, approval, steps,
    workflow."""

    prompt: Text | None = Field(None, description="Calls a model with this user message.")
    messages: list[MessageSpec] | None = Field(
        None, min_length=1, description="Calls a model with these messages."
    )
    embed: EmbedSpec | None = Field(None, description="Computes vectors of texts with a model.")
    system: Text | None = Field(None, description="The system message of the prompt.")
    provider: Filled | None = Field(None, description="A provider, or provider/model.")
    model: Model | None = Field(None, description="The model's name at the provider.")
    base_url: Filled | None = Field(
        None, description="The address of the provider's server, without credentials."
    )
    fallback: list[Target] | None = Field(
        None, description="Other models, tried in this order if the first fails."
    )
    params: ParamsSpec | None = Field(None, description="Parameters of the model calls.")
    tools: list[Tool] = Field(NO_ITEMS, description="Tools that the model may call.")
    max_turns: int = Field(
        10,
        ge=1,
        le=1000,
        description="The maximum number of model calls in a conversation with tools.",
    )
    batch: bool | None = Field(
        None, description="Submits its calls in batches, at half the price. Default: false."
    )
    cache: CacheScope | None = Field(
        None,
        description="Where to look for an earlier result: of an equal model call, or of an equal "
        "command or function.",
    )
    cache_prompt: bool | None = Field(
        None,
        description="Whether the provider is asked to cache the beginning of the prompt.",
    )
    run: Word | list[Word] | None = Field(
        None,
        description="Runs a command: a text for /bin/sh -ec, or a list of arguments without a shell.",
    )
    python: Filled | None = Field(
        None, description="Calls a Python function: `package.module:function`."
    )
    args: dict[str, Any] | None = Field(None, description="Keyword arguments of the function.")
    value: Any = Field(None, description="Computes a value: data, usually with templates.")
    approval: Approval | None = Field(None, description="Asks a person and waits for the decision.")
    steps: dict[str, StepSpec] | None = Field(
        None,
        min_length=1,
        description="Runs a group of steps, by their ids.",
        json_schema_extra=STEP_IDS,
    )
    workflow: Filled | None = Field(
        None,
        description="Runs the steps of another spec as a group. The path is relative to this spec.",
    )
    with_: dict[str, Any] | None = Field(
        None, alias="with", description="The inputs of the workflow."
    )
    if_: Condition | None = Field(
        None,
        alias="if",
        description="A condition. If it is false, the step is skipped. It may call success(), "
        "failure(), always() and cancelled().",
    )
    for_each: str | list[Any] | None = Field(
        None,
        description="Runs the step once per item of a list. A list, or an expression whose value is "
        "a list.",
    )
    as_: str = Field(
        "item", alias="as", description="The name of the item in the step's expressions."
    )
    key: Filled | None = Field(
        None,
        description="A text for the id of each item's step: x[key] instead of x[0]. Must be unique.",
    )
    max_parallel: Annotated[int, Field(ge=1)] | OrTemplate | None = Field(
        None, description="The maximum number of items that run at once. Default: no limit."
    )
    matrix: dict[str, Annotated[list[Any], Field(min_length=1)] | OrTemplate] | None = Field(
        None,
        min_length=1,
        description="Runs the step once per combination of the lists' values. Expressions read them "
        "as `matrix.name`.",
    )
    repeat: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Runs the step, or each of its items, this many times, to see how much the "
        "results vary. Expressions read the number, from 1, as `repetition`.",
    )
    score: dict[str, Score] | None = Field(
        None,
        min_length=1,
        max_length=50,
        description="Scores of the step's result, by name: expressions that give a number, or a "
        "boolean for passed. They read the result as `output`.",
    )
    loop: LoopSpec | None = Field(None, description="Repeats the step until a condition is true.")
    budget: BudgetSpec | None = Field(
        None, description="Limits the model calls of the step and of all steps inside it."
    )
    on_unknown: Literal["retry", "ask", "fail"] | None = Field(
        None,
        description="What to do if an attempt was interrupted during a model call, a tool call, a "
        "command or a function: run it again, ask a person first, or fail. Default: retry.",
    )
    idempotent: bool | None = Field(
        None,
        description="Whether the command or function may run twice. `false`: a person is asked "
        "before an interrupted attempt runs again. Default: true.",
    )
    needs: Names = Field(
        NO_ITEMS,
        description="Steps that must end before this one starts. Steps that its expressions refer "
        "to are added automatically.",
    )
    output: OutputSpec | None = Field(None, description="The format of the step's output.")
    files: list[File] = Field(NO_ITEMS, description="Files to write or to capture.")
    env: Variables | None = Field(
        None,
        description="Environment variables of the command or function; null passes the caller's "
        "value on.",
    )
    secrets: list[str] = Field(
        NO_ITEMS,
        description="Environment variables of the caller that the command or function gets. Their "
        "values are masked everywhere and never recorded.",
    )
    workspace: (
        Annotated[str, Field(pattern=STEP_ID_PATTERN, max_length=STEP_ID_LENGTH_MAX)] | None
    ) = Field(
        None,
        description="A name. Steps with the same name share a folder for scratch and never run "
        "at the same time. Without it, each attempt works in a folder of its own.",
    )
    cwd: Cwd | None = Field(
        None,
        description="Where the command or function starts: in its working folder, or in the folder "
        "of the spec, which is $ORC_SPEC_DIR. Default: `work`.",
    )
    limits: LimitsSpec | None = Field(
        None, description="Limits on the size of the step's files, output and log."
    )
    executor: Executor | None = Field(
        None,
        description="Where the command or function runs: `local`, or an executor of the site file.",
    )
    resources: ResourcesSpec | None = Field(
        None, description="What an attempt needs of the machine that runs it."
    )
    labels: list[Label] | None = Field(
        None, description="Labels that a worker must have to run the step."
    )
    queue_timeout: Duration | None = Field(
        None,
        description="How long an attempt waits for a worker of its executor before it fails.",
    )
    retry: Retry | None = Field(
        None, description="The maximum number of attempts, or a mapping with details."
    )
    retry_on: Annotated[list[FailureKind], Field(min_length=1)] | None = Field(
        None, description="The kinds of failures that are retried."
    )
    timeout: Duration | OrTemplate | None = Field(
        None,
        description="For prompts: how long the server may send nothing, and a tool may take. For other "
        "steps: the time limit of one attempt.",
    )
    attempt_timeout: Duration | OrTemplate | None = Field(
        None,
        description="The time limit of one attempt of a prompt, with all its calls and tools. Default: "
        "2 hours, or `timeout` if that is longer.",
    )
    total_timeout: Duration | OrTemplate | None = Field(
        None, description="The time limit of all attempts and waits, from the first start."
    )
    wait_for_server: Duration | None = Field(
        None,
        description="How long to wait for a server that does not answer yet or is loading. Default: "
        "that of the server, or no wait.",
    )
    continue_on_error: bool | None = Field(
        None,
        description="If this step fails, its dependents run anyway and the job can still succeed.",
    )


class JobSpec(Strict):
    """A job. A spec without `steps` runs the built-in template `app`."""

    model_config = ConfigDict(
        json_schema_extra={"patternProperties": {f"^{IGNORED_PREFIX}": {"description": IGNORED}}}
    )

    @model_validator(mode="before")
    @classmethod
    def _ignore(cls, value: Any) -> Any:
        return without_anchors(value) if isinstance(value, dict) else value

    template: Filled | None = Field(
        None,
        description="Another spec or a built-in template, whose steps, inputs and defaults are used.",
    )
    project: str = Field(
        pattern=PROJECT_PATTERN,
        max_length=PROJECT_LENGTH_MAX,
        description="The name of the output folder.",
    )
    task_description: str | None = Field(
        None, description="A free text; expressions read it as `task_description`."
    )
    provider: Filled | None = Field(
        None, description="A provider, or provider/model. Default: `ollama`."
    )
    model: Model | None = Field(None, description="The model of steps without their own `model`.")
    base_url: Filled | None = Field(
        None, description="The address of the job-level provider's server, without credentials."
    )
    fallback: list[Target] | None = Field(
        None, description="Other models, tried in this order if a step's first model fails."
    )
    params: ParamsSpec | None = Field(None, description="Parameters of all model calls.")
    rate: dict[str, RateSpec] = Field({}, description="Limits per minute, by provider or server.")
    servers: dict[ServerName, ServerSpec] = Field(
        {},
        description="Named servers; a step calls their models by `provider: NAME/MODEL`.",
    )
    cache: CacheScope | None = Field(
        None,
        description="Where to look for the reply of an equal model call: in this job, or in the "
        "whole ledger.",
    )
    executor: Executor | None = Field(
        None,
        description="Where commands and functions run: `local`, or an executor of the site file. "
        "Default: `local`.",
    )
    ship: list[str] = Field(
        [],
        description="Patterns for files of the spec's folder that commands and functions need. They "
        "are read at submission, and lie in $ORC_SPEC_DIR on each machine.",
    )
    concurrency: Concurrency = Field(
        ConcurrencySpec.model_construct(),
        description="The maximum number of steps that run at once: a number, or a mapping.",
    )
    timeout: Duration | OrTemplate | None = Field(
        None, description="The time limit of the job. Only time while the job runs counts."
    )
    timeout_s: float | None = Field(None, gt=0, description="The same as `timeout`, in seconds.")
    budget: BudgetSpec | None = Field(None, description="Limits the model calls of the job.")
    tags: list[Tag] = Field(
        [],
        max_length=50,
        description="Words by which the job is found and compared with others.",
    )
    keep_work: Literal["failed", "always"] | None = Field(
        None,
        description="Whether the working folders of attempts are kept: those of failed ones, or all. "
        "Default: none.",
    )
    output_dir: Filled | None = Field(
        None, description="A folder to which the files are copied when the job succeeds."
    )
    env: Variables = Field({}, description="Environment variables of all commands and functions.")
    secrets: list[str] = Field(
        [],
        description="Environment variables of the caller that all commands and functions get as "
        "secrets.",
    )
    inputs: dict[str, InputSpec] = Field({}, description="Values that the caller gives.")
    hooks: HooksSpec | None = Field(
        None,
        description="Commands that run when the job has ended or waits for a person, for example to "
        "notify somebody. They never change its result.",
    )
    defaults: DefaultsSpec = Field(
        DefaultsSpec.model_construct(), description="Values for steps that do not have the key."
    )
    steps: dict[str, StepSpec] | None = Field(
        None,
        min_length=1,
        description="The steps of the job, by their ids.",
        json_schema_extra=STEP_IDS,
    )


def kind_of(step: StepSpec) -> str | None:
    """The step's kind; None if it has no kind, or more than one."""
    return kind_with(frozenset(step.model_fields_set))
