"""Folds `job.amended` and `step.reused`.

`job.amended` replaces the job's definition. Steps that the event does not name keep their state.
`step.reused` ends a step with a result from the ledger.
"""

from __future__ import annotations

from msgspec.structs import replace

from orc.ledger.definition import load_job
from orc.ledger.events import JobAmended, StepReused
from orc.scheduler.core.file_names import FileNames
from orc.scheduler.core.fold.calls import forget_calls
from orc.scheduler.core.fold.cancelling import signals_answered
from orc.scheduler.core.fold.graph import Graph, build_graph
from orc.scheduler.core.fold.reopen import limit_to, reopen, seconds_between
from orc.scheduler.core.fold.scores import rescore
from orc.scheduler.core.fold.state import JobState, StepState
from orc.scheduler.core.fold.work import leave_queue


def step_reused(state: JobState, event: StepReused) -> StepState:
    """Fold the result of the event; the step, whose end the caller folds."""
    leave_queue(state, event.step)
    step = state.steps[event.step]
    step.output = event.output
    step.failure = step.skipped = None
    forget_calls(step)
    for file in event.files:
        state.file_names.add(file.path)
    for folder in event.folders or ():
        state.file_names.add_folder(folder)
    return step


def job_amended(state: JobState, event: JobAmended, recorded_at: str, before_at: str) -> None:
    """Fold the event, whose spec must be inline; `before_at` is the time of the event before it.

    Afterwards the job is stopped and can be resumed, or it still has not started.
    """
    assert event.spec.sha256 is None, (
        "the reader of the event replaces a spec in a blob by its value"
    )
    # If the job had not ended, its owner died before the amendment.
    state.owned_s += seconds_between(state.owned_since, before_at)
    state.owned_since = None
    if state.status != "submitted":
        state.status = "stopped"
    state.stopped_by = state.job_failure = None
    state.had_ended = True
    signals_answered(state, event.signal_id)
    if event.replies is not None:
        state.replies = event.replies
    definition = load_job(event.spec.value)
    if definition.timeout_s != state.definition.timeout_s:
        state.timeout_s = definition.timeout_s
    state.definition = definition
    graph, state.graph = state.graph, build_graph(definition.steps)
    assert state.submitted is not None
    same_fields = ("spec", "source", "source_name", "spec_dir", "inputs")
    state.submitted = replace(
        state.submitted, **{name: getattr(event, name) for name in same_fields}
    )
    _replace_steps(state, event, graph)
    _rebuild_file_names(state)
    rescore(state, event)
    limit_to(state, None)
    reopen(state, recorded_at)


def _replace_steps(state: JobState, event: JobAmended, graph: Graph) -> None:
    """Replace the steps; `graph` is the former graph. A step that is kept keeps its children."""
    reset = set(event.reset)
    fresh, kept_items = set(event.fresh or ()), set(event.kept_items or ())
    before = state.retired | state.steps
    state.steps = {}
    for index, step_id in enumerate(state.graph.steps):
        old = before.pop(step_id, None)
        if old is not None and step_id not in reset and step_id not in state.retired:
            old.index = index
            state.steps[step_id] = old
            continue
        step = StepState(index=index, needs_left=0, fresh=step_id in fresh)
        step.keeps_items = step_id in kept_items
        # Otherwise what the steps before made may be different, and the items may read it.
        step.keeps_values = step.keeps_items and reset.isdisjoint(state.graph.needs[step_id])
        if old is not None:
            # Numbering continues, because numbers identify attempts and calls.
            step.attempts, step.calls_ended = old.attempts, old.calls_ended
            # An amendment does not resolve a doubt.
            step.in_doubt, step.calls_in_doubt = old.in_doubt, old.calls_in_doubt
        state.steps[step_id] = step
    for step_id, old in list(before.items()):
        if old.parent in state.steps and step_id in graph.steps and old.parent not in reset:
            state.steps[step_id] = before.pop(step_id)
            old.index = len(state.steps) - 1
            needs, dependents = graph.needs[step_id], graph.dependents[step_id]
            body = state.graph.body(old.parent).steps
            # The work is the same; how it is run, or scored, may have changed.
            own = body[old.number if state.graph.steps[old.parent].has_members else 0]
            state.graph.add(step_id, own, needs=needs, dependents=dependents)
            settings = graph.settings_of(step_id)
            if settings is not None:
                state.graph.configure(step_id, settings)
    state.retired = before


def _rebuild_file_names(state: JobState) -> None:
    """Rebuild the set of paths; the paths of removed files are free again."""
    state.file_names = FileNames()
    for file in state.files():
        state.file_names.add(file.path)
    for folder in state.owned.folders:
        state.file_names.add_folder(folder)
