"""The resolved definition of a job: defaults filled in, workflows and matrices expanded.

`job.submitted` records the definition, and a resumed job reads it back. A field may be
added if it has a default. Existing fields keep their names and meanings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from orc.ledger.digest import Digest
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.kinds import KINDS, FailureKind, HookName, Kind, Shape, StepKind
from orc.ledger.money import limit_nano_usd
from orc.ledger.servers.server_def import PriceDef, ServerDef, price_at
from orc.ledger.values import Limits

REPLAY = "replay"
"""The provider that answers from recorded replies; it can replace any other provider."""

CacheScope = Literal["off", "job", "ledger"]
OnUnknown = Literal["retry", "ask", "fail"]
Cwd = Literal["work", "spec"]
"""Where a command or function starts: in its working folder, or in the folder of its spec."""
LOCAL = "local"
"""The executor that performs steps on the machine of the process that runs the job."""

Backoff = Literal["exponential", "linear", "fixed"]
"""How the wait grows from one attempt to the next; `scheduler/retry.py` computes it."""


class Resolved(BaseModel):
    """Base model. It forbids unknown fields, so that a newer definition is refused, not misread."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class RetryDef(Resolved):
    """When a failed attempt is repeated.

    `max_attempts` includes the first attempt. Delays are in seconds. `jitter` is the random
    fraction of each delay, from 0 to 1.
    """

    max_attempts: int = 1
    backoff: Backoff = "exponential"
    initial_s: float = 1.0
    max_s: float = 60.0
    jitter: float = 0.1


class PartDef(Resolved):
    """A part of a message: a text (the template `text`) or an image.

    An image is either a blob (`sha256`) or a file that a step wrote (the template `image`
    renders its path).
    """

    text: str | None = None
    image: str | None = None
    sha256: Digest | None = None


class MessageDef(Resolved):
    """One message of a conversation; `content` is a template or a list of parts."""

    role: Literal["system", "user", "assistant"]
    content: str | tuple[PartDef, ...]


Required = Literal["no", "name", "yes"]
"""Whether something must be there for a pattern of files to capture: `no`, and nothing is said;
`name`: a name must, and a pattern without a match is a warning; `yes`: a pattern must match, too."""


class FileDef(Resolved):
    """A file that the step delivers: `glob`, or `path` with `content`. All are templates.

    Without `content`, the file holds the step's output as text. Jobs of earlier versions have no
    `required`: they keep its meaning of that time, `no`.
    """

    path: str | None = None
    content: str | None = None
    glob: str | None = None
    required: Required = "no"


class TargetDef(Resolved):
    """A model of a provider or named server; `base_url` is the address if the spec sets one."""

    provider: str
    model: str = ""
    base_url: str | None = None

    @property
    def server(self) -> str:
        """The key of the provider object that serves this target: one per address."""
        return f"{self.provider} at {self.base_url}" if self.base_url else self.provider

    @property
    def name(self) -> str:
        """The target's name in events and messages. Targets with equal names share a circuit."""
        at = f" at {self.base_url}" if self.base_url else ""
        return f"{self.provider}/{self.model}{at}"


class ToolDef(Resolved):
    """A tool of a prompt: a built-in one, or the Python function `function`.

    If `description` and `parameters` are None, they are read from the function's docstring
    and annotations. `allow` lists the programs that `run_command` may start; empty means any.
    """

    name: str
    function: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    allow: tuple[str, ...] = ()


class RateDef(Resolved):
    """The rate limits of a provider, per minute."""

    requests_per_min: float | None = None
    tokens_per_min: float | None = None


class CircuitDef(Resolved):
    """A target's circuit breaker: it opens after `threshold` failures in a row (0 disables it).

    `cooldown_s` is the time until one step may try again.
    """

    threshold: int = 5
    cooldown_s: float = 60.0


