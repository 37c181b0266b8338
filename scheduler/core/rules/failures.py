"""The rules for failures: retry, switch to another target, fail, and skip dependents."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Literal

from orc.ledger.definition import StepDef
from orc.ledger.events import AnyEvent, StepFailed, StepSkipped, StepSwitched
from orc.ledger.kinds import NEVER_RETRIED, TRANSIENT, StepStatus
from orc.scheduler.core.commands import Failed, FinishAttempt
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.limits import waits_for_server
from orc.scheduler.core.fold.placing import placement_fields

_SWITCHED_ON = (*TRANSIENT, "auth", "bad_request", "refused", "context_length", "schema")

_CUT_MIDWAY = ("timeout", "signal", "output_too_large")


def retries(state: JobState, step_id: str, failed: Failed) -> bool:
    """Whether the step is retried after this failure."""
    definition = state.graph.steps[step_id]
    if failed.final or state.steps[step_id].failures + 1 >= definition.retry.max_attempts:
        return False
    is_default = definition.retry_on == definition.facts.retry_on
    if is_default and not waits_for_server(state, step_id, failed.absent):
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
    return [event, *skip_dependents(state, step_id, "succeeded" if tolerated else "failed")]


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
        **placement_fields(state, step_id, waited_s=failed.queued_s),
    )


def skip_dependents(
    state: JobState, step_id: str, status: Literal["succeeded", "failed", "skipped"]
) -> list[AnyEvent]:
    """Skip the steps that cannot start any more now that the step ends, in breadth-first order.

    `status` is that of its end; a tolerated failure counts as `succeeded`. A step is skipped when
    all of its needs have ended and one whose success it needs did not succeed. So the outcome is
    the same for every order in which the needs end.
    """
    if not state.graph.dependents[step_id]:
        return []
    ends: dict[str, StepStatus] = {step_id: status}
    open_needs: dict[str, int] = {}
    skipped: list[AnyEvent] = []
    queue = deque([step_id])
    while queue:
        for name in state.graph.dependents[queue.popleft()]:
            step = state.steps[name]
            if step.status != "pending" or state.graph.steps[name].runs_after == "any":
                continue
            open_needs[name] = open_needs.get(name, step.needs_left - step.needs_shut) - 1
            if open_needs[name] == 0 and (event := _dependency_skip(state, name, ends)):
                ends[name] = "skipped"
                skipped.append(event)
                queue.append(name)
    return skipped


def skip(state: JobState, step_id: str) -> list[AnyEvent]:
    """Skip the step and its dependents: its condition is false, or a need did not succeed."""
    step = state.steps[step_id]
    if step.status != "pending":
        # The skip of another step in the same turn has skipped it already.
        return []
    event = _dependency_skip(state, step_id, {}) if step.needs_shut else None
    if event is None:
        condition = state.graph.steps[step_id].condition
        event = StepSkipped(step=step_id, reason="condition", because=(), condition=condition)
    return [event, *skip_dependents(state, step_id, "skipped")]


def _dependency_skip(
    state: JobState, step_id: str, ends: Mapping[str, StepStatus]
) -> StepSkipped | None:
    """The skip of a step whose needs have ended, because of its first failed need, or else its
    first skipped one; None if all ended well. `ends` are ends that are not folded yet."""
    because: dict[StepStatus, str] = {}
    for name in state.graph.needs[step_id]:
        because.setdefault(ends.get(name) or _ended_as(state, name), name)
    if (failed := because.get("failed")) is not None:
        return StepSkipped(step=step_id, reason="dependency_failed", because=(failed,))
    if (skipped := because.get("skipped")) is not None:
        return StepSkipped(step=step_id, reason="dependency_skipped", because=(skipped,))
    return None


def _ended_as(state: JobState, step_id: str) -> StepStatus:
    """The status of a need as its dependents see it."""
    step = state.steps[step_id]
    return "succeeded" if step.is_done else step.status
