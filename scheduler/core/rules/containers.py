"""The rules of steps that hold others, and of those that ask a person."""

from __future__ import annotations

from orc.ledger.definition import StepDef
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
from orc.ledger.kinds import PersonNeeded
from orc.scheduler.core.commands import AskPerson, DecideApproval, ExpandStep, Failed
from orc.scheduler.core.fold.containers import CHILDREN_MAX
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.questions import REJECT, answer_of
from orc.scheduler.core.rules.failures import fail_finally

NAMED_MAX = 1000


def expand(state: JobState, command: ExpandStep) -> list[AnyEvent]:
    """The step's start, if it has not begun, and its children, at most 1,000 an event."""
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
        # Rounds are counted from 1, as people do.
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
                shapes=shapes[start : start + CHILDREN_MAX] if definition.has_members else shapes,
            )
        )
    return events


def _shape_of(parent: str, member: StepDef) -> ChildShape:
    calls_model = member.facts.calls_model
    return ChildShape(
        kind=member.shape or member.kind,
        needs=tuple(f"{parent}/{name}" for name in member.needs),
        provider=member.provider if calls_model else None,
        model=member.model if calls_model else None,
    )


def ask(state: JobState, command: AskPerson) -> list[AnyEvent]:
    """The question, which begins the step."""
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
    """Whether the option answers an open question: the first decision wins."""
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


def approval_given(state: JobState, decided: ApprovalDecided) -> StepSucceeded:
    """The end of a step that was not rejected."""
    return StepSucceeded(
        step=decided.step,
        attempt=decided.attempt,
        output=answer_of(decided),
        duration_s=0.0,
    )


def rejection(command: DecideApproval) -> Failed:
    """The failure of a step that was rejected."""
    who = f"rejected by {command.by}" if command.by else "nobody decided in time: rejected"
    said = f": {command.comment}" if command.comment else ""
    return Failed(kind="rejected", message=f"{who}{said}", duration_s=0.0, final=True)


def end_decided_steps(state: JobState) -> list[AnyEvent]:
    """The ends of steps that were decided, where a stream was cut before it says so."""
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
            events.append(approval_given(state, decision(state, command)))
    return events


def pause(state: JobState) -> list[AnyEvent]:
    """The job waits for persons."""
    waiting = {*state.questions, *state.over_budget}
    steps = tuple(sorted(waiting, key=lambda name: state.steps[name].index))
    doubts = [name for name in steps if state.steps[name].waits_for == "in_doubt"]
    reason: PersonNeeded = "budget" if state.over_budget else "approval"
    if doubts and len(doubts) == len(steps):
        reason = "in_doubt"
    return [JobWaiting(reason=reason, steps=steps[:NAMED_MAX])]
