"""What the live table says of steps that wait, and of the budget."""

from __future__ import annotations

from cli.live_notes import budget_note, wait_note
from ledger.events import ApprovalRequested
from scheduler.core.resolved import BudgetDef, RetryDef
from tests.builders import EPOCH_S, step
from tests.projections.support import Story, begun


def said(story: Story, name: str, *, after_s: float = 0.0, last: str = "") -> tuple[str, str]:
    """The note so many seconds after the last event."""
    now_s = EPOCH_S + story.clock_s + after_s
    return wait_note(story.state, name, now_s=now_s, last=last)


def test_a_retry_says_when_and_after_what() -> None:
    story = begun(step("a", kind="run", retry=RetryDef(max_attempts=2, jitter=0)))
    story.start("a").fail("a")
    assert said(story, "a", last="timeout: slow") == ("waiting", "again in 1 s; timeout: slow")
    assert said(story, "a", after_s=1) == ("waiting", "again now")


def test_a_question_says_when_it_is_decided_without_an_answer() -> None:
    story = begun(step("gate", kind="approval")).start("gate")
    story.record(
        ApprovalRequested(
            step="gate", attempt=1, message="?", options=("yes", "no"), timeout_s=60.0,
            expires_at=EPOCH_S + story.clock_s + 60.0, on_timeout="no",
        )
    )  # fmt: skip
    assert said(story, "gate") == ("waiting", "for a person, decided in 60 s")
    assert said(story, "gate", last="asks: ?") == ("waiting", "asks: ?, decided in 60 s")


def test_a_ready_step_says_which_limit_holds_it() -> None:
    story = begun(step("a"), step("b"), step("c", needs="a"), total=1).start("a")
    assert said(story, "b") == ("pending", "queued: 1 of 1 run")
    assert said(story, "c") == ("pending", "")
    story = begun(step("a", prompt="?"), step("b", prompt="?"), total=4, lanes={"fake": 1})
    story.start("a")
    assert said(story, "b") == ("pending", "queued: 1 ask fake")


def test_a_running_step_keeps_what_was_said_of_it() -> None:
    story = begun(step("a")).start("a")
    assert said(story, "a", last="once upon a time") == ("running", "once upon a time")


def test_the_budget_is_shown_against_what_was_spent() -> None:
    budget = BudgetDef(max_calls=3, max_tokens=1000, max_cost_usd=2.0)
    story = begun(step("a", prompt="?"), budget=budget).start("a")
    story.call("a", number=1, ends="replied", text="four")
    assert budget_note(story.state) == (
        "budget: $0.0000 of $2.0000, 7 of 1,000 tokens, 1 of 3 calls"
    )
    assert budget_note(begun(step("a")).state) == ""
