"""Conversations with tools: their order, their limits, and how they continue after a crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orc.ledger import LedgerReader
from orc.ledger.definition import RateDef, RetryDef
from orc.ledger.events import (
    CacheHit,
    FileWritten,
    LlmRequested,
    StepFailed,
    ToolCalled,
    ToolReturned,
)
from orc.providers import PermanentError, Reply, Request, TransientError
from tests.builders import JOB
from tests.scheduler.harness import Crash, Stand
from tests.scheduler.talks import (
    TOOLS,
    Bag,
    Script,
    call_numbers,
    calls,
    check_cuts,
    events,
    says,
    talk,
    talking,
    turn_of,
)


def searching(request: Request) -> Reply:
    """A conversation: two tool calls, one more, and an answer made from their results."""
    match turn_of(request):
        case 1:
            found = calls("write", path="note.txt", text="first")
            return says("Let me see.", calls("search", q=1), found)
        case 2:
            return says("And this.", calls("search", q=2), native={"thought": "signed"})
        case _:
            results = [m["content"] for m in request.messages if m["role"] == "tool"]
            return says(json.dumps({"results": results}))


def hindered() -> Script:
    """The same conversation; the first call of its second turn fails."""
    failed: list[Request] = []

    def script(request: Request) -> Reply | Exception:
        if turn_of(request) == 2 and not failed:
            failed.append(request)
            return TransientError("timeout", "too late")
        return searching(request)

    return script


TALK = talk(
    tools=TOOLS,
    format="json",
    retry=RetryDef(max_attempts=3, initial_s=1.0),
    retry_on=("timeout", "schema"),
)


class TestTools:
    def test_a_conversation_goes_on_until_the_model_answers(self) -> None:
        bag = Bag()
        with talking(searching, TALK, bag) as (stand, talker):
            stand.submit()
            assert stand.run().status == "succeeded"
            found = [f'{{"found":[{{"q":{n}}}]}}' for n in (1, 2)]
            results = stand.output("a")["results"]
            assert [results[0], results[2]] == found
            assert [call.call for call in events(stand, LlmRequested)] == [1, 2, 3]
            assert [(call.call, call.tool) for call in events(stand, ToolCalled)] == [
                (1, "search"),
                (1, "write"),
                (2, "search"),
            ]
            assert [file.path for file in events(stand, FileWritten)] == ["demo/note.txt"]
        assert sum(bag.called.values()) == 3
        last = talker.asked[-1].messages
        assert [message["role"] for message in last] == [
            "user",
            "assistant",
            "tool",
            "tool",
            "assistant",
            "tool",
        ]
        assert last[4]["native"] == {"provider": "fake", "content": {"thought": "signed"}}
        assert last[5]["tool_call_id"] == "id-search"

    def test_each_call_is_recorded_before_it_is_made(self) -> None:
        acted: list[str] = []

        class Watched(Bag):
            def open_toolbox(self, *args: Any, **options: Any) -> Any:
                tools = super().open_toolbox()
                inner = tools.call

                async def call(name: str, arguments: Any) -> Any:
                    acted.append(last_type(stand))
                    return await inner(name, arguments)

                tools.call = call  # type: ignore[method-assign]
                return tools

        def script(request: Request) -> Reply:
            acted.append(last_type(stand))
            return searching(request)

        with talking(script, TALK, Watched()) as (stand, _):
            stand.submit()
            assert stand.run().status == "succeeded"
        assert acted == [
            "llm.requested",
            "tool.called",
            "tool.called",
            "llm.requested",
            "tool.called",
            "llm.requested",
        ]

    def test_a_retry_in_the_middle_asks_and_calls_only_what_is_missing(self) -> None:
        bag = Bag()
        with talking(hindered(), TALK, bag) as (stand, _):
            stand.submit()
            assert stand.run().status == "succeeded"
            assert [(e.attempt, e.call) for e in events(stand, LlmRequested)] == [
                (1, 1),
                (1, 2),
                (2, 3),
                (2, 4),
            ]
            assert [(e.attempt, e.call) for e in events(stand, CacheHit)] == [(2, 1)]
        assert set(bag.called.values()) == {1}
        assert sum(bag.recalled.values()) == 2

    @pytest.mark.parametrize("scripts", [lambda: searching, hindered], ids=["calm", "hindered"])
    def test_cut_after_any_event_nothing_that_is_recorded_is_asked_or_called_again(
        self, scripts: Callable[[], Script]
    ) -> None:
        check_cuts(scripts, TALK, files=["demo/note.txt"])

    @pytest.mark.parametrize("dies", ["before", "after"])
    def test_dying_at_any_commit_the_conversation_comes_to_the_same_answer(self, dies: str) -> None:
        with talking(searching, TALK) as (calm, _):
            calm.submit()
            commits: list[float] = []
            calm.run(observe=lambda now, batch: commits.append(now))
            output = calm.output("a")
        for number in range(1, len(commits)):
            with talking(searching, TALK) as (stand, _):
                stand.submit()
                with pytest.raises(Crash):
                    stand.run(commits=number, dies=dies)
                assert stand.run().status == "succeeded"
                assert stand.output("a") == output
                assert call_numbers(stand.stream()) == [1, 2, 3]

    def test_a_failure_on_content_starts_the_conversation_afresh(self) -> None:
        def once_no_json(request: Request) -> Reply:
            if turn_of(request) == 3 and request.ordinal == 3:
                return says("that is no JSON")
            return searching(request)

        bag = Bag()
        with talking(once_no_json, TALK, bag) as (stand, _):
            stand.submit()
            assert stand.run().status == "succeeded"
            assert events(stand, CacheHit) == []
            assert [call.call for call in events(stand, LlmRequested)] == [1, 2, 3, 4, 5, 6]
        assert set(bag.called.values()) == {2}
        assert sum(bag.recalled.values()) == 0

    def test_a_wrong_tool_call_gets_an_error_result(self) -> None:
        def wrong(request: Request) -> Reply:
            return says("", calls("fly")) if turn_of(request) == 1 else says("{}")

        with talking(wrong, TALK) as (stand, talker):
            stand.submit()
            assert stand.run().status == "succeeded"
            assert [event.is_error for event in events(stand, ToolReturned)] == [True]
        told = talker.asked[1].messages[-1]
        assert told["is_error"] is True
        assert told["content"] == "there is no tool fly"

    def test_a_conversation_has_no_more_calls_than_max_turns(self) -> None:
        def endless(request: Request) -> Reply:
            return says("", calls("search", q=turn_of(request)))

        with talking(endless, talk(tools=TOOLS, max_turns=4)) as (stand, talker):
            stand.submit()
            assert stand.run().status == "failed"
            (failed,) = events(stand, StepFailed)
        assert len(talker.asked) == 4
        assert (failed.kind, failed.on_content) == ("schema", True)
        assert "within 4 calls (max_turns)" in failed.message

    def test_a_call_of_a_tool_where_none_was_offered_fails_the_attempt(self) -> None:
        with talking(searching, talk()) as (stand, _):
            stand.submit()
            assert stand.run().status == "failed"
            (failed,) = events(stand, StepFailed)
        assert (failed.kind, failed.on_content) == ("protocol", True)

    def test_a_tool_that_takes_too_long_uses_up_the_attempts_time(self) -> None:
        definition = talk(tools=TOOLS, attempt_timeout_s=5.0)
        with talking(searching, definition, Bag(takes_s=3.0)) as (stand, _):
            stand.submit()
            assert stand.run().status == "failed"
            (failed,) = events(stand, StepFailed)
            assert failed.kind == "timeout"
            # One second for the model, three for the first tool, and one of three for the second.
            assert len(events(stand, ToolCalled)) == 2
            assert len(events(stand, ToolReturned)) == 1

    def test_each_tool_has_the_time_of_timeout(self) -> None:
        with talking(searching, talk(tools=TOOLS, timeout_s=5.0), Bag(takes_s=4.0)) as (stand, _):
            stand.submit()
            assert stand.run().status == "succeeded"
        with talking(searching, talk(tools=TOOLS, timeout_s=3.0), Bag(takes_s=4.0)) as (stand, _):
            stand.submit()
            assert stand.run().status == "failed"
            (failed,) = events(stand, StepFailed)
            assert failed.kind == "timeout"
            assert failed.message == "the tool search took longer than the timeout of 3 s"
            assert len(events(stand, ToolReturned)) == 0

    def test_waiting_for_the_rate_uses_up_none_of_the_attempts_time(self) -> None:
        definition = talk(
            tools=TOOLS, attempt_timeout_s=5.0, rate={"fake": RateDef(requests_per_min=1)}
        )
        with talking(searching, definition) as (stand, talker):
            stand.submit()
            assert stand.run().status == "succeeded"
        assert talker.sent_at == [0.0, 60.0, 120.0]


def test_a_permanent_failure_keeps_the_turns_before_for_a_resume() -> None:
    broke = [True]

    def broken(request: Request) -> Reply | Exception:
        if turn_of(request) == 2 and broke[0]:
            return PermanentError("auth", "the key has expired")
        return searching(request)

    bag = Bag()
    with talking(broken, TALK, bag) as (stand, talker):
        stand.submit()
        assert stand.run().status == "failed"
        broke[0] = False
        assert stand.run().status == "succeeded"
        assert [event.call for event in events(stand, CacheHit)] == [1]
    assert set(bag.called.values()) == {1}
    assert sorted(talker.digests().values()) == [1, 1, 2]


def last_type(stand: Stand) -> str:
    with LedgerReader.open(stand.database) as reader:
        return list(reader.read_stream(JOB))[-1].event.type
