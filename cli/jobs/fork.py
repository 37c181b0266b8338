"""`orc fork`: submits a new job that reuses the results of another job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.changed_items import with_counts
from orc.cli.jobs.caller.executors import check_replaced
from orc.cli.jobs.caller.providers import build_providers
from orc.cli.jobs.caller.replies import read_replies_for_resume
from orc.cli.jobs.caller.secrets import hide_secrets
from orc.cli.jobs.caller.settings import parse_sets, set_values, split_changes
from orc.cli.jobs.caller.spec_dir import require_spec_folder
from orc.cli.jobs.caller.step_names import check_step_names
from orc.cli.jobs.caller.trust import refuse_untrusted
from orc.cli.jobs.edits import (
    Ask,
    Edited,
    as_recorded,
    ask_nothing,
    edit_job,
    without_secrets,
)
from orc.cli.jobs.folders import check_runs_dir
from orc.cli.jobs.owned_job import NO_NAMES, Caller, Ended, Listener, OwnedJob, own, owner_here
from orc.cli.jobs.places import Places, open_to_continue
from orc.cli.jobs.state import load_state, take_over
from orc.cli.jobs.submit import submission_of, with_recorded_places
from orc.ledger import JobId, LedgerReader
from orc.ledger.values import CachedResult
from orc.projections.caches.result_fold import named_blobs
from orc.projections.caches.taken_over import EndedSteps, TakenEvent
from orc.providers import Provider
from orc.scheduler.core.commands import StartJob
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.fold.compare import Plan, find_changes, find_same_items, plan_changes
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.graph import Graph, build_graph
from orc.scheduler.ids import new_job_id

if TYPE_CHECKING:
    from orc.scheduler.executors.remote import RemoteExecutor


class Fork(Struct, frozen=True):
    """The differences of a fork: a step to run again, changed values, or another spec.

    `start` is the step to run again with its dependents. `sets` are texts `PATH=VALUE`; `changes`
    are values by path. Another spec is the file `spec`, or `text`; `ask` completes its inputs.
    `spec_dir` is where the folder of the spec is now. `tags` are added to those of the spec.
    """

    start: str | None = None
    sets: tuple[str, ...] = ()
    spec: Path | None = None
    replies: Path | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    ask: Ask = ask_nothing
    spec_dir: Path | None = None
    tags: tuple[str, ...] = ()

    @property
    def edits_spec(self) -> bool:
        """Whether the fork has another spec than the job."""
        return bool(self.sets or self.changes) or self.spec is not None or self.text is not None


class Forked(Struct, frozen=True):
    """A job (`parent`) and its fork; `ended` is None if the fork was not run."""

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
    keep_work: bool = False,
    executors: Mapping[str, str] = NO_NAMES,
    trust: bool = False,
) -> Forked:
    """Submit a new job with the results of another job, and run it unless `run` is False.

    Changed steps and their dependents have no results in the new job, so that they run; items whose
    work is that of before keep their results. The other job may be in any state. Raises NoSuchJob,
    SpecError, UsageProblem, EnvironmentProblem, LedgerError.
    """
    with open_to_continue(places, environment, trust=trust) as ledger:
        parent = ledger.find_job(name)
        refuse_untrusted(ledger, parent, trust=trust)
        before = load_state(ledger, parent)
        edited = _edit(ledger, before, request, environment)
        tags = tuple(dict.fromkeys((*edited.definition.tags, *request.tags)))
        edited = replace(edited, definition=replace(edited.definition, tags=tags))
        graph = build_graph(edited.definition.steps)
        check_replaced(executors, edited.definition)
        check_step_names("--from", (request.start,) if request.start else (), graph.steps)
        ended_steps = EndedSteps(ledger.read_stream(parent))
        results = ended_steps.results
        plan = _plan(ledger, before, edited, graph, results, request.start)
        hide_secrets(ledger, before.definition, environment, steps=())
        mask = hide_secrets(ledger, edited.definition, environment, steps=plan.runs if run else ())
        if request.edits_spec:
            edited = without_secrets(mask, edited)
        document = read_replies_for_resume(ledger, before, provider=None, replies=request.replies)
        document = mask.value(document)
        providers: dict[str, Provider] = {}
        if run:
            require_spec_folder(edited.spec_dir, edited.definition, steps=plan.runs)
            steps = tuple(step for step in edited.definition.steps if step.id in plan.runs)
            part = replace(edited.definition, steps=steps)
            providers = build_providers(part, environment, replies=document)
        check_runs_dir(places.runs_dir)
        caller = Caller(places, environment, listener or Listener(), force, keep_work, executors)
        # A skipped step has no result: its condition is evaluated again.
        kept = [step for step in plan.kept if step in results]
        taken = [event for step in kept for event in ended_steps.taken_over(step, ledger)]
        async with AsyncExitStack() as stack:
            connected: list[RemoteExecutor] = []
            if run:
                connected = await stack.enter_async_context(caller.connect(edited.definition))
            owned = stack.enter_context(own(ledger, new_job_id(), caller))
            origin = _Origin(parent, before.version, plan.kept_items)
            _submit(owned, edited, origin, document, taken, version)
            announce(parent, owned.job_id, plan)
            if not run:
                owned.publish_submitted()
                return Forked(parent, owned.job_id, plan, None)
            owned.providers = providers
            ended = await owned.run(StartJob(owner_here()), connected)
            return Forked(parent, owned.job_id, plan, ended)


def _edit(
    ledger: LedgerReader, before: JobState, request: Fork, environment: Mapping[str, str]
) -> Edited:
    if not request.edits_spec:
        return as_recorded(ledger, before, request.spec_dir)
    values, inputs = parse_sets(request.sets)
    changed, given = split_changes(request.changes)
    try:
        return edit_job(
            ledger,
            before,
            path=request.spec,
            change=lambda text: set_values(request.text or text, {**values, **changed}),
            inputs={**inputs, **given},
            environment=environment,
            ask=request.ask,
            spec_dir=request.spec_dir,
        )
    except SpecError as error:
        if request.spec is not None or request.text is not None:
            raise
        # The line numbers are left out: they are those of a text that the caller has not seen.
        said = "; ".join(problem.message for problem in error.problems).replace("-i ", "inputs.")
        if "cannot read" in said:
            said += "; if the spec was moved, name its folder with --spec-dir"
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
        step_id: "failed in that job, and was tolerated"
        for step_id, step in before.steps.items()
        if step.is_done and step.status == "failed" and step_id in graph.steps
    }
    for step_id, result in results.items():
        if step_id in graph.steps and not all(map(ledger.knows_blob, named_blobs(result))):
            others[step_id] = "its result is no longer in the ledger"
    if start is not None:
        others[start] = "asked for"
    same_items = find_same_items(before.definition, edited.definition)
    plan = plan_changes(before, graph, changes, others, same_items=same_items)
    # The fork has no state of steps that had not ended, but their items may have results.
    kept_items = tuple(
        name for name in graph.steps if name in plan.runs and name in same_items and name != start
    )
    plan = replace(plan, kept_items=kept_items)
    return with_counts(plan, ledger, before, edited.definition, edited.inputs)


class _Origin(Struct, frozen=True):
    """The job that is forked, its version, and the steps in whose items results are kept."""

    parent: JobId
    version: int
    kept_items: tuple[str, ...]


def _submit(
    owned: OwnedJob,
    edited: Edited,
    origin: _Origin,
    document: Any,
    taken: list[TakenEvent],
    version: str,
) -> None:
    """Append the fork's first events: its submission and what it takes over, in one transaction."""
    definition = with_recorded_places(edited.definition, owned.ledger.path)
    event, blobs = submission_of(
        definition,
        text=edited.text,
        source_name=edited.source_name,
        spec_dir=edited.spec_dir,
        replies=document,
        places=owned.caller.places,
        mask=owned.ledger.mask,
        version=version,
        forked_from=origin.parent,
        forked_at=origin.version,
        kept_items=origin.kept_items,
    )
    stored = edited.store(owned.ledger.files)
    named = chain(edited.blobs, blobs)
    owned.create(definition, event, *take_over(taken), blobs=named, stored=stored)
