"""Times that were recorded by a clock that was fast are limited when a job is resumed."""

from __future__ import annotations

import pytest

from orc.ledger.definition import ApprovalDef
from orc.ledger.events import AnyEvent, ApprovalRequested, JobStarted, JobWaiting
from tests.builders import (
    EPOCH_S,
    OWNER,
    fold_recorded,
    job,
    record,
    resumed,
    started,
    step,
    submitted,
)

JOB = job(step("gate", kind="approval", approval=ApprovalDef(message="go?")))


@pytest.mark.parametrize(
    ("expires_at", "kept"),
    [
        (EPOCH_S + 86_400.0 + 60.0, EPOCH_S + 60.0),
        (EPOCH_S + 30.0, EPOCH_S + 30.0),
        (EPOCH_S - 5.0, EPOCH_S - 5.0),
    ],
)
def test_a_question_is_open_for_its_timeout_at_most(expires_at: float, kept: float) -> None:
    asked = ApprovalRequested(
        step="gate", attempt=1, message="go?", options=("approve", "reject"),
        timeout_s=60.0, expires_at=expires_at, on_timeout="reject",
    )  # fmt: skip
    waiting = JobWaiting(reason="approval", steps=("gate",))
    events: list[AnyEvent] = [
        submitted(JOB), JobStarted(owner=OWNER), started("gate", kind="approval"),
        asked, waiting, resumed(),
    ]  # fmt: skip

    state = fold_recorded(JOB, record(events))

    question = state.steps["gate"].question
    assert question is not None
    assert question.expires_at == kept
    assert [item.at for item in state.work_items if item.kind == "expiry"] == [kept]
