"""The rules for attempts on workers: where they may start, and what follows when they are lost.

A command that comes too late gives no events: the worker that asked is refused.
"""

from __future__ import annotations

from orc.ledger.events import AnyEvent, StepInterrupted, StepPlaced, StepReattached, StepUnplaced
from orc.ledger.wording import count_text, duration_text
from orc.scheduler.core.commands import Failed, FinishAttempt, Interrupted
from orc.scheduler.core.fold.placing import LOST_MAX, is_open, is_placed, may_place
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.fold.work import runs_elsewhere
from orc.scheduler.core.placing_commands import (
    EndPlaced,
    ExpireQueued,
    PlaceAttempt,
    ReattachAttempt,
    UnplaceAttempt,
)
from orc.scheduler.core.rules.failures import fail_finally


def place(state: JobState, command: PlaceAttempt) -> list[AnyEvent]:
    """The placement of a queued attempt; nothing if it has one, this one or another."""
    placement = command.placement
    if not may_place(state, command.step, command.attempt, placement):
        return []
    if state.steps[command.step].placement is not None:
        return []
    return [
        StepPlaced(
            step=command.step,
            attempt=command.attempt,
            run=placement.run,
            executor=placement.executor,
            engine=placement.engine,
            worker=placement.worker,
            host=placement.host,
        )
    ]


def unplace(state: JobState, command: UnplaceAttempt) -> list[AnyEvent]:
    if not is_placed(state, command.step, command.attempt, command.run):
        return []
    return [
        StepUnplaced(
            step=command.step, attempt=command.attempt, run=command.run, reason=command.reason
        )
    ]


def reattach(state: JobState, command: ReattachAttempt) -> list[AnyEvent]:
    if not is_placed(state, command.step, command.attempt, command.run):
        return []
    return [StepReattached(step=command.step, attempt=command.attempt, run=command.run)]


def end_placed(state: JobState, command: EndPlaced) -> list[AnyEvent]:
    """The interruption of a placed attempt whose owner has died, and whose command was ended."""
    if not is_open(state, command.step, command.attempt):
        return []
    return [StepInterrupted(step=command.step, attempt=command.attempt, reason="crash")]


def expire_queued(state: JobState, command: ExpireQueued) -> list[AnyEvent]:
    """The failure of an attempt that is still queued. Another attempt would wait as long."""
    step = state.steps[command.step]
    if not is_open(state, command.step, command.attempt) or step.placement is not None:
        return []
    definition = state.graph.steps[command.step]
    waited_s = definition.queue_timeout_s or 0.0
    message = (
        f"no worker took it within {duration_text(waited_s)}, its queue_timeout on "
        f"{definition.executor!r}{queued_because(command.missing)}"
    )
    return fail_finally(state, command.step, Failed("timeout", message, 0.0, final=True))


def queued_because(missing: str) -> str:
    """What is said after the failure of an attempt that was queued; empty if nothing is known."""
    if not missing:
        return ""
    return f": {missing} (`orc executors` shows what workers have)"


def lost_too_often(state: JobState, command: FinishAttempt, outcome: Interrupted) -> Failed | None:
    """The failure of a step that has lost its last worker or batch; None if it may run again."""
    is_loss = outcome.reason in ("worker", "batch")
    if not is_loss or state.steps[command.step].losses + 1 < LOST_MAX:
        return None
    if outcome.reason == "batch":
        return Failed(
            kind="connection",
            message=f"{count_text(LOST_MAX, 'batch')} with its call were submitted and then not found "
            f"at the server{outcome.why and f': {outcome.why}'}",
            duration_s=outcome.duration_s,
            final=True,
        )
    lost = count_text(LOST_MAX, "worker")
    return Failed(
        kind="environment",
        message=f"{lost} of {state.graph.steps[command.step].executor!r} were lost while they ran "
        "it; it may need more memory or time than they have",
        duration_s=outcome.duration_s,
        final=True,
        log=outcome.log,
    )


def is_late(state: JobState, command: FinishAttempt) -> bool:
    """Whether the attempt, which ran elsewhere, has ended already: its outcome does not count."""
    return runs_elsewhere(state, command.step) and not is_open(state, command.step, command.attempt)
