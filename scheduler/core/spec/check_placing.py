"""Checks where steps run: their executors, what they need of a machine, and files to ship."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orc.ledger.definition import LOCAL
from orc.ledger.kinds import facts_of
from orc.scheduler.core.errors import Problem
from orc.scheduler.core.paths import written_problem
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.model import JobSpec, StepSpec, kind_of
from orc.scheduler.core.spec.resources import NAME_LENGTH_MAX, NAME_PATTERN

_ELSEWHERE = {
    "prompt": "the calls of a prompt are sent by the process that runs the job, which has the "
    "budgets, rates and keys; to use a model on another machine, start a server there and set "
    "`base_url`",
    "value": "a value is computed by the process that runs the job",
    "approval": "a person is asked by the process that runs the job",
    "group": "set it at the steps inside, or for the whole job",
}


def executor_problem(step: StepSpec) -> str | None:
    """Why a step of this kind has no executor of its own; None if it may have one."""
    if facts_of(kind_of(step)).runs_code:
        return None
    return f"is allowed in a step with run or python only: {_ELSEWHERE[kind_of(step) or '']}"


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
