"""The folds of results that are used again, and of a job that is changed on its way.

`job.amended` puts another definition in place of the old one: what it does not
name keeps what it has. `step.reused` ends a step with a result from elsewhere.
"""

from __future__ import annotations

from orc.ledger.definition import load_job
from orc.ledger.events import JobAmended, StepReused
from orc.scheduler.core.file_names import FileNames
from orc.scheduler.core.fold.cancelling import signals_answered
from orc.scheduler.core.fold.graph import Graph, build_graph
from orc.scheduler.core.fold.reopen import limit_to, reopen, seconds_between
from orc.scheduler.core.fold.state import JobState, StepState
from orc.scheduler.core.fold.work import leave_queue


def step_reused(state: JobState, event: StepReused) -> None:
    """Give the step its result; that it has ended is the caller's to fold."""
    leave_queue(state, event.step)
    step = state.steps[event.step]
    step.output = event.output
    step.failure = step.skipped = None
    step.replies.clear()
    step.results.clear()
    for file in event.files:
        state.file_names.add(file.path)


def job_amended(state: JobState, event: JobAmended, recorded_at: str, before_at: str) -> None:
    """Fold the event, whose spec must be inline; `before_at` is the time of the one before it.

    The job is then one that has stopped, and can be resumed; or one that has not started yet.
    """
    assert event.spec.sha256 is None, "whoever reads the event reads its spec as well"
    # A job that has not ended, and is amended, has no owner any more.
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
    state.submitted = state.submitted.model_copy(
        update={name: getattr(event, name) for name in same_fields}
    )
    _replace_steps(state, event, graph)
    _rebuild_file_names(state)
    limit_to(state, None)
    reopen(state, recorded_at)


def _replace_steps(state: JobState, event: JobAmended, graph: Graph) -> None:
    """`graph` is the one before: what is inside a step that keeps its result is kept with it."""
    reset = set(event.reset)
    fresh = set(event.fresh or ())
    before = state.retired | state.steps
    state.steps = {}
    for index, step_id in enumerate(state.graph.steps):
        old = before.pop(step_id, None)
        if old is not None and step_id not in reset and step_id not in state.retired:
            old.index = index
            state.steps[step_id] = old
            continue
        step = StepState(index=index, needs_left=0, fresh=step_id in fresh)
        if old is not None:
            # Numbers go on: an attempt and a call are named by theirs.
            step.attempts, step.calls_ended = old.attempts, old.calls_ended
            # What may have been done may have been done, whatever is wanted now.
            step.in_doubt, step.calls_in_doubt = old.in_doubt, old.calls_in_doubt
        state.steps[step_id] = step
    for step_id, old in list(before.items()):
        if old.parent in state.steps and step_id in graph.steps and old.parent not in reset:
            state.steps[step_id] = before.pop(step_id)
            old.index = len(state.steps) - 1
            needs, dependents = graph.needs[step_id], graph.dependents[step_id]
            state.graph.add(step_id, graph.steps[step_id], needs=needs, dependents=dependents)
    state.retired = before


def _rebuild_file_names(state: JobState) -> None:
    """The paths of files that the amendment took are free again."""
    state.file_names = FileNames()
    for file in state.files():
        state.file_names.add(file.path)
