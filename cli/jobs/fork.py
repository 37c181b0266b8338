"""A new job that begins with the results of another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.edits import Edited, as_recorded, edit_job, without_secrets
from orc.cli.jobs.own import Ended, Listener, Ownership, check_runs_dir, load_state, run_folder
from orc.cli.jobs.secrets import protect
from orc.cli.jobs.settings import parse_sets, set_values
from orc.cli.jobs.submit import build_providers, check_step_names, read_replies_for_resume
from orc.cli.jobs.trust import refuse_untrusted
from orc.cli.jobs.wiring import Places, open_for_writing
from orc.ledger import JobId, Ledger, LedgerReader, OwnerLock, Recorded, pack
from orc.ledger.definition import dump_job
from orc.ledger.digest import clean_text
from orc.ledger.events import JobSubmitted, Owner, StepReused
from orc.ledger.locks import owner_identity
from orc.ledger.values import CachedResult
from orc.projections import collect_results
from orc.projections.caches.results import named_blobs
from orc.providers import Provider
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import ReuseStep, StartJob, SubmitJob
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.fold.compare import Plan, find_changes, plan_changes
from orc.scheduler.core.fold.evolve import JobState, evolve, initial_state
from orc.scheduler.core.fold.graph import Graph, build_graph
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.ids import new_job_id


@dataclass(frozen=True, slots=True)
class Fork:
    """What is to be different: the first step to run anew, values of the spec, another spec."""

    start: str | None = None
    sets: tuple[str, ...] = ()
    spec: Path | None = None
    replies: Path | None = None


@dataclass(frozen=True, slots=True)
class Forked:
    """A job and its fork; `ended` where that was run."""

    parent: JobId
    job_id: JobId
    plan: Plan
    ended: Ended | None


async def fork(
    name: str,
    request: Fork,
    *,
    places: Places,
    environment: Mapping[str, str],
    version: str,
    run: bool = True,
    listener: Listener | None = None,
    announce: Callable[[JobId, JobId, Plan], None] = lambda parent, job_id, plan: None,
    force: bool = False,
    trust: bool = False,
) -> Forked:
    """Submit a job with the results of another, but for what changes; run it, unless told not to.

    The other job may be in any state. Raises NoSuchJob, SpecError, UsageProblem,
    EnvironmentProblem, LedgerError.
    """
    with open_for_writing(places) as ledger:
        parent = ledger.find_job(name)
        refuse_untrusted(ledger, parent, trust=trust)
        before = load_state(ledger, parent)
        edited = _edit(ledger, before, request, environment)
        graph = build_graph(edited.definition.steps)
        check_step_names("--from", (request.start,) if request.start else (), graph.steps)
        results = collect_results(ledger.read_stream(parent))
        plan = _plan(ledger, before, edited, graph, results, request.start)
        mask = protect(ledger, edited.definition, environment, steps=plan.runs if run else ())
        if request.spec is not None or request.sets:
            edited = without_secrets(mask, edited)
        document = read_replies_for_resume(ledger, before, provider=None, replies=request.replies)
        document = mask.value(document)
        providers: dict[str, Provider] = {}
        if run:
            steps = tuple(step for step in edited.definition.steps if step.id in plan.runs)
            part = edited.definition.model_copy(update={"steps": steps})
            providers = build_providers(part, environment, replies=document)
        check_runs_dir(places.runs_dir)
        job_id = new_job_id()
        # Owned before it exists, so that no one else can take it up.
        lock = OwnerLock(places.database, job_id)
        lock.acquire()
        try:
            state = initial_state(edited.definition, graph)
            event, blobs = _submission(before, edited, parent, document, places, version)
            # A step that was skipped has no result; its condition decides again.
            kept = {step: results[step] for step in plan.kept if step in results}
            _submit(ledger, job_id, state, event, blobs, kept)
            announce(parent, job_id, plan)
            if not run:
                return Forked(parent, job_id, plan, None)
            folder = run_folder(state, job_id, places.runs_dir)
            owned = Ownership(
                ledger,
                job_id,
                state,
                folder,
                providers,
                environment,
                listener,
                prices=places.prices,
            )
            opening = StartJob(Owner.model_validate(owner_identity()))
            return Forked(parent, job_id, plan, await owned.to_the_end(opening, force=force))
        finally:
            lock.release()


def _edit(
    ledger: LedgerReader, before: JobState, request: Fork, environment: Mapping[str, str]
) -> Edited:
    if request.spec is None and not request.sets:
        return as_recorded(ledger, before)
    values, inputs = parse_sets(request.sets)
    try:
        return edit_job(
            ledger,
            before,
            path=request.spec,
            change=lambda text: set_values(text, values),
            inputs=inputs,
            environment=environment,
        )
    except SpecError as error:
        if request.spec is not None:
            raise
        # Lines of a text that nobody has seen would help nobody.
        said = "; ".join(problem.message for problem in error.problems).replace("-i ", "inputs.")
        raise UsageProblem(f"--set: {said}") from error


def _plan(
    ledger: LedgerReader,
    before: JobState,
    edited: Edited,
    graph: Graph,
    results: Mapping[str, CachedResult],
    start: str | None,
) -> Plan:
    changes = find_changes(before.definition, edited.definition)
    others = {
        step_id: "failed there, and was tolerated"
        for step_id, step in before.steps.items()
        if step.is_done and step.status == "failed" and step_id in graph.steps
    }
    for step_id, result in results.items():
        if step_id in graph.steps and not all(map(ledger.knows_blob, named_blobs(result))):
            others[step_id] = "its result is no longer in the ledger"
    if start is not None:
        others[start] = "asked for"
    return plan_changes(before, graph, changes, others)


def _submission(
    before: JobState,
    edited: Edited,
    parent: JobId,
    document: Any,
    places: Places,
    version: str,
) -> tuple[JobSubmitted, list[bytes]]:
    spec, spec_blob = pack(dump_job(edited.definition))
    source, source_blob = pack(edited.text)
    inputs, inputs_blob = pack(edited.definition.inputs)
    replies, replies_blob = (None, None) if document is None else pack(document)
    event = JobSubmitted(
        project=edited.definition.project,
        spec=spec,
        source=source,
        source_name=edited.source_name,
        spec_dir=edited.spec_dir,
        submit_dir=clean_text(os.getcwd()),
        runs_dir=clean_text(str(places.runs_dir)),
        inputs=inputs,
        replies=replies,
        forked_from=parent,
        orc_version=version,
    )
    found = (spec_blob, source_blob, inputs_blob, replies_blob)
    return event, [*edited.blobs, *(blob for blob in found if blob is not None)]


def _submit(
    ledger: Ledger,
    job_id: JobId,
    state: JobState,
    event: JobSubmitted,
    blobs: list[bytes],
    results: Mapping[str, CachedResult],
) -> None:
    """Make the job durable with all its results at once; they need no one to run."""
    at = Clock().recorded_at()
    batch: list[Recorded] = []
    commands: list[SubmitJob | ReuseStep] = [SubmitJob(event)]
    for step_id, result in results.items():
        fields = {name: getattr(result, name) for name in CachedResult.model_fields}
        commands.append(ReuseStep(StepReused(step=step_id, reason="fork", **fields)))
    for command in commands:
        for found in decide(state, command):
            recorded = Recorded(job_id, state.version + 1, at, found)
            evolve(state, recorded)
            batch.append(recorded)
    ledger.append(batch, blobs=blobs)
