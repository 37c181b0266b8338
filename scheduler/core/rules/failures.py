"""The rules for failures: retry, switch to another target, fail, and skip dependents."""

from __future__ import annotations

from collections import deque

from orc.ledger.definition import StepDef
from orc.ledger.events import AnyEvent, SkipReason, StepFailed, StepSkipped, StepSwitched
from orc.ledger.kinds import NEVER_RETRIED, TRANSIENT
from orc.scheduler.core.commands import Failed, FinishAttempt
from orc.scheduler.core.fold.evolve import JobState

_SWITCHED_ON = (*TRANSIENT, "auth", "bad_request", "refused", "context_length", "schema")

_CUT_MIDWAY = ("timeout", "signal", "output_too_large")


def retries(state: JobState, step_id: str, failed: Failed) -> bool:
    """Whether the step is retried after this failure."""
    definition = state.graph.steps[step_id]
    if failed.final or state.steps[step_id].failures + 1 >= definition.retry.max_attempts:
        return False
    if definition.retry_on:
        return failed.kind in definition.retry_on
    if is_work_cut(definition, failed):
        return False
    return failed.kind not in NEVER_RETRIED


def is_work_cut(definition: StepDef, failed: Failed) -> bool:
    """Whether the failure ended work midway that must not run again without a decision."""
    may_repeat = definition.on_unknown == "retry" or not definition.facts.is_one_action
    return not may_repeat and failed.kind in _CUT_MIDWAY


def switch(state: JobState, step_id: str, places: int, message: str) -> StepSwitched:
    """Switch the step to the target `places` further in its list."""
    step = state.steps[step_id]
    route = state.route_of(step_id)
    return StepSwitched(
        step=step_id,
        attempt=step.attempts,
        fallback=step.fallback + places,
        from_target=route[0].name,
        to_target=route[places].name,
        provider=route[places].provider,
        model=route[places].model,
        message=message,
    )


def finish_failed(state: JobState, command: FinishAttempt, failed: Failed) -> list[AnyEvent]:
    step_id = command.step
    is_retried = retries(state, step_id, failed)
    wait_s = command.wait_s if is_retried else 0.0
    is_switched = not is_retried and _has_fallback(state, step_id, failed)
    retry_at = command.now + wait_s
    deadline_at = state.steps[step_id].deadline_at
    in_time = deadline_at is None or retry_at < deadline_at
    if not in_time or not (is_retried or is_switched):
        return fail_finally(state, step_id, failed)
    event = failed_event(state, step_id, failed, wait_s=wait_s, retry_at=retry_at)
    if not is_switched:
        return [event]
    return [event, switch(state, step_id, 1, f"{failed.kind}: {failed.message}")]


def _has_fallback(state: JobState, step_id: str, failed: Failed) -> bool:
    if failed.final or failed.kind not in _SWITCHED_ON:
        return False
    return len(state.route_of(step_id)) > 1


def fail_finally(state: JobState, step_id: str, failed: Failed) -> list[AnyEvent]:
    tolerated = failed.tolerable and state.graph.steps[step_id].continue_on_error
    event = failed_event(state, step_id, failed, tolerated=tolerated)
    if tolerated:
        return [event]
    return [event, *skip_downstream(state, step_id)]


def failed_event(
    state: JobState,
    step_id: str,
    failed: Failed,
    *,
    wait_s: float | None = None,
    retry_at: float | None = None,
    tolerated: bool = False,
) -> StepFailed:
    return StepFailed(
        step=step_id,
        attempt=state.steps[step_id].attempts,
        kind=failed.kind,
        message=failed.message,
        duration_s=failed.duration_s,
        delay_s=wait_s,
        retry_at=retry_at,
        tolerated=tolerated or None,
        on_content=failed.on_content or None,
        exit_code=failed.exit_code,
        signal=failed.signal,
        log=failed.log,
        artifacts=failed.artifacts,
    )


def skip_downstream(
    state: JobState, step_id: str, first: SkipReason = "dependency_failed"
) -> list[AnyEvent]:
    """Skip all pending steps downstream that need the step's success, in breadth-first order."""
    skipped: dict[str, StepSkipped] = {}
    queue = deque([step_id])
    while queue:
        name = queue.popleft()
        for dependent in state.graph.dependents[name]:
            if dependent in skipped or state.steps[dependent].status != "pending":
                continue
            if state.graph.steps[dependent].runs_after == "any":
                continue
            reason: SkipReason = first if name == step_id else "dependency_skipped"
            skipped[dependent] = StepSkipped(step=dependent, reason=reason, because=(name,))
            queue.append(dependent)
    return list(skipped.values())


def skip(state: JobState, step_id: str) -> list[AnyEvent]:
    """Skip the step and its dependents: its condition is false, or a need did not succeed."""
    if state.steps[step_id].status != "pending":
        # The skip of another step in the same turn has skipped it already.
        return []
    shut = find_blocker(state, step_id)
    if shut is None:
        condition = state.graph.steps[step_id].condition
        event = StepSkipped(step=step_id, reason="condition", because=(), condition=condition)
    else:
        has_failed = state.steps[shut].status == "failed"
        reason: SkipReason = "dependency_failed" if has_failed else "dependency_skipped"
        event = StepSkipped(step=step_id, reason=reason, because=(shut,))
    return [event, *skip_downstream(state, step_id, "dependency_skipped")]


def find_blocker(state: JobState, step_id: str) -> str | None:
    """A need of the step that was skipped or failed, if the step requires success; else None.

    Usually the step is skipped in the turn in which its need ends, but a stream may end between
    these events.
    """
    if state.graph.steps[step_id].runs_after == "any":
        return None
    for name in state.graph.needs[step_id]:
        need = state.steps[name]
        if need.status == "skipped" or (need.status == "failed" and not need.tolerated):
            return name
    return None
