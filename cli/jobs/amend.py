"""Amends a job: by an edited spec, or by steps that are to run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.changed_items import with_counts
from orc.cli.jobs.caller.secrets import hide_secrets, refuse_secrets_in_paths
from orc.cli.jobs.caller.step_names import check_step_names
from orc.cli.jobs.edits import (
    Ask,
    Edited,
    as_recorded,
    ask_nothing,
    edit_job,
    read_source,
    tags_in,
    without_secrets,
)
from orc.cli.jobs.removed_blobs import refuse_removed
from orc.cli.jobs.state import load_state
from orc.cli.jobs.submit import recorded_inputs, with_recorded_places
from orc.ledger import JobId, Ledger, Recorded, pack
from orc.ledger.codec import mask_event
from orc.ledger.definition import JobDef, dump_job
from orc.ledger.digest import clean_text
from orc.ledger.events import JobAmended
from orc.ledger.files.project_places import recorded_place, spec_folder
from orc.ledger.kinds import JOB_ENDED
from orc.ledger.step_names import lineage
from orc.scheduler.clock import Clock
from orc.scheduler.core.assessments import TagJob
from orc.scheduler.core.commands import AmendJob
from orc.scheduler.core.fold.compare import Plan, find_changes, find_same_items, plan_changes
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.rules.decide import decide


class Amendment(Struct, frozen=True):
    """A request to amend a job: by an edited spec, by steps to run again, or by both.

    The spec is the file `spec`, or `text`. `again` are the steps to run again. `announce` is called
    with the plan before the job is amended. `ask` completes the inputs of an edited spec. `spec_dir`
    is where the folder of the spec is now.
    """

    environment: Mapping[str, str]
    spec: Path | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    again: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    announce: Callable[[JobId, Plan], None] = lambda job_id, plan: None
    text: str | None = None
    ask: Ask = ask_nothing
    spec_dir: Path | None = None

    @property
    def edits_spec(self) -> bool:
        """Whether the job gets another spec."""
        return self.spec is not None or self.text is not None

    def prepare(self, ledger: Ledger, job_id: JobId, state: JobState) -> PreparedAmendment:
        """Check the amendment of a job, which this process must own; nothing is recorded.

        Raises SpecError, UsageProblem, EnvironmentProblem, LedgerError.
        """
        for name in self.again:
            root = [*lineage(name)][-1]
            if name in state.steps and name != root:
                raise UsageProblem(
                    f"--step: {name!r} is inside step {root!r} and cannot run again alone; "
                    f"use --step {root}"
                )
        check_step_names("--step", self.again, {step.id for step in state.definition.steps})
        assert state.submitted is not None
        before = spec_folder(state.submitted, ledger.path)
        edited = as_recorded(ledger, state, self.spec_dir)
        is_edited = self.edits_spec
        if is_edited:
            edited = edit_job(
                ledger,
                state,
                path=self.spec,
                change=lambda text: self.text or text,
                inputs=self.inputs,
                environment=self.environment,
                ask=self.ask,
                spec_dir=self.spec_dir,
            )
        changes = find_changes(state.definition, edited.definition)
        intolerant = {step.id for step in edited.definition.steps if not step.continue_on_error}
        for step_id in intolerant & set(state.steps):
            if state.steps[step_id].status == "failed" and state.steps[step_id].tolerated:
                changes.setdefault(step_id, ("continue_on_error",))
        graph = build_graph(edited.definition.steps)
        check_step_names("--only", self.only, graph.steps)
        plan = plan_changes(
            state,
            graph,
            changes,
            dict.fromkeys(self.again, "asked for"),
            definition=edited.definition,
            same_items=find_same_items(state.definition, edited.definition),
        )
        announced = plan
        if is_edited:
            announced = with_counts(plan, ledger, state, edited.definition, edited.inputs)
        is_moved = _place(edited.spec_dir, ledger) != _place(before, ledger)
        if edited.definition == state.definition and not (self.again or is_moved):
            self.announce(job_id, announced)
            return PreparedAmendment(ledger, job_id, state, edited, plan, has_changes=False)
        hide_secrets(ledger, state.definition, self.environment, steps=())
        mask = hide_secrets(ledger, edited.definition, self.environment, steps=plan.runs)
        if is_moved:
            refuse_secrets_in_paths(mask, {"the spec's folder": str(edited.spec_dir)})
        if is_edited:
            edited = without_secrets(mask, edited)
        refuse_removed(ledger, job_id, state, kept=plan.kept)
        self.announce(job_id, announced)
        return PreparedAmendment(ledger, job_id, state, edited, plan, fresh=self.again)


class PreparedAmendment(Struct, frozen=True):
    """An amendment that was checked. `fresh` are the steps that run again although nothing changed."""

    ledger: Ledger
    job_id: JobId
    state: JobState
    edited: Edited
    plan: Plan
    fresh: tuple[str, ...] = ()
    has_changes: bool = True

    @property
    def definition(self) -> JobDef:
        """The job as it will be."""
        return self.edited.definition

    @property
    def continues_job(self) -> bool:
        """Whether the job goes on after it: one that has succeeded does so only if it changes."""
        return self.has_changes or self.state.status != "succeeded"

    def record(self) -> JobState:
        """Amend the job; its new state. If nothing changed, no event is appended.

        Raises LedgerError.
        """
        if not self.has_changes:
            return self.state
        return _amend(
            self.ledger, self.job_id, self.state, self.edited, self.plan, fresh=self.fresh
        )


def _amend(
    ledger: Ledger,
    job_id: JobId,
    state: JobState,
    edited: Edited,
    plan: Plan,
    *,
    fresh: tuple[str, ...],
) -> JobState:
    spec, spec_blob = pack(dump_job(with_recorded_places(edited.definition, ledger.path)))
    source, source_blob = pack(edited.text)
    inputs, inputs_blob = pack(recorded_inputs(edited.definition))
    last_signal = None
    if state.status in JOB_ENDED:
        # Signals from before the end of the job need no action any more.
        last_signal = max((found.id for found in ledger.read_signals(job_id)), default=None)
    event = JobAmended(
        spec=spec,
        source=source,
        source_name=edited.source_name,
        spec_dir=_place(edited.spec_dir, ledger),
        inputs=inputs,
        reset=plan.reset,
        removed=plan.removed,
        fresh=fresh or None,
        rescored=plan.rescored or None,
        kept_items=plan.kept_items or None,
        signal_id=last_signal,
    )
    at = Clock().recorded_at()
    # Of the spec only: those of `orc run --tag` are not in it.
    old, new = (tags_in(text) for text in (read_source(ledger, state), edited.text))
    added, dropped = (
        tuple(tag for tag in some if tag not in others) for some, others in ((new, old), (old, new))
    )
    events = [*decide(state, AmendJob(event)), *decide(state, TagJob(added, dropped))]
    batch = [
        Recorded(job_id, version, at, mask_event(ledger.mask, found))
        for version, found in enumerate(events, start=state.version + 1)
    ]
    found = (spec_blob, source_blob, inputs_blob)
    blobs = chain(edited.blobs, (blob for blob in found if blob is not None))
    ledger.append(batch, blobs=blobs, stored=edited.store(ledger.files))
    return load_state(ledger, job_id)


def _place(folder: Path, ledger: Ledger) -> str:
    return clean_text(recorded_place(folder, ledger.path))
