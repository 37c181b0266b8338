"""Attempts that run on workers of an executor: which may start where, and which are open.

An attempt is queued from its start until a worker takes it, and then placed there. Only the fold of
`step.placed` decides where it may start: an engine may start the same work twice, or forget it.
"""

from __future__ import annotations

from typing import Any

from orc.ledger.events import StepPlaced, StepUnplaced
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.fold.work import add_queue_end, runs_elsewhere
from orc.scheduler.core.placing_commands import WorkerPlace

LOST_MAX = 3
"""How many attempts of a step may be lost with their workers. A step that kills its workers must
not kill all of them."""


def is_open(state: JobState, step_id: str, attempt: int) -> bool:
    """Whether this attempt of the step is running, here or elsewhere."""
    step = state.steps.get(step_id)
    return step is not None and step.status == "running" and step.attempts == attempt


def may_place(state: JobState, step_id: str, attempt: int, placement: WorkerPlace) -> bool:
    """Whether the attempt may start at this place.

    True if it is queued, and if it has exactly this placement already. Another copy of the same run
    on another worker may not start, nor may anything of a job that is not running.
    """
    if state.status != "running" or not is_open(state, step_id, attempt):
        return False
    if not runs_elsewhere(state, step_id):
        return False
    return state.steps[step_id].placement in (None, placement)


def is_placed(state: JobState, step_id: str, attempt: int, run: str) -> bool:
    """Whether the open attempt is placed with this run."""
    if not is_open(state, step_id, attempt):
        return False
    placement = state.steps[step_id].placement
    return placement is not None and placement.run == run


def open_remote(state: JobState) -> list[tuple[str, int, WorkerPlace | None]]:
    """The open attempts that are not on this machine, with their placements; None if queued.

    They survive the owner of the job. A new owner looks for them; a cancel without an owner, or an
    amendment, must end the placed ones first.
    """
    return [
        (step_id, step.attempts, step.placement)
        for step_id, step in state.steps.items()
        if step.status == "running" and runs_elsewhere(state, step_id)
    ]


def queue(state: JobState, step_id: str, now: float) -> None:
    """Fold that the attempt waits for a worker from now on (seconds since 1970)."""
    step = state.steps[step_id]
    step.placement = None
    step.queued_at = now
    timeout_s = state.graph.steps[step_id].queue_timeout_s
    step.queue_ends_at = None if timeout_s is None else now + timeout_s
    add_queue_end(state, step_id)


def step_placed(state: JobState, event: StepPlaced, now: float) -> None:
    """Fold the event, recorded at `now` (seconds since 1970)."""
    step = state.steps[event.step]
    step.placement = WorkerPlace(event.run, event.executor, event.engine, event.worker, event.host)
    step.queued_s += max(0.0, now - (now if step.queued_at is None else step.queued_at))
    step.queued_at = step.queue_ends_at = None


def step_unplaced(state: JobState, event: StepUnplaced, now: float) -> None:
    """Fold the event, recorded at `now` (seconds since 1970): the attempt is queued again."""
    queue(state, event.step, now)


def placement_fields(
    state: JobState, step_id: str, *, waited_s: float | None = None
) -> dict[str, Any]:
    """The fields of an attempt's end that say where it ran; `waited_s` is what the executor says.

    Without it, the wait is that between the recorded times, or None if no worker took the attempt.
    """
    step = state.steps[step_id]
    if step.status != "running" or not runs_elsewhere(state, step_id):
        return {}
    if waited_s is None and step.placement is not None:
        waited_s = round(step.queued_s, 3)
    name = state.graph.steps[step_id].executor
    if step.placement is not None:
        # The owner may have named another one in its place.
        name = step.placement.executor
    return {"executor": name, "queued_s": waited_s}
