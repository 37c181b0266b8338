"""What a model sends is bounded: its tool calls, its names, its values, and its conversation."""

from __future__ import annotations

from typing import Any

import pytest

from orc.ledger import bounds
from orc.ledger.definition import RetryDef
from orc.ledger.events import LlmFailed, LlmResponded, StepFailed, ToolCalled
from orc.providers import Reply, Request, TransientError, Usage
from orc.scheduler.core.commands import MESSAGE_CHARS_MAX
from orc.scheduler.effects.prompt import TOOL_CALLS_MAX
from tests.scheduler.talks import TOOLS, Bag, Talker, calls, events, says, talk, talking, turn_of

ONCE = RetryDef(max_attempts=1)


def many_calls(number: int) -> Any:
    """A conversation that begins with this number of tool calls."""

    def script(request: Request) -> Reply:
        if turn_of(request) == 1:
            return says("", *(calls("search", q=n) for n in range(number)))
        return says("done")

    return script


def tool_messages(talker: Talker) -> list[Any]:
    return [message for message in talker.asked[-1].messages if message["role"] == "tool"]


@pytest.mark.parametrize("above", [0, 1, 3])
def test_the_first_hundred_tool_calls_of_a_reply_are_made_and_the_model_hears_of_the_others(
    above: int,
) -> None:
    bag = Bag()
    with talking(many_calls(TOOL_CALLS_MAX + above), talk(tools=TOOLS), bag) as (stand, talker):
        stand.submit()
        assert stand.run().status == "succeeded"
        assert len(events(stand, ToolCalled)) == TOOL_CALLS_MAX == sum(bag.called.values())
        answers = tool_messages(talker)
    assert len(answers) == TOOL_CALLS_MAX + above
    refused = answers[TOOL_CALLS_MAX:]
    assert all(answer["is_error"] for answer in refused)
    assert all("only the first 100 tool calls are made" in answer["content"] for answer in refused)
    assert not any(answer.get("is_error") for answer in answers[:TOOL_CALLS_MAX])


def test_a_reply_with_more_than_a_thousand_tool_calls_is_refused() -> None:
    bag = Bag()
    with talking(many_calls(1001), talk(tools=TOOLS, retry=ONCE), bag) as (stand, _):
        stand.submit()
        assert stand.run().status == "failed"
        (failed,) = events(stand, LlmFailed)
        assert (failed.kind, failed.message) == (
            "protocol",
            "the reply calls 1,001 tools; the maximum is 1,000",
        )
        assert not bag.called
        assert stand.run().status == "failed"


@pytest.mark.parametrize(
    "fields",
    [
        {"native": {"x": 10**5000}},
        {"native": float("nan")},
        {"native": [b"x"]},
        {"native": bounds.LEVELS_MAX},
        {"usage": Usage(10**25, 1)},
        {"usage": Usage(-1, 1)},
    ],
    ids=["digits", "nan", "bytes", "levels", "tokens", "negative"],
)
def test_a_reply_that_cannot_be_stored_is_a_failure_of_its_call(fields: dict[str, Any]) -> None:
    if fields.get("native") == bounds.LEVELS_MAX:
        fields = {"native": []}
        for _ in range(bounds.LEVELS_MAX):
            fields = {"native": [fields["native"]]}
    with talking(lambda request: says("x", **fields), talk(retry=ONCE), Bag()) as (stand, _):
        stand.submit()
        for run in (1, 2):
            assert stand.run().status == "failed"
            found = events(stand, LlmFailed)
            assert [failed.kind for failed in found] == ["protocol"] * run
        assert not events(stand, LlmResponded)


def test_names_of_a_server_are_cut() -> None:
    long = "n" * 5000
    reply = says("x", model=long, finish_reason=long, request_id=long)
    with talking(lambda request: reply, talk(), Bag()) as (stand, _):
        stand.submit()
        assert stand.run().status == "succeeded"
        (recorded,) = events(stand, LlmResponded)
    assert [len(recorded.model), len(recorded.finish_reason), len(recorded.request_id or "")] == [
        200
    ] * 3


def test_a_conversation_that_outgrows_the_ledger_fails_its_step_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "BLOB_BYTES_MAX", 20_000)

    # Each reply and each result is small enough, but not all of them together.
    def script(request: Request) -> Reply:
        return says("", calls("search", q=turn_of(request), padding="x" * 3000))

    with talking(script, talk(tools=TOOLS, retry=RetryDef(max_attempts=3)), Bag()) as (stand, _):
        stand.submit()
        assert stand.run().status == "failed"
        (failed,) = events(stand, StepFailed)
        assert failed.kind == "bad_request"
        assert "the request cannot be stored: it has more than" in failed.message
        assert stand.run().status == "failed"


def test_the_message_of_a_failure_is_cut() -> None:
    def script(request: Request) -> Exception:
        return TransientError("server_error", "y" * 100_000)

    with talking(script, talk(retry=ONCE), Bag()) as (stand, _):
        stand.submit()
        assert stand.run().status == "failed"
        (of_call,), (of_step,) = events(stand, LlmFailed), events(stand, StepFailed)
    assert len(of_call.message) == len(of_step.message) == MESSAGE_CHARS_MAX
    assert of_step.message.endswith("y...")
