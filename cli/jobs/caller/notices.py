"""Notices before a run: of what a job declares and does not get, and of what is given in vain.

Each of these may be meant, so that the job runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orc.cli.jobs.caller.budgets import empty_budgets
from orc.cli.jobs.caller.changed_inputs import changed_inputs
from orc.cli.jobs.caller.providers import unavailable_fallbacks
from orc.ledger import Ledger
from orc.ledger.definition import JobDef, walk_steps
from orc.providers import Provider
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.resolve.misread_texts import find_misread_texts

_NAMED_MAX = 5


def notices_before_run(
    state: JobState,
    ledger: Ledger,
    providers: Mapping[str, Provider],
    environment: Mapping[str, str],
    job_id: str,
) -> Iterator[str]:
    """What the user should know before the job runs."""
    if state.status == "submitted":
        yield from read_notices(state.definition)
    else:
        yield from changed_inputs(state, ledger, job_id)
    yield from unavailable_fallbacks(providers)
    yield from find_misread_texts(state.definition)
    if state.status == "submitted":
        yield from empty_budgets(state.definition)
    unset = [name for name in _passed_on(state.definition) if name not in environment]
    if unset:
        is_, it = ("it is", "it") if len(unset) == 1 else ("they are", "them")
        yield f"`env` passes {_listed(unset)} on, and {is_} not set here: commands run without {it}"
    if state.replies is not None:
        yield from _replies_of_no_step(state.definition, ledger.read_payload(state.replies))
    if ledger.journal_mode != "wal":
        # On a network filesystem, for example.
        yield (
            f"{ledger.path}: the filesystem does not support a write-ahead log. Commits are durable, "
            "but slower, and other processes cannot read the ledger during a commit"
        )


def read_notices(definition: JobDef) -> Iterator[str]:
    """What was read for the inputs that are files and tables."""
    return (found.describe() for found in definition.all_read())


def _replies_of_no_step(definition: JobDef, replies: Any) -> Iterator[str]:
    named = replies.get("replies") if isinstance(replies, dict) else None
    known = [step.id for step in walk_steps(definition.steps) if step.facts.calls_model]
    for step in named if isinstance(named, dict) else ():
        if definition.step(str(step)) is None:
            yield f"there are recorded replies of {step!r}, which is not a step{nearest(step, known)}"


def _passed_on(definition: JobDef) -> dict[str, None]:
    """The variables whose values commands get from the caller, in the order of the spec."""
    envs = [definition.env, *(step.env for step in walk_steps(definition.steps))]
    return {name: None for env in envs for name, value in env.items() if value is None}


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMED_MAX]) + ", ..." * (len(names) > _NAMED_MAX)
