"""One step of a definition."""

from __future__ import annotations

from typing import Any, Literal

from orc.ledger.definition.base import LOCAL
from orc.ledger.definition.flow import ApprovalDef, ForEachDef, LoopDef, ScoreDef
from orc.ledger.definition.limits import DEFAULT_LIMITS, BudgetDef, LimitsDef, RetryDef
from orc.ledger.definition.parts import EmbedDef, FileDef, MessageDef, TargetDef, ToolDef
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.kinds import KINDS, FailureKind, Kind, Shape, StepKind, names_where
from orc.ledger.stored_struct import NO_ENTRIES, Stored

CacheScope = Literal["off", "job", "ledger"]
OnUnknown = Literal["retry", "ask", "fail"]
Cwd = Literal["work", "spec"]
"""Where a command or function starts: in its working folder, or in the folder of its spec."""


_HOLD_SLOTS = frozenset(names_where("holds_slot"))
_CONTAINERS = frozenset(names_where("is_container"))


class StepDef(Stored, frozen=True, kw_only=True):
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
    `max_turns` calls. With `cache_prompt`, servers are asked to cache the beginning of its prompts; with
    `batch`, its calls are submitted in batches. An empty `retry_on` means that every kind of failure is
    retried.

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
    read: dict[str, ReadInput] = NO_ENTRIES
    approval: ApprovalDef | None = None
    budget: BudgetDef | None = None
    on_unknown: OnUnknown = "retry"
    provider: str | None = None
    model: str | None = None
    base_url: str | None = None
    fallback: tuple[TargetDef, ...] = ()
    params: dict[str, Any] = NO_ENTRIES
    system: str | None = None
    messages: tuple[MessageDef, ...] = ()
    embed: EmbedDef | None = None
    run: str | tuple[str, ...] | None = None
    function: str | None = None
    args: dict[str, Any] = NO_ENTRIES
    value: Any = None
    format: Literal["text", "json"] = "text"
    output_schema: dict[str, Any] | None = None
    repair: int = 0
    tools: tuple[ToolDef, ...] = ()
    max_turns: int = 10
    batch: bool = False
    cache: CacheScope = "off"
    cache_prompt: bool = False
    files: tuple[FileDef, ...] = ()
    score: dict[str, ScoreDef] = NO_ENTRIES
    env: dict[str, str | None] = NO_ENTRIES
    secrets: tuple[str, ...] = ()
    workspace: str | None = None
    folder: str = ""
    cwd: Cwd = "work"
    limits: LimitsDef = DEFAULT_LIMITS
    executor: str = LOCAL
    resources: dict[str, tuple[float, ...]] = NO_ENTRIES
    labels: tuple[str, ...] = ()
    queue_timeout_s: float | None = None
    retry: RetryDef = RetryDef()
    retry_on: tuple[FailureKind, ...] = ()
    timeout_s: float | None = None
    attempt_timeout_s: float | None = None
    total_timeout_s: float | None = None
    wait_for_server_s: float | None = None
    continue_on_error: bool = False
    templates: dict[str, Any] = NO_ENTRIES
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
        return "group" if self.kind in _CONTAINERS else None

    @property
    def facts(self) -> Kind:
        """The facts about the step's kind."""
        return KINDS[self.kind]

    @property
    def takes_slot(self) -> bool:
        """Whether the step takes a slot while it runs. Containers and approvals take none."""
        # A step that contains others is a fan-out or a loop, or is of a kind that holds no slot.
        return self.for_each is None and self.loop is None and self.kind in _HOLD_SLOTS

    @property
    def is_loop(self) -> bool:
        """Whether the step contains rounds. A fan-out whose items are loops is not a loop."""
        return self.for_each is None and self.loop is not None

    @property
    def has_members(self) -> bool:
        """Whether the step directly contains the members of a group, not items or rounds."""
        return self.for_each is None and self.loop is None and self.kind in _CONTAINERS

    @property
    def is_plain(self) -> bool:
        """Whether the step needs only a slot to start, once its needs have ended.

        Any other step reads values first, which must be committed.
        """
        # What `shape`, `has_result_key` and `own_templates` say of such a step, in parts, since the
        # fold asks for each step.
        if self.condition is not None or self.templates or not self.takes_slot:
            return False
        return self.cache == "off" or not self.facts.runs_code

    @property
    def is_scored(self) -> bool:
        """Whether its own result gets scores. Those of a fan-out belong to its items."""
        return bool(self.score) and self.for_each is None

    @property
    def has_result_key(self) -> bool:
        """Whether a key of its rendered work is computed before it starts, to find its result."""
        return self.cache != "off" and self.facts.runs_code
