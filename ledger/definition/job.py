"""The definition of a whole job, and its form in the ledger."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal

from orc.ledger.definition.limits import BudgetDef, CircuitDef, RateDef
from orc.ledger.definition.parts import TargetDef
from orc.ledger.definition.step import StepDef
from orc.ledger.digest import Digest
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.kinds import HookName
from orc.ledger.servers.server_def import PriceDef, ServerDef, price_at
from orc.ledger.stored_struct import NO_ENTRIES, Stored, dump, dump_changed, load

HOOK_TIMEOUT_S = 60.0


class ShippedDef(Stored, frozen=True, kw_only=True):
    """A file of the spec's folder that travels with the job; `path` is relative to that folder.

    `mode` has three octal digits, such as `755`; None for an ordinary file.
    """

    path: str
    sha256: Digest
    size_bytes: int
    mode: str | None = None


class HookDef(Stored, frozen=True, kw_only=True):
    """A command that runs after a run of the job ended: `run` and `env` are templates.

    It starts in `folder`: that of the file in which it is written, relative to the spec's folder.
    """

    run: str | tuple[str, ...]
    env: dict[str, str | None] = NO_ENTRIES
    secrets: tuple[str, ...] = ()
    timeout_s: float = HOOK_TIMEOUT_S
    folder: str = ""


class JobDef(Stored, frozen=True, kw_only=True):
    """A job; `output_dir` is absolute, or in events relative to the ledger's folder.

    The keys of `concurrency` are `total`, and names of providers, servers and executors. `servers`
    are those that steps may name. `ship` are the files of the spec's folder that travel with the
    job. `read` are the inputs that are files and tables, and `inputs` the values of the others.
    `tags` are those that it was submitted with. `keep_work`: whether the working folders of attempts
    are kept, of all, of failed ones, or (None) of none. `silence_s` is the `timeout` of model calls
    whose step and server have none.
    """

    project: str
    task_description: str | None = None
    provider: str
    model: str
    concurrency: dict[str, int]
    rate: dict[str, RateDef] = NO_ENTRIES
    servers: dict[str, ServerDef] = NO_ENTRIES
    circuit: CircuitDef = CircuitDef()
    timeout_s: float | None = None
    silence_s: float | None = None
    budget: BudgetDef | None = None
    output_dir: str | None = None
    keep_work: Literal["failed", "always"] | None = None
    ship: tuple[ShippedDef, ...] = ()
    env: dict[str, str | None] = NO_ENTRIES
    tags: tuple[str, ...] = ()
    inputs: dict[str, Any] = NO_ENTRIES
    read: dict[str, ReadInput] = NO_ENTRIES
    hooks: dict[HookName, HookDef] = NO_ENTRIES
    steps: tuple[StepDef, ...]

    def all_read(self) -> Iterator[ReadInput]:
        """The inputs that were read from files: those of the job, then those of its workflows."""
        yield from self.read.values()
        for step in walk_steps(self.steps):
            yield from step.read.values()

    def price_of(self, target: TargetDef) -> PriceDef | None:
        """The price of a model of a named server; None if it has none here."""
        return price_at(self.servers.get(target.provider), target.model)

    def silence_of(self, step: StepDef, target: TargetDef) -> float:
        """For how many seconds the server of a model call may send nothing."""
        server = self.servers.get(target.provider)
        of_server = None if server is None else server.timeout_s
        known = (step.timeout_s, of_server, self.silence_s, step.facts.timeout_s)
        return next(filter(None, known), math.inf)

    def server_wait_of(self, step: StepDef, target: TargetDef) -> float | None:
        """For how many seconds a step waits for a server that is not ready; None: it does not."""
        server = self.servers.get(target.provider)
        of_server = None if server is None else server.wait_for_server_s
        return of_server if step.wait_for_server_s is None else step.wait_for_server_s

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
        if step.steps:
            yield from walk_steps(step.steps)


def dump_job(definition: JobDef) -> dict[str, Any]:
    """The job as JSON values, without fields that have their default."""
    dumped: dict[str, Any] = dump_changed(definition)
    return dumped


def dump_step(step: StepDef) -> dict[str, Any]:
    """The step as JSON values, as it appears in `dump_job`."""
    dumped: dict[str, Any] = dump_changed(step)
    return dumped


def dump_whole_step(step: StepDef, *, without: Collection[str] = ()) -> dict[str, Any]:
    """All fields of the step as JSON values, except those in `without`.

    The steps inside it are dumped in full.
    """
    dumped: dict[str, Any] = dump(step)
    return {name: value for name, value in dumped.items() if name not in without}


def load_job(document: Any) -> JobDef:
    """The inverse of `dump_job`. Raises msgspec's ValidationError for any other document."""
    return load(JobDef, document)
