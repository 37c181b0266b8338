"""The rules of containers, approvals and pauses: given events, when a command, then events."""

from __future__ import annotations

from orc.ledger.definition import ApprovalDef, ForEachDef, JobDef
from orc.ledger.events import (
    AnyEvent,
    ApprovalDecided,
    ApprovalRequested,
    ChildShape,
    JobFailed,
    JobWaiting,
    Payload,
    StepExpanded,
)
from orc.scheduler.core.commands import DecideApproval, ExpandStep, ResumeJob
from orc.scheduler.core.rules.containers import pause
from orc.scheduler.core.rules.decide import decide
from tests.builders import (
    OWNER,
    failed,
    interrupted,
    job,
    resumed,
    running,
    skipped,
    started,
    step,
    succeeded,
)

ITEMS = ForEachDef(items=["x"])
GATE = job(
    step("gate", kind="approval", approval=ApprovalDef(message="go?")), step("then", needs="gate")
)
ASKED: list[AnyEvent] = [
    started("gate", kind="approval"),
    ApprovalRequested(step="gate", attempt=1, message="go?", options=("approve", "reject")),
]
WAITS = JobWaiting(reason="approval", steps=("gate",))


def expanded(definition: JobDef, *events: AnyEvent) -> list[AnyEvent]:
    """What the rules decide when `each` of the job gets its one item."""
    values = (Payload(value=["x"]),)
    return decide(running(definition, *events), ExpandStep("each", ("each[0]",), values))


def test_a_container_that_begins_again_has_the_next_attempt() -> None:
    definition = job(step("each", for_each=ITEMS, value=1))
    first, children = expanded(definition)
    assert first == started("each", kind="for_each")
    assert isinstance(children, StepExpanded)
    assert children.attempt == 1
    end: list[AnyEvent] = [
        failed("each", attempt=1),
        JobFailed(failures=(), failures_total=0),
        resumed(),
    ]
    second, children = expanded(definition, started("each", kind="for_each"), *end)
    assert second == started("each", 2, kind="for_each")
    assert isinstance(children, StepExpanded)
    assert children.attempt == 2
    further = [started("each", 2, kind="for_each"), *end]
    third, _ = expanded(definition, started("each", kind="for_each"), *end, *further)
    assert third == started("each", 3, kind="for_each")


def test_the_shape_of_a_child_names_its_provider_only_if_it_calls_a_model() -> None:
    prompts = job(step("each", for_each=ITEMS, prompt="?"))
    values = job(step("each", for_each=ITEMS, value=1, provider="fake", model="m"))
    shapes: list[ChildShape] = []
    for definition in (prompts, values):
        _, event = expanded(definition)
        assert isinstance(event, StepExpanded)
        shapes += event.shapes
    assert shapes == [
        ChildShape(kind="prompt", provider="fake", model="m"),
        ChildShape(kind="value"),
    ]


def test_a_decision_that_a_crash_cut_off_is_completed_with_what_the_person_said() -> None:
    decided = ApprovalDecided(step="gate", attempt=1, option="approve", comment="fine", by="ann")
    state = running(GATE, *ASKED, WAITS, decided)
    answer = {"decision": "approve", "comment": "fine", "by": "ann"}
    assert decide(state, ResumeJob(OWNER)) == [
        succeeded("gate", output=answer, duration_s=0.0),
        resumed(),
    ]


def test_a_rejection_that_a_crash_cut_off_is_completed_in_the_name_of_the_person() -> None:
    decided = ApprovalDecided(step="gate", attempt=1, option="reject", comment="no", by="ann")
    state = running(GATE, *ASKED, WAITS, decided)
    assert decide(state, ResumeJob(OWNER)) == [
        failed("gate", kind="rejected", message="rejected by ann: no", duration_s=0.0),
        skipped("then", "gate"),
        resumed(),
    ]


def test_an_approval_takes_no_time_of_its_own() -> None:
    command = DecideApproval("gate", "approve", "fine", "ann")
    decided, end = decide(running(GATE, *ASKED), command)
    assert decided == ApprovalDecided(
        step="gate", attempt=1, option="approve", comment="fine", by="ann"
    )
    assert end == succeeded(
        "gate", output={"decision": "approve", "comment": "fine", "by": "ann"}, duration_s=0.0
    )


def test_a_job_waits_for_what_all_of_its_questions_are_about() -> None:
    gate, work = GATE.steps[0], step("work", kind="run", run="true", on_unknown="ask")
    question = ApprovalRequested(
        step="work", attempt=1, message="again?", options=("approve", "reject")
    )
    cut: list[AnyEvent] = [
        started("work", kind="run"),
        interrupted("work", reason="crash"),
        question,
    ]
    assert pause(running(job(work), *cut)) == [JobWaiting(reason="in_doubt", steps=("work",))]
    assert pause(running(job(gate, work), *ASKED)) == [WAITS]
    both = JobWaiting(reason="approval", steps=("gate", "work"))
    assert pause(running(job(gate, work), *ASKED, *cut)) == [both]