class BudgetDef(Resolved):
    """Limits on spending: US dollars, tokens (input plus output) and calls.

    `on_exceeded` says what happens when a call would exceed a limit.
    """

    max_cost_usd: float | None = None
    max_tokens: int | None = None
    max_calls: int | None = None
    on_exceeded: Literal["pause", "fail"] = "pause"

    def limits(self) -> Limits:
        """The limits as whole amounts."""
        usd = self.max_cost_usd
        most = None if usd is None else limit_nano_usd(usd)
        return Limits(self.max_calls, self.max_tokens, most, self.on_exceeded)


class ForEachDef(Resolved):
    """A fan-out: `items` is a template or a list that may contain templates.

    `name` is the variable that holds an item. `key` is a template for the item's id; without
    it, the id is the item's index from 0. With a `matrix` of lists, or of templates of lists, each
    combination of their values is an item, with each of the `items` if there are any. With `repeat`,
    each item is created that many times.
    """

    items: Any = None
    matrix: dict[str, Any] | None = None
    name: str = "item"
    key: str | None = None
    max_parallel: int | None = None
    repeat: int | None = None

    def repetition_of(self, number: int) -> int:
        """The repetition, from 1, of the child with that number, from 0."""
        return number % (self.repeat or 1) + 1

    def variables(self, value: Any) -> dict[str, Any]:
        """The variables of an item, by its recorded value."""
        if self.matrix is not None and self.items is not None:
            return {self.name: value["item"], "matrix": value["matrix"]}
        return {self.name: value}

    def parts(self, value: Any) -> dict[str, Any]:
        """The item and its combination of the matrix, under these names, by the recorded value."""
        if self.matrix is not None and self.items is not None:
            return dict(value)
        return {"matrix" if self.name == "matrix" else "item": value}

    @property
    def count(self) -> int | None:
        """The number of items, if the definition lists them; otherwise None."""
        lists = [*(self.matrix or {}).values(), *([] if self.items is None else [self.items])]
        if any(isinstance(found, str) for found in lists):
            return None
        return prod(map(len, lists)) * (self.repeat or 1)


class LoopDef(Resolved):
    """A loop: rounds run until the condition `until` holds, at most `max_iterations` times.

    `on_exhausted` says whether the step succeeds or fails if the condition never held.
    """

    until: str | None = None
    max_iterations: int
    on_exhausted: Literal["continue", "fail"] = "continue"


class ApprovalDef(Resolved):
    """A human review: `message` is a template; after `timeout_s`, the runner picks `on_timeout`."""

    message: str
    options: tuple[str, ...] = ("approve", "reject")
    timeout_s: float | None = None
    on_timeout: str = "reject"


class ScoreDef(Resolved):
    """A score of the step's result: templates that give its value, its explanation `why`, and the id
    of another step that it is about (`of`)."""

    value: str
    why: str | None = None
    of: str | None = None


class LimitsDef(Resolved):
    """Limits on what an attempt may leave, in bytes: one file, its output, its log.

    `output_bytes` limits the stdout of a command, or the value of a function as JSON; None stands
    for the default of the kind. The rest of a longer log is cut.
    """

    file_bytes: int = 16 * 1024**3
    output_bytes: int | None = None
    log_bytes: int = 64 * 1024**2


DEFAULT_LIMITS = LimitsDef()


class ShippedDef(Resolved):
    """A file of the spec's folder that travels with the job; `path` is relative to that folder.

    `mode` has three octal digits, such as `755`; None for an ordinary file.
    """

    path: str
    sha256: Digest
    size_bytes: int
    mode: str | None = None


HOOK_TIMEOUT_S = 60.0


class HookDef(Resolved):
    """A command that runs after a run of the job ended: `run` and `env` are templates.

    It starts in `folder`: that of the file in which it is written, relative to the spec's folder.
    """

    run: str | tuple[str, ...]
    env: dict[str, str | None] = {}
    secrets: tuple[str, ...] = ()
    timeout_s: float = HOOK_TIMEOUT_S
    folder: str = ""


