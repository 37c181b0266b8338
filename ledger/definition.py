"""The spec as it runs: every default filled in, every template expanded, nothing left to look up.

This is what `job.submitted` records and what a resumed job reads; a field may
be added with a default, and none is renamed or given another meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from orc.ledger.digest import Digest
from orc.ledger.kinds import KINDS, FailureKind, Kind, Shape, StepKind

REPLAY = "replay"
"""The provider that answers from recorded replies; it can stand in for every other."""

CacheScope = Literal["off", "job", "ledger"]
OnUnknown = Literal["retry", "ask", "fail"]


class Resolved(BaseModel):
    """Base: frozen, and strict about names, so that a newer spec is refused rather than misread."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RetryDef(Resolved):
    """`max_attempts` in all; waits in seconds; `jitter` the random part of each, from 0 to 1."""

    max_attempts: int = 1
    backoff: Literal["exponential", "linear", "fixed"] = "exponential"
    initial_s: float = 1.0
    max_s: float = 60.0
    jitter: float = 0.1


class PartDef(Resolved):
    """A part of a message: `text`, a template; or an image.

    An image is a blob (`sha256`), or the file of a step whose path the template `image` gives.
    """

    text: str | None = None
    image: str | None = None
    sha256: Digest | None = None


class MessageDef(Resolved):
    """One turn; `content` is a template, or parts."""

    role: Literal["system", "user", "assistant"]
    content: str | tuple[PartDef, ...]


class FileDef(Resolved):
    """Either `glob`, or `path` with `content`, both templates; no content means the step's text."""

    path: str | None = None
    content: str | None = None
    glob: str | None = None


class TargetDef(Resolved):
    """Whom a prompt asks: a model of a provider, at `base_url` where the spec says so."""

    provider: str
    model: str = ""
    base_url: str | None = None

    @property
    def server(self) -> str:
        """The key of the provider that is built for it: one for each address."""
        return server_key(self.provider, self.base_url)

    @property
    def name(self) -> str:
        """What people and events call it; equal names have one circuit."""
        at = f" at {self.base_url}" if self.base_url else ""
        return f"{self.provider}/{self.model}{at}"


def server_key(provider: str, base_url: str | None) -> str:
    """The name of a built provider: the provider's, with its address where the spec gives one."""
    return f"{provider} at {base_url}" if base_url else provider


class ToolDef(Resolved):
    """A tool of a prompt: built in, or the Python function `function`.

    Without `description` and `parameters` a function's own words and annotations
    count. `allow` names the programs that `run_command` may start; empty: any.
    """

    name: str
    function: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    allow: tuple[str, ...] = ()


class RateDef(Resolved):
    """What a provider may be asked in a minute."""

    requests_per_min: float | None = None
    tokens_per_min: float | None = None


class CircuitDef(Resolved):
    """When calls to a model stop for a while: after `threshold` failures in a row; 0 is never."""

    threshold: int = 5
    cooldown_s: float = 60.0


class BudgetDef(Resolved):
    """What may be spent: US dollars, tokens in and out, calls; and what becomes of a call beyond."""

    max_cost_usd: float | None = None
    max_tokens: int | None = None
    max_calls: int | None = None
    on_exceeded: Literal["pause", "fail"] = "pause"


class ForEachDef(Resolved):
    """A fan-out: `items` is a template, or a list with templates in it; `name` what each is called.

    `key` is a template that names an item, in place of its number from 0.
    """

    items: Any
    name: str = "item"
    key: str | None = None
    max_parallel: int | None = None


class LoopDef(Resolved):
    """Rounds: until the condition holds after one, at most `max_iterations`.

    `on_exhausted` says what the last round's result is worth where it never held.
    """

    until: str | None = None
    max_iterations: int
    on_exhausted: Literal["continue", "fail"] = "continue"


class ApprovalDef(Resolved):
    """A person's decision: `message` is a template; after `timeout_s`, `on_timeout` is chosen."""

    message: str
    options: tuple[str, ...] = ("approve", "reject")
    timeout_s: float | None = None
    on_timeout: str = "reject"


