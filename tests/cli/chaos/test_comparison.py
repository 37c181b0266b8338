"""What `orc chaos` reports as repeated, lost and different, and what it does not report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from orc.cli.chaos.comparison import Deviation, End, find_differences, find_lost, find_repeated
from orc.ledger.codec import row_to_recorded
from orc.ledger.events import AnyEvent
from tests.builders import (
    cache_hit,
    failed,
    job,
    record,
    requested,
    responded,
    resumed,
    started,
    step,
    succeeded,
    switched,
    tool_called,
    tool_returned,
)
from tests.each_case import each_case
from tests.histories.recorder import COLUMNS, FOLDER


def repeated(*events: AnyEvent) -> list[tuple[str | None, str]]:
    found = list(find_repeated(record(events)))
    assert all(finding.promise == "repeated" and finding.is_broken for finding in found)
    return [(finding.step, finding.what) for finding in found]


def test_a_step_that_had_succeeded_and_starts_again_is_repeated() -> None:
    again = repeated(started("a"), succeeded("a"), resumed(), started("a", 2), started("b"))
    assert again == [("a", "it had succeeded, but event 4 is step.started again")]


def test_a_step_that_was_cut_short_may_start_again() -> None:
    assert not repeated(started("a"), resumed(), started("a", 2), succeeded("a", 2))


def test_a_step_that_failed_may_start_again() -> None:
    assert not repeated(started("a"), failed("a"), resumed(), started("a", 2), succeeded("a", 2))


_ANSWERED = (started("a"), requested("a"), responded("a"), resumed(), started("a", 2))


def test_a_second_request_for_a_committed_reply_is_repeated() -> None:
    [(name, what)] = repeated(*_ANSWERED, requested("a", 2, 2))
    assert (name, what) == ("a", "event 6 requests a reply that was already committed")


def test_a_committed_reply_that_answers_the_next_attempt_is_not() -> None:
    assert not repeated(*_ANSWERED, cache_hit("a"), requested("a", 2, 3, asked="more"))


def test_a_committed_reply_answers_once_and_an_equal_request_after_it_is_another() -> None:
    assert not repeated(*_ANSWERED, cache_hit("a"), requested("a", 2, 3))


def test_a_call_in_doubt_may_be_sent_again() -> None:
    assert not repeated(started("a"), requested("a"), resumed(), started("a", 2), requested("a", 2))


def test_another_request_may_be_sent_and_then_what_was_asked_in_the_other_conversation() -> None:
    other = requested("a", 2, 2, asked="other")
    assert not repeated(*_ANSWERED, other, requested("a", 2, 3))


def test_another_steps_equal_request_is_its_own() -> None:
    assert not repeated(*_ANSWERED, started("b"), requested("b"))


@pytest.mark.parametrize("end", [failed("a", kind="schema", on_content=True), switched("a")])
def test_an_unusable_reply_may_be_requested_again(end: AnyEvent) -> None:
    assert not repeated(*_ANSWERED[:3], end, started("a", 2), requested("a", 2, 2))


def test_a_tool_that_had_returned_and_is_called_again_is_repeated() -> None:
    before = (started("a"), tool_called("a"), tool_returned("a"), tool_called("a", key="other"))
    [(name, what)] = repeated(*before, started("a", 2), tool_called("a", 2))
    assert (name, what) == ("a", "event 6 calls search again, although it had returned")
    assert not repeated(*before, started("a", 2), tool_called("a", 2, key="other"))


@each_case("path", sorted(FOLDER.glob("*.jsonl")))
def test_no_recorded_history_repeats_work_without_an_amendment(
    path: Path,
) -> None:
    *rows, _ = map(json.loads, path.read_text("utf-8").splitlines())
    stream = [row_to_recorded((0, *(row[name] for name in COLUMNS))) for row in rows]
    is_amended = any(recorded.event.type == "job.amended" for recorded in stream)
    assert is_amended or not list(find_repeated(stream))


def test_a_missing_or_changed_event_is_lost() -> None:
    before = [item._replace(hash=f"h{item.version}") for item in record([started("a")] * 3)]
    assert not list(find_lost(before, before))
    assert not list(find_lost(before[:2], before))
    [gone] = find_lost(before, before[:2])
    assert (gone.promise, gone.what) == (
        "lost",
        "event 3, step.started, was committed and is missing",
    )
    [other] = find_lost(before, [before[0]._replace(hash="else"), *before[1:]])
    assert other.what.startswith("event 1,")


_JOB = job(
    step("ask", prompt="?"),
    step("make", needs="ask", kind="run"),
    step("shown", needs="make"),
    step("beside"),
)
_END = End(
    status="succeeded",
    steps=dict.fromkeys(("ask", "make", "shown", "beside"), "succeeded"),
    outputs={"ask": "1", "make": "2", "shown": "3", "beside": "4"},
    files={"demo/x": ("5", "make")},
    failures={},
    delivered={"x": "5"},
)


def differences(found: End) -> list[tuple[str | None, bool]]:
    listed = find_differences(_END, found, _JOB)
    assert all(finding.promise == "result" for finding in listed)
    return [(finding.step, finding.is_broken) for finding in listed]


def test_equal_ends_do_not_differ() -> None:
    assert differences(replace(_END, steps=dict(_END.steps))) == []


def test_a_command_may_excuse_its_own_output_and_its_dependents() -> None:
    outputs = {**_END.outputs, "shown": "else", "make": "else"}
    found = replace(_END, outputs=outputs, files={"demo/x": ("else", "make")})
    assert differences(found) == [("make", False), ("shown", False)]


@pytest.mark.parametrize("name", ["ask", "shown", "beside"])
def test_a_prompt_or_a_value_that_differs_by_itself_breaks_the_promise(name: str) -> None:
    found = replace(_END, outputs={**_END.outputs, name: "else"})
    assert differences(found) == [(name, True)]


def test_a_command_does_not_excuse_steps_that_do_not_depend_on_it() -> None:
    found = replace(_END, outputs={**_END.outputs, "make": "else", "beside": "else"})
    assert differences(found) == [("make", False), ("beside", True)]


def test_a_file_that_is_missing_differs() -> None:
    assert differences(replace(_END, files={})) == [("make", False)]


def test_a_copy_that_is_missing_breaks_the_promise() -> None:
    assert differences(replace(_END, delivered={})) == [(None, True)]


def test_another_status_is_as_excused_as_the_step_that_led_to_it() -> None:
    lost = replace(_END, status="failed", failures={"make": "exit_code"})
    lost = replace(lost, steps={**_END.steps, "make": "failed", "shown": "skipped"})
    assert differences(lost) == [("make", False), ("shown", False), (None, False)]
    assert differences(replace(_END, status="failed")) == [(None, True)]


def test_an_item_of_a_fan_out_belongs_to_its_step() -> None:
    spec = job(step("each", kind="run"), step("other"))
    found = replace(_END, outputs={**_END.outputs, "each[0]": "a"})
    wanted = replace(_END, outputs={**_END.outputs, "each[0]": "b"})
    [finding] = find_differences(wanted, found, spec)
    assert finding == Deviation("result", "its output differs", "each[0]", is_broken=False)