class StepDef(Resolved):
    """One step.

    `condition` is evaluated once, when all `needs` have ended; `item_condition` once per
    item. With `runs_after="any"` the step runs even if its needs failed or were skipped.
    If a group has `inputs`, its `steps` see these and nothing else from outside the group; `read`
    are those of them that were read from files.
    `on_unknown` says what to do with an attempt that is in doubt: its process died after the
    work began, so the result is unknown. `secrets` are environment variables that the step's
    commands receive and that orc masks everywhere.

    Steps with the same `workspace` share a folder with that name for scratch, and never run at the
    same time.

    `folder` is that of the file in which the step is written (its workflow), relative to the spec's
    folder. It is $ORC_SPEC_DIR, functions are imported from it, and with `cwd="spec"` commands start
    there.

    `executor` performs the step's attempts. `resources` has, for each resource, its amounts by
    attempt; later attempts have the last one. Sizes are in bytes, times in seconds. An attempt that
    no worker takes within `queue_timeout_s` fails.

    `provider`, `model` and `base_url` are the first target of a prompt; `fallback` lists the
    next ones. `output_schema` is a JSON Schema. `repair` is how many times a reply that does
    not fit is returned to the model with the errors. A conversation with tools has at most
    `max_turns` calls. An empty `retry_on` means that every kind of failure is retried.

    `templates` has the settings that are rendered when the step is ready, by the names of their
    fields, which are not set until then; `job_target` is its target if its provider is the job's.
    """

    id: str
    kind: StepKind
    needs: tuple[str, ...] = ()
    condition: str | None = None
    item_condition: str | None = None
    runs_after: Literal["success", "any"] = "success"
    for_each: ForEachDef | None = None
    loop: LoopDef | None = None
    steps: tuple[StepDef, ...] = ()
    inputs: dict[str, Any] | None = None
    read: dict[str, ReadInput] = {}
    approval: ApprovalDef | None = None
    budget: BudgetDef | None = None
    on_unknown: OnUnknown = "retry"
    provider: str | None = None
    model: str | None = None
    base_url: str | None = None
    fallback: tuple[TargetDef, ...] = ()
    params: dict[str, Any] = {}
    system: str | None = None
    messages: tuple[MessageDef, ...] = ()
    run: str | tuple[str, ...] | None = None
    function: str | None = None
    args: dict[str, Any] = {}
    value: Any = None
    format: Literal["text", "json"] = "text"
    output_schema: dict[str, Any] | None = None
    repair: int = 0
    tools: tuple[ToolDef, ...] = ()
    max_turns: int = 10
    cache: CacheScope = "off"
    files: tuple[FileDef, ...] = ()
    score: dict[str, ScoreDef] = {}
    env: dict[str, str | None] = {}
    secrets: tuple[str, ...] = ()
    workspace: str | None = None
    folder: str = ""
    cwd: Cwd = "work"
    limits: LimitsDef = DEFAULT_LIMITS
    executor: str = LOCAL
    resources: dict[str, tuple[float, ...]] = {}
    labels: tuple[str, ...] = ()
    queue_timeout_s: float | None = None
    retry: RetryDef = RetryDef()
    retry_on: tuple[FailureKind, ...] = ()
    timeout_s: float | None = None
    total_timeout_s: float | None = None
    continue_on_error: bool = False
    templates: dict[str, Any] = {}
    job_target: TargetDef | None = None

    def targets(self) -> tuple[TargetDef, ...]:
        """The step's targets in order, first choice first; empty if it calls no model."""
        if self.provider is None:
            return ()
        first = TargetDef(provider=self.provider, model=self.model or "", base_url=self.base_url)
        return (first, *self.fallback)

    @property
    def own_templates(self) -> dict[str, Any]:
        """The templates of the step's own settings; those of its items are rendered for each item."""
        if self.for_each is not None:
            return {key: self.templates[key] for key in self.templates if key == "max_parallel"}
        return {} if self.loop is not None or self.facts.is_container else self.templates

    @property
    def is_remote(self) -> bool:
        """Whether its attempts are placed on workers of an executor, and not run here."""
        return self.executor != LOCAL

    def resources_of(self, attempt: int) -> dict[str, float]:
        """The amount of each resource that the attempt (from 1) needs."""
        return {
            name: amounts[min(attempt, len(amounts)) - 1]
            for name, amounts in self.resources.items()
        }

    @property
    def shape(self) -> Shape | None:
        """The outermost way in which the step contains other steps; None if it contains none."""
        if self.for_each is not None:
            return "for_each"
        if self.loop is not None:
            return "loop"
        return "group" if self.facts.is_container else None

    @property
    def facts(self) -> Kind:
        """The facts about the step's kind."""
        return KINDS[self.kind]

    @property
    def is_loop(self) -> bool:
        """Whether the step contains rounds. A fan-out whose items are loops is not a loop."""
        return self.for_each is None and self.loop is not None

    @property
    def has_members(self) -> bool:
        """Whether the step directly contains the members of a group, not items or rounds."""
        return self.for_each is None and self.loop is None and self.facts.is_container

    @property
    def is_plain(self) -> bool:
        """Whether the step needs only a slot to start, once its needs have ended.

        Any other step reads values first, which must be committed.
        """
        is_simple = self.condition is None and self.shape is None and self.facts.holds_slot
        return is_simple and not self.has_result_key and not self.own_templates

    @property
    def is_scored(self) -> bool:
        """Whether its own result gets scores. Those of a fan-out belong to its items."""
        return bool(self.score) and self.for_each is None

    @property
    def has_result_key(self) -> bool:
        """Whether a key of its rendered work is computed before it starts, to find its result."""
        return self.cache != "off" and self.facts.runs_code


