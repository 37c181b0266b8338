"""Checks where steps run: their executors, what they need of a machine, and files to ship."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orc.ledger.definition import LOCAL
from orc.ledger.kinds import Kind, facts_of
from orc.scheduler.core.errors import Problem
from orc.scheduler.core.paths import written_problem
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.model import JobSpec, StepSpec, kind_of
from orc.scheduler.core.spec.resources import NAME_LENGTH_MAX, NAME_PATTERN


def executor_problem(step: StepSpec) -> str | None:
    """Why a step of this kind has no executor of its own; None if it may have one."""
    facts = facts_of(kind_of(step))
    if facts.runs_code:
        return None
    return f"is allowed in a step with run or python only: {why_here(facts)}"


def why_here(facts: Kind) -> str:
    """Why a step that runs no code belongs to the process that runs the job."""
    if facts.calls_model:
        return (
            "calls of a model are sent by the process that runs the job, which has the budgets, rates "
            "and keys; to use a model on another machine, start a server there and set `base_url`"
        )
    if facts.asks_person:
        return "a person is asked by the process that runs the job"
    if facts.is_container:
        return "set it at the steps inside, or for the whole job"
    return "a value is computed by the process that runs the job"


def check_placing(path: Path, step: StepSpec, document: Document) -> Iterator[Problem]:
    """Problems of a step's `executor`, `workspace` and `resources`."""
    if step.executor not in (None, LOCAL) and step.workspace is not None:
        yield Problem(
            f"{dotted(path)}.workspace: {no_workspace(step.executor)}",
            *document.place((*path, "workspace"), key=True),
        )
    for name in (step.resources.model_extra or {}) if step.resources is not None else ():
        if not re.fullmatch(NAME_PATTERN[1:-1], name) or len(name) > NAME_LENGTH_MAX:
            yield Problem(
                f"{dotted(path)}.resources: {name[:80]!r} is not a valid name: use letters, digits, "
                "-, _ and ., starting with a letter or _",
                *document.place((*path, "resources", name), key=True),
            )


def no_workspace(executor: str | None) -> str:
    """Why a step on this executor cannot have a workspace."""
    return (
        f"the folder of a workspace is on this machine, and the step runs on {executor!r}; pass "
        "files with `files`, or set `executor: local`"
    )


def check_ship(job: JobSpec, document: Document) -> Iterator[Problem]:
    """Problems of the job's `ship`."""
    for index, pattern in enumerate(job.ship):
        reason = written_problem(pattern, glob=True, folder="the folder of the spec")
        if reason:
            yield Problem(f"ship[{index}]: {reason}", *document.place(("ship", index)))
