"""The rules for container steps, for approvals, and for pausing a job."""

from __future__ import annotations

from typing import Any

from orc.ledger.definition import ForEachDef, StepDef
from orc.ledger.events import (
    AnyEvent,
    ApprovalDecided,
    ApprovalRequested,
    ChildShape,
    JobWaiting,
    StepExpanded,
    StepStarted,
    StepSucceeded,
)
from orc.ledger.kinds import NOT_RUNNING, PersonNeeded
from orc.scheduler.core.commands import AskPerson, DecideApproval, ExpandStep, Failed, TakeOver
from orc.scheduler.core.fold.containers import CHILDREN_MAX
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.questions import REJECT, answer_of
from orc.scheduler.core.rules.failures import fail_finally, skip_dependents

NAMED_MAX = 1000


def expand(state: JobState, command: ExpandStep) -> list[AnyEvent]:
    """The start of the container, if it has not begun, and its children, at most 1,000 per event."""
    step = state.steps[command.step]
    definition = state.graph.steps[command.step]
    shape = definition.shape
    assert shape is not None
    events: list[AnyEvent] = []
    attempt, first = step.attempts, 0
    if step.status == "pending":
        assert step.needs_left == 0
        attempt += 1
        events.append(
            StepStarted(
                step=command.step,
                attempt=attempt,
                kind=shape,
                needs=state.graph.needs[command.step],
            )
        )
    if step.inside is not None:
        first = len(step.inside.children)
    if definition.is_loop:
        # Rounds count from 1.
        first += 1
    members = state.graph.body(command.step).steps
    shapes = tuple(_shape_of(command.step, member) for member in members)
    total = len(command.children) + (first - 1 if definition.is_loop else first)
    for number, start in enumerate(range(0, max(1, len(command.children)), CHILDREN_MAX)):
        part = command.children[start : start + CHILDREN_MAX]
        events.append(
            StepExpanded(
                step=command.step,
                attempt=attempt,
                children=part,
                first=first + start,
                total=total,
                values=command.values[number] if number < len(command.values) else None,
                keys=command.keys[start : start + CHILDREN_MAX] or None,
                shapes=shapes[start : start + CHILDREN_MAX] if definition.has_members else shapes,
                **_of_items(definition.for_each),
            )
        )
    return events


def take_over(state: JobState, command: TakeOver) -> list[AnyEvent]:
    """The expansion or the end, unless the step was skipped because of another one."""
    is_open = state.steps[command.event.step].status in NOT_RUNNING
    return [command.event] if is_open else []


def _of_items(items: ForEachDef | None) -> dict[str, Any]:
    if items is None:
        return {}
    return {
        "variable": None if items.name == "item" else items.name,
        "repeat": items.repeat,
        "with_matrix": (items.matrix is not None and items.items is not None) or None,
    }


def _shape_of(parent: str, member: StepDef) -> ChildShape:
    calls_model = member.facts.calls_model
    return ChildShape(
        kind=member.shape or member.kind,
        needs=tuple(f"{parent}/{name}" for name in member.needs),
        provider=member.provider if calls_model else None,
        model=member.model if calls_model else None,
    )


def ask(state: JobState, command: AskPerson) -> list[AnyEvent]:
    """The start of an approval step, and its question."""
    step = state.steps[command.step]
    definition = state.graph.steps[command.step]
    approval = definition.approval
    assert approval is not None
    attempt = step.attempts + 1
    timeout_s = approval.timeout_s
    return [
        StepStarted(
            step=command.step,
            attempt=attempt,
            kind=definition.kind,
            needs=state.graph.needs[command.step],
        ),
        ApprovalRequested(
            step=command.step,
            attempt=attempt,
            message=command.message,
            options=approval.options,
            timeout_s=timeout_s,
            expires_at=None if timeout_s is None else command.now + timeout_s,
            on_timeout=None if timeout_s is None else approval.on_timeout,
        ),
    ]


def is_asked(state: JobState, command: DecideApproval) -> bool:
    """Whether the option answers an open question. After the first decision it is closed."""
    step = state.steps.get(command.step)
    return (
        step is not None and step.question is not None and command.option in step.question.options
    )


def decision(state: JobState, command: DecideApproval) -> ApprovalDecided:
    """The event of the decision."""
    return ApprovalDecided(
        step=command.step,
        attempt=state.steps[command.step].attempts,
        option=command.option,
        comment=command.comment,
        by=command.by,
        signal_id=command.signal_id,
    )


def approval_given(state: JobState, decided: ApprovalDecided) -> list[AnyEvent]:
    """The success of an approval step that was not rejected, and the skips that it leads to."""
    succeeded = StepSucceeded(
        step=decided.step,
        attempt=decided.attempt,
        output=answer_of(decided),
        duration_s=0.0,
    )
    return [succeeded, *skip_dependents(state, decided.step, "succeeded")]


def rejection(command: DecideApproval) -> Failed:
    """The failure of a rejected step."""
    who = f"rejected by {command.by}" if command.by else "rejected: no decision before the timeout"
    said = f": {command.comment}" if command.comment else ""
    return Failed(kind="rejected", message=f"{who}{said}", duration_s=0.0, final=True)


def end_decided_steps(state: JobState) -> list[AnyEvent]:
    """The missing ends of decided approvals, if the stream ends right after a decision."""
    events: list[AnyEvent] = []
    for step_id, step in state.steps.items():
        is_approval = state.graph.steps[step_id].facts.asks_person and step.waits_for is not None
        if not is_approval or step.question is not None or step.output is None:
            continue
        answer = step.output.value
        command = DecideApproval(step_id, answer["decision"], answer["comment"], answer["by"])
        if command.option == REJECT:
            events += fail_finally(state, step_id, rejection(command))
        else:
            events += approval_given(state, decision(state, command))
    return events


def pause(state: JobState) -> list[AnyEvent]:
    """Pause the job until a person acts."""
    waiting = {*state.questions, *state.over_budget}
    steps = tuple(sorted(waiting, key=lambda name: state.steps[name].index))
    doubts = [name for name in steps if state.steps[name].waits_for == "in_doubt"]
    reason: PersonNeeded = "budget" if state.over_budget else "approval"
    if doubts and len(doubts) == len(steps):
        reason = "in_doubt"
    return [JobWaiting(reason=reason, steps=steps[:NAMED_MAX])]