class JobDef(Resolved):
    """A job; `output_dir` is absolute, or in events relative to the ledger's folder.

    The keys of `concurrency` are `total`, and names of providers, servers and executors. `servers`
    are those that steps may name. `ship` are the files of the spec's folder that travel with the
    job. `read` are the inputs that are files and tables, and `inputs` the values of the others.
    `tags` are those that it was submitted with. `keep_work`: whether the working folders of attempts
    are kept, of all, of failed ones, or (None) of none.
    """

    project: str
    task_description: str | None = None
    provider: str
    model: str
    concurrency: dict[str, int]
    rate: dict[str, RateDef] = {}
    servers: dict[str, ServerDef] = {}
    circuit: CircuitDef = CircuitDef()
    timeout_s: float | None = None
    budget: BudgetDef | None = None
    output_dir: str | None = None
    keep_work: Literal["failed", "always"] | None = None
    ship: tuple[ShippedDef, ...] = ()
    env: dict[str, str | None] = {}
    tags: tuple[str, ...] = ()
    inputs: dict[str, Any] = {}
    read: dict[str, ReadInput] = {}
    hooks: dict[HookName, HookDef] = {}
    steps: tuple[StepDef, ...]

    def all_read(self) -> Iterator[ReadInput]:
        """The inputs that were read from files: those of the job, then those of its workflows."""
        yield from self.read.values()
        for step in walk_steps(self.steps):
            yield from step.read.values()

    def price_of(self, target: TargetDef) -> PriceDef | None:
        """The price of a model of a named server; None if it has none here."""
        return price_at(self.servers.get(target.provider), target.model)

    def step(self, name: str) -> StepDef | None:
        """The definition of the step with this id; None if there is no such step.

        Items and rounds have the definition of the step that contains them.
        """
        found: StepDef | None = None
        steps = self.steps
        for part in name.split("/"):
            own = re.split(r"[\[#]", part, maxsplit=1)[0]
            found = next((step for step in steps if step.id == own), None)
            steps = () if found is None else found.steps
        return found


def walk_steps(steps: Iterable[StepDef]) -> Iterator[StepDef]:
    """The steps and all steps inside them, depth first."""
    for step in steps:
        yield step
        yield from walk_steps(step.steps)


def dump_job(definition: JobDef) -> dict[str, Any]:
    """The job as JSON values, without fields that have their default."""
    return definition.model_dump(mode="json", exclude_defaults=True)


def dump_step(step: StepDef) -> dict[str, Any]:
    """The step as JSON values, as it appears in `dump_job`."""
    return step.model_dump(mode="json", exclude_defaults=True)


def load_job(document: Any) -> JobDef:
    """The inverse of `dump_job`. Raises pydantic's ValidationError for any other document."""
    return JobDef.model_validate(document)
