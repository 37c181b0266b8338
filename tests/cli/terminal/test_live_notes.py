"""The notes of the live table: waiting steps, and the budget."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from orc.cli.terminal.live_notes import budget_note, wait_note
from orc.cli.terminal.live_rows import LiveRow, choose, cut, cut_start, lay_out
from orc.ledger.definition import BudgetDef, RetryDef
from orc.ledger.events import ApprovalRequested
from tests.builders import EPOCH_S, step
from tests.projections.support import Story, begun


def said(story: Story, name: str, *, after_s: float = 0.0, last: str = "") -> tuple[str, str]:
    """The status and the note this many seconds after the last event."""
    now_s = EPOCH_S + story.clock_s + after_s
    return wait_note(story.state, name, now_s=now_s, last=last)


def test_a_retry_shows_its_time_and_its_failure() -> None:
    story = begun(step("a", kind="run", retry=RetryDef(max_attempts=2, jitter=0)))
    story.start("a").fail("a")
    assert said(story, "a", last="timeout: slow") == ("waiting", "retry in 1 s; timeout: slow")
    assert said(story, "a", after_s=1) == ("waiting", "retry now")


def test_a_due_retry_shows_the_limit_that_holds_it_back() -> None:
    steps = (step("a", kind="run", retry=RetryDef(max_attempts=2, jitter=0)), step("b"))
    story = begun(*steps, total=1).start("a").fail("a").start("b")
    story.clock_s += 1
    assert said(story, "a", last="timeout: slow") == (
        "waiting",
        "retry, queued: 1 of 1 slot is in use; timeout: slow",
    )


def test_a_question_shows_its_timeout() -> None:
    story = begun(step("gate", kind="approval")).start("gate")
    story.record(
        ApprovalRequested(
            step="gate", attempt=1, message="?", options=("yes", "no"), timeout_s=60.0,
            expires_at=EPOCH_S + story.clock_s + 60.0, on_timeout="no",
        )
    )  # fmt: skip
    assert said(story, "gate") == ("waiting", "times out in 1 m 00 s; for human review")
    assert said(story, "gate", last="asks: ?") == ("waiting", "times out in 1 m 00 s; asks: ?")


def test_a_ready_step_shows_the_limit_that_holds_it_back() -> None:
    story = begun(step("a"), step("b"), step("c", needs="a"), total=1).start("a")
    assert said(story, "b") == ("pending", "queued: 1 of 1 slot is in use")
    assert said(story, "c") == ("pending", "")
    story = begun(step("a", prompt="?"), step("b", prompt="?"), total=4, lanes={"fake": 1})
    story.start("a")
    assert said(story, "b") == ("pending", "queued: 1 step calls fake")


def test_a_running_step_keeps_what_was_said_of_it() -> None:
    story = begun(step("a")).start("a")
    assert said(story, "a", last="once upon a time") == ("running", "once upon a time")


def test_the_budget_is_shown_against_what_was_spent() -> None:
    budget = BudgetDef(max_calls=3, max_tokens=1000, max_cost_usd=2.0)
    story = begun(step("a", prompt="?"), budget=budget).start("a")
    story.call("a", number=1, ends="replied", text="four")
    assert budget_note(story.state) == ("budget: $0.00 of $2.00, 7 of 1,000 tokens, 1 of 3 calls")
    assert budget_note(begun(step("a")).state) == ""


ROWS = [
    LiveRow("short", "succeeded", "2", "1m 40s", "123456", "$0.1234", "timeout: slow"),
    LiveRow("a_long_name" * 8, "running", "", "0.3s", note="begun, and " * 30 + "THE END", grows=True),
    LiveRow("\u6f22\u5b57" * 40, "waiting", note="\u6f22\u5b57 " * 60),
]  # fmt: skip


def printed(rows: list[LiveRow], width: int) -> list[str]:
    """The lines of the table on a terminal of this width."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(lay_out(rows, width=width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 60, 72, 100, 200])
def test_names_and_notes_are_cut_before_states_and_numbers(width: int) -> None:
    lines = printed(ROWS, width)
    assert len(lines) == 4
    assert max(map(cell_len, lines)) <= width
    assert "succeeded 2" in lines[1]
    assert "1m 40s" in lines[1]
    assert ("123456" in lines[1] and "$0.1234" in lines[1]) == (width >= 72)
    assert "running" in lines[2]
    assert "waiting" in lines[3]
    if width > 40:
        assert lines[2].endswith("THE END")
        assert lines[3].endswith("\u2026")


def test_a_table_without_calls_has_no_columns_for_them() -> None:
    assert printed([LiveRow("a", "running", time="1s")], 100)[0].split() == [
        "step",
        "state",
        "time",
    ]
    assert "tokens" in printed(ROWS, 100)[0]


def test_texts_are_cut_by_their_cells() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde\u2026"
    assert cut("\u6f22" * 5, 6) == "\u6f22\u6f22\u2026"
    assert cut_start("abcdefg", 3) == "efg"
    assert cut_start("\u6f22" * 5, 5) == "\u6f22\u6f22"


def test_running_and_waiting_steps_are_always_shown() -> None:
    statuses = {f"s{number}": "succeeded" for number in range(200)}
    statuses |= {"s3": "running", "s4": "waiting", "s5": "pending"}
    recent = ["s3", "s4", *(f"s{number}" for number in range(6, 200))]
    assert choose(statuses, recent, room=5) == {"s3", "s4", "s197", "s198", "s199"}
    assert choose(statuses, recent, room=1) == {"s3"}
    assert choose(statuses, recent, room=200) == set(statuses)
