"""Repairs of replies that do not fit, and warnings for replies that were cut off."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from orc.ledger.definition import FileDef, JobDef, RetryDef, ToolDef
from orc.ledger.events import CacheHit, LlmRequested, LlmResponded, StepFailed, StepSucceeded
from orc.providers import Reply, Request
from tests.scheduler.harness import Crash
from tests.scheduler.talks import Script, check_cuts, events, says, talk, talking, turn_of

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class TestRepair:
    @pytest.mark.parametrize("mistakes", [0, 1, 3])
    def test_the_model_is_shown_its_mistake_and_asked_again(self, mistakes: int) -> None:
        with talking(wrong_for(mistakes), repairing(3)) as (stand, talker):
            stand.submit()
            assert stand.run().status == "succeeded"
            assert stand.output("a") == {"n": mistakes}
            assert [e.call for e in events(stand, LlmResponded)] == list(range(1, mistakes + 2))
            first, *others = (e.corrects for e in events(stand, LlmRequested))
            assert first is None
            assert all("$.n: 'x' is not of type 'integer'" in str(why) for why in others)
        for number, request in enumerate(talker.asked[1:], start=1):
            assert request.messages[-2]["content"] == '{"n": "x"}'
            shown = str(request.messages[-1]["content"])
            assert "$.n: 'x' is not of type 'integer'" in shown
            assert turn_of(request) == number + 1

    @pytest.mark.parametrize("repair", [0, 1, 2])
    def test_exhausted_repairs_fail_the_step_with_the_last_mistake(self, repair: int) -> None:
        def worse(request: Request) -> Reply:
            return says(json.dumps({"n": f"mistake {turn_of(request)}"}))

        with talking(worse, repairing(repair)) as (stand, talker):
            stand.submit()
            assert stand.run().status == "failed"
            (failed,) = events(stand, StepFailed)
        assert len(talker.asked) == repair + 1
        assert (failed.kind, failed.on_content) == ("schema", True)
        assert f"mistake {repair + 1}" in failed.message

    def test_a_conversation_with_tools_ends_with_the_last_mistake_too(self) -> None:
        definition = repairing(5)
        changes = {"tools": (ToolDef(name="read_file"),), "max_turns": 2}
        step = replace(definition.steps[0], **changes)
        with talking(wrong_for(9), replace(definition, steps=(step,))) as (stand, _):
            stand.submit()
            assert stand.run().status == "failed"
            (failed,) = events(stand, StepFailed)
        assert "$.n: 'x' is not of type 'integer'" in failed.message
        assert "called more tools" not in failed.message

    def test_a_retry_after_exhausted_repairs_calls_the_model_again(self) -> None:
        def second_time(request: Request) -> Reply:
            return says('{"n": 1}' if request.ordinal == 3 else '{"n": "x"}')

        with talking(second_time, repairing(1, attempts=2)) as (stand, _):
            stand.submit()
            assert stand.run().status == "succeeded"
            assert events(stand, CacheHit) == []
            assert [(e.attempt, e.call) for e in events(stand, LlmRequested)] == [
                (1, 1),
                (1, 2),
                (2, 3),
            ]

    def test_after_a_cut_at_any_event_no_wrong_reply_is_paid_for_again(self) -> None:
        check_cuts(lambda: wrong_for(2), repairing(3))


class TestCut:
    def test_a_text_that_was_cut_off_is_kept_with_a_warning(self) -> None:
        with talking(cut("Once upon"), talk(files=(FileDef(path="a.md"),))) as (stand, _):
            stand.submit()
            assert stand.run().status == "succeeded"
            (event,) = events(stand, StepSucceeded)
        assert "max_tokens" in event.warning

    def test_a_warning_survives_a_crash_after_the_reply(self) -> None:
        with talking(cut("Once upon"), talk()) as (stand, _):
            stand.submit()
            with pytest.raises(Crash):
                stand.run(commits=3)
            stand.run()
            (event,) = events(stand, StepSucceeded)
        assert "max_tokens" in event.warning

    def test_the_failure_of_cut_off_json_says_so(self) -> None:
        with talking(cut('{"n": '), repairing(0)) as (stand, _):
            stand.submit()
            assert stand.run().status == "failed"
            (failed,) = events(stand, StepFailed)
        assert "is not JSON" in failed.message
        assert "max_tokens" in failed.message

    def test_json_that_is_whole_needs_no_warning(self) -> None:
        with talking(cut('{"n": 1}'), repairing(0)) as (stand, _):
            stand.submit()
            assert stand.run().status == "succeeded"
            (event,) = events(stand, StepSucceeded)
        assert event.warning is None


def repairing(repair: int, *, attempts: int = 1) -> JobDef:
    return talk(
        format="json",
        output_schema=SCHEMA,
        repair=repair,
        retry=RetryDef(max_attempts=attempts, initial_s=1.0),
    )


def wrong_for(mistakes: int) -> Script:
    """A script with this number of replies that do not fit, followed by one that does."""

    def script(request: Request) -> Reply:
        return says('{"n": "x"}' if turn_of(request) <= mistakes else f'{{"n": {mistakes}}}')

    return script


def cut(text: str) -> Script:
    return lambda request: says(text, finish_reason="length")
