"""Folds `job.resumed`: steps that have not succeeded are reopened, and limits are reset."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from msgspec.structs import replace

from orc.ledger.events import JobAmended, JobResumed
from orc.ledger.file_owners import dropped_by
from orc.ledger.kinds import JOB_ENDED, NOT_DONE
from orc.ledger.step_names import lineage
from orc.scheduler.core.fold.cancelling import signals_answered
from orc.scheduler.core.fold.containers import reopen_inside
from orc.scheduler.core.fold.graph import reachable
from orc.scheduler.core.fold.limits import set_route
from orc.scheduler.core.fold.scores import score_again
from orc.scheduler.core.fold.state import Inside, JobState, StepState
from orc.scheduler.core.fold.work import (
    add_deadline,
    add_evaluation,
    add_expiry,
    add_queue_end,
    became_ready,
    clear_work,
    enter_running,
    let_start,
    takes_slot,
    wait_for_retry,
)


def job_resumed(state: JobState, event: JobResumed, recorded_at: str, before_at: str) -> None:
    """Fold the event; `before_at` is the time of the event before it."""
    if state.owned_since is not None:
        # The last owner died without a closing event; its time ends at its last event.
        state.owned_s += seconds_between(state.owned_since, before_at)
    state.had_ended = has_ended(state)
    state.status = "running"
    state.stopped_by = None
    state.is_cancelling = False
    state.job_failure = None
    state.answered.clear()
    state.owned_since = recorded_at
    if event.timeout_s is not None:
        state.timeout_s = event.timeout_s
    if event.replies is not None:
        state.replies = event.replies
    state.provider_override = event.provider
    signals_answered(state, event.signal_id)
    limit_to(state, event.only)
    reopen(state, recorded_at)


def limit_to(state: JobState, names: tuple[str, ...] | None) -> None:
    """Run only these steps and their needs from now on; None means all steps."""
    state.only = None if names is None else frozenset(reachable(state.graph.needs, names))
    done = find_done(state, had_ended=state.had_ended) if state.only else set()
    state.only_left = sum(1 for name in state.only or () if name not in done)
    if state.only is None:
        return
    state.work_items = [item for item in state.work_items if state.wants(item.step)]
    for step_id, step in state.steps.items():
        if not state.wants(step_id):
            step.ticket = 0


def reopen(state: JobState, recorded_at: str) -> None:
    """Reopen the steps that are not done, and rebuild the indexes. Steps in flight stay `running`."""
    now = seconds_of(recorded_at)
    clear_work(state)
    # A resume closes all circuits, so that models are called at once.
    state.circuits.clear()
    state.adaptive.clear()
    state.failed.clear()
    state.unfinished = 0
    done = find_done(state, had_ended=state.had_ended)
    left: dict[str, StepState] = {}
    for step_id, step in state.steps.items():
        if step_id not in done:
            left[step_id] = step
        elif step.failure is not None and step.parent is None and _has_failed(step):
            state.failed[step_id] = step.failure
    holders = []
    reopened: set[str] = set()
    for step_id, step in left.items():
        if step.status in NOT_DONE:
            reopened.add(step_id)
        _reopen_step(state, step_id, done, now)
        if step.inside is not None:
            holders.append(step_id)
    # Innermost containers first, because the outer ones count the open inner ones.
    for step_id in reversed(holders):
        reopen_inside(state, step_id, reopened)
    held = {name for step_id in holders for name in _inside(state, step_id).held}
    for step_id, step in left.items():
        if step.parent in held:
            # A container stands before its children in `steps`.
            held.add(step_id)
        if step_id in held:
            continue
        if step.is_shut:
            # Happens only if the stream ends between the failure and the skip; evaluation skips it.
            add_evaluation(state, step_id)
        else:
            _requeue(state, step_id, now)
    score_again(state)


def _inside(state: JobState, step_id: str) -> Inside:
    inside = state.steps[step_id].inside
    assert inside is not None
    return inside


def find_kept(state: JobState) -> tuple[str, ...]:
    """The skipped and failed steps that a resume does not reopen."""
    done = find_done(state, had_ended=has_ended(state))
    return tuple(
        step_id
        for step_id, step in state.steps.items()
        if step.status != "succeeded"
        and (step.status == "skipped" or _has_failed(step))
        and step_id in done
    )


def with_kept(state: JobState, event: JobAmended) -> JobAmended:
    """The event, with the skipped and failed steps that it does not reopen."""
    named = dropped_by(event)
    kept = tuple(name for name in find_kept(state) if named.isdisjoint(lineage(name)))
    return replace(event, kept=kept or None)


def _has_failed(step: StepState) -> bool:
    return step.status == "failed" and not step.tolerated


def has_ended(state: JobState) -> bool:
    """Whether the job has ended, in whatever status."""
    return state.status in JOB_ENDED


def find_done(state: JobState, *, had_ended: bool) -> set[str]:
    """The steps that a resume does not reopen.

    These are succeeded steps with all their children, steps that were skipped because of them,
    and steps that a person rejected, unless the job has ended (`had_ended`).
    """
    done: set[str] = set()
    has_skipped = False
    for step_id, step in state.steps.items():
        if step.status == "succeeded":
            done.add(step_id)
        elif step.status == "failed":
            is_rejected = step.failure is not None and step.failure.kind == "rejected"
            if step.tolerated or (is_rejected and not had_ended):
                done.add(step_id)
        elif step.status == "skipped":
            has_skipped = True
    # Whether a step stays skipped depends on the steps before it.
    for level in state.graph.levels() if has_skipped else ():
        for step_id in level:
            step = state.steps[step_id]
            if step.status == "skipped" and step.skipped != "job_timeout":
                needs = state.graph.needs[step_id]
                if all(name in done for name in needs) or _is_blocked(state, step_id, done):
                    done.add(step_id)
    for step_id, step in state.steps.items():
        # A container stands before its children in `steps`.
        if step.parent is not None and step.parent in done:
            done.add(step_id)
    return done


def _is_blocked(state: JobState, step_id: str, done: Container[str]) -> bool:
    """Whether the step needs the success of a step that stays skipped or failed."""
    return _count_shut(state, step_id, done) > 0


def _count_shut(state: JobState, step_id: str, done: Container[str]) -> int:
    """How many needs of the step stay skipped or failed, so that it cannot start."""
    if state.graph.steps[step_id].runs_after == "any":
        return 0
    needs = (state.steps[name] for name in state.graph.needs[step_id] if name in done)
    return sum(1 for need in needs if need.status == "skipped" or _has_failed(need))


def _reopen_step(state: JobState, step_id: str, done: set[str], now: float) -> None:
    step = state.steps[step_id]
    if step.fallback and not step.replies:
        # The step has no replies to continue from, so it begins again with its first target.
        step.fallback = step.failures = 0
    set_route(state, step_id)
    state.unfinished += 1
    step.needs_shut = _count_shut(state, step_id, done)
    step.needs_left = step.needs_shut + sum(
        1 for name in state.graph.needs[step_id] if name not in done
    )
    # A running container continues even if a failed step upstream of it runs again: it began
    # after that failure, and so do its dependents.
    began_after_failure = step.status == "running" and step.inside is not None
    step.upstream_failed = (began_after_failure and step.upstream_failed) or _has_failure_upstream(
        state, step_id, done
    )
    if step.status in NOT_DONE:
        step.status = "pending"
        step.failures = step.losses = 0
        step.failure = step.skipped = step.output = None
        if step.inside is not None:
            step.status = "running"
    elif step.status == "running" and step.inside is None and not takes_slot(state, step_id):
        # The stream ends right after the step's start: no question or child exists yet.
        step.status = "pending"
    _clamp_deadline(state, step_id, now)


def _has_failure_upstream(state: JobState, step_id: str, done: set[str]) -> bool:
    """Whether a failed step upstream is kept, or a failure upstream of the container is."""
    before = [state.steps[name] for name in state.graph.needs[step_id] if name in done]
    parent = state.steps[step_id].parent
    if parent is not None and state.steps[parent].upstream_failed:
        return True
    return any(need.upstream_failed or _has_failed(need) for need in before)


def _requeue(state: JobState, step_id: str, now: float) -> None:
    step = state.steps[step_id]
    if step.inside is not None:
        return
    # After an amendment, settings with templates are rendered again.
    lacks_settings = state.graph.lacks_settings(step_id)
    if step.status == "running" and takes_slot(state, step_id):
        enter_running(state, step_id)
        _clamp_queue_end(state, step_id, now)
    elif step.waits_for == "retry" and not step.needs_left and not lacks_settings:
        _clamp_retry(state, step_id, now)
    elif step.waits_for in ("retry", "budget"):
        step.status, step.waits_for, step.retry_at = "pending", None, None
        if lacks_settings:
            became_ready(state, step_id)
        else:
            let_start(state, step_id)
    elif step.status == "waiting":
        _reopen_question(state, step_id, now)
    elif step.needs_left == 0:
        became_ready(state, step_id)


def _reopen_question(state: JobState, step_id: str, now: float) -> None:
    """Keep the open question, and its expiry by the wall clock, at most its timeout from now."""
    step = state.steps[step_id]
    question = step.question
    if question is not None and question.expires_at is not None and question.timeout_s is not None:
        # The clock may have been fast when the question was asked.
        expires_at = min(question.expires_at, now + question.timeout_s)
        step.question = replace(question, expires_at=expires_at)
    state.questions.add(step_id)
    add_expiry(state, step_id)


def _clamp_retry(state: JobState, step_id: str, now: float) -> None:
    """Limit the recorded retry time to its delay from now, because the wall clock may jump."""
    step = state.steps[step_id]
    delay_s = step.delay_s or 0.0
    retry_at = step.retry_at if step.retry_at is not None else now
    wait_for_retry(state, step_id, min(retry_at, now + delay_s), delay_s)


def _clamp_deadline(state: JobState, step_id: str, now: float) -> None:
    step = state.steps[step_id]
    total_s = state.graph.steps[step_id].total_timeout_s
    if step.deadline_at is None or total_s is None:
        return
    step.deadline_at = min(step.deadline_at, now + total_s)
    if step.status == "pending":
        add_deadline(state, step_id)


def _clamp_queue_end(state: JobState, step_id: str, now: float) -> None:
    """Limit the recorded end of the wait for a worker, because the wall clock may jump."""
    step = state.steps[step_id]
    timeout_s = state.graph.steps[step_id].queue_timeout_s
    if step.queue_ends_at is None or timeout_s is None:
        return
    step.queue_ends_at = min(step.queue_ends_at, now + timeout_s)
    add_queue_end(state, step_id)


def seconds_between(start: str | None, end: str) -> float:
    """Seconds between two recorded times; 0 if `start` is None or after `end`."""
    return 0.0 if start is None else max(0.0, seconds_of(end) - seconds_of(start))


def seconds_of(recorded_at: str) -> float:
    """A recorded time in seconds since 1970."""
    return datetime.fromisoformat(recorded_at).timestamp()