class StepDef(Resolved):
    """One step. `retry_on` empty means any failure.

    `condition` is judged once when all it waits for has ended, `item_condition` once
    for each item. A step that `runs_after` any end waits for its needs however they
    end, another one for their success. A group's `steps` see `inputs` alone of what
    is around them, where it has any. `on_unknown` is what becomes of an attempt whose
    process died when it had asked or begun something, and nobody knows how that ended.
    `secrets` are variables of the caller that its commands get, and that nobody is shown.

    `provider`, `model` and `base_url` are the first whom a prompt asks, `fallback` the
    others. `output_schema` is a JSON Schema, `repair` how often the model is shown
    what is wrong with its reply; a conversation with tools has at most `max_turns` calls.
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
    env: dict[str, str | None] = {}
    secrets: tuple[str, ...] = ()
    retry: RetryDef = RetryDef()
    retry_on: tuple[FailureKind, ...] = ()
    timeout_s: float | None = None
    total_timeout_s: float | None = None
    continue_on_error: bool = False

    def targets(self) -> tuple[TargetDef, ...]:
        """Whom the step may ask, in order; none where it asks no model."""
        if self.provider is None:
            return ()
        first = TargetDef(provider=self.provider, model=self.model or "", base_url=self.base_url)
        return (first, *self.fallback)

    @property
    def shape(self) -> Shape | None:
        """How the step holds others, outermost first; none where it is itself what is done."""
        if self.for_each is not None:
            return "for_each"
        if self.loop is not None:
            return "loop"
        return "group" if self.facts.is_container else None

    @property
    def facts(self) -> Kind:
        """What is true of every step of its kind."""
        return KINDS[self.kind]

    @property
    def is_loop(self) -> bool:
        """Whether it holds rounds; the items of a fan-out may be loops, the fan-out is none."""
        return self.for_each is None and self.loop is not None

    @property
    def has_members(self) -> bool:
        """Whether it holds the steps of a group, and neither items nor rounds."""
        return self.for_each is None and self.loop is None and self.facts.is_container

    @property
    def is_plain(self) -> bool:
        """Whether it starts as soon as its needs let it, in a slot."""
        return self.condition is None and self.shape is None and self.facts.holds_slot


class JobDef(Resolved):
    """A whole job. `concurrency` has `total` and provider names; `output_dir` is absolute."""

    project: str
    task_description: str | None = None
    provider: str
    model: str
    concurrency: dict[str, int]
    rate: dict[str, RateDef] = {}
    circuit: CircuitDef = CircuitDef()
    timeout_s: float | None = None
    budget: BudgetDef | None = None
    output_dir: str | None = None
    env: dict[str, str | None] = {}
    inputs: dict[str, Any] = {}
    steps: tuple[StepDef, ...]

    def step(self, name: str) -> StepDef | None:
        """The definition of a step of the job, by its name in the ledger; None for no such step.

        Items and rounds have the definition of what they are one of.
        """
        found: StepDef | None = None
        steps = self.steps
        for part in name.split("/"):
            own = re.split(r"[\[#]", part, maxsplit=1)[0]
            found = next((step for step in steps if step.id == own), None)
            steps = () if found is None else found.steps
        return found


def walk_steps(steps: Iterable[StepDef]) -> Iterator[StepDef]:
    """The steps, and those inside them, in order."""
    for step in steps:
        yield step
        yield from walk_steps(step.steps)


def dump_job(definition: JobDef) -> dict[str, Any]:
    """The job as JSON values, defaults left out."""
    return definition.model_dump(mode="json", exclude_defaults=True)


def dump_step(step: StepDef) -> dict[str, Any]:
    """The step as JSON values, defaults left out, as `dump_job` has it."""
    return step.model_dump(mode="json", exclude_defaults=True)


def load_job(document: Any) -> JobDef:
    """The job that `dump_job` gave. Raises pydantic's ValidationError for anything else."""
    return JobDef.model_validate(document)
