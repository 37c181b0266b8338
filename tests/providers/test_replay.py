"""The provider of recorded replies: which one it gives, when it refuses, what its file may hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

from ledger.digest import digest_json
from providers import PermanentError, Request, TransientError, Usage
from providers.replay import RecordedReply, Replay, RepliesError, parse_replies


def ask(step: str = "write", ordinal: int = 1, text: str = "Why?") -> Request:
    return Request(
        model="llama3.2",
        messages=({"role": "user", "content": text},),
        step=step,
        ordinal=ordinal,
    )


def build_replay(**replies: list[Any]) -> Replay:
    return Replay(parse_replies({"replies": replies}), digest=digest_json)


def ignore(_piece: str) -> None:
    pass


async def test_the_nth_call_of_a_step_gets_its_nth_reply() -> None:
    replay = build_replay(write=["one", "two"], other=["three"])
    asked = [ask(ordinal=2), ask(ordinal=1), ask(step="other")]
    texts = [(await replay.send(request, on_delta=ignore)).text for request in asked]
    assert texts == ["two", "one", "three"]


async def test_a_reply_carries_what_was_recorded_with_it() -> None:
    recorded = {
        "text": "Because.",
        "model": "gpt-4o-mini",
        "finish_reason": "length",
        "usage": {"input_tokens": 3, "output_tokens": 5, "cached_tokens": 1},
    }
    reply = await build_replay(write=[recorded]).send(ask(), on_delta=ignore)
    assert reply.model == "gpt-4o-mini"
    assert reply.finish_reason == "length"
    assert reply.usage == Usage(input_tokens=3, output_tokens=5, cached_tokens=1)


async def test_a_bare_text_is_a_reply_of_the_model_that_was_asked() -> None:
    reply = await build_replay(write=["Because."]).send(ask(), on_delta=ignore)
    assert (reply.text, reply.model, reply.finish_reason) == ("Because.", "llama3.2", "stop")
    assert reply.usage == Usage()


async def test_a_step_without_replies_fails_and_names_the_steps_that_have_some() -> None:
    with pytest.raises(PermanentError, match=r"'draft'.* for: other, write") as caught:
        await build_replay(write=["one"], other=["two"]).send(ask(step="draft"), on_delta=ignore)
    assert caught.value.kind == "environment"


async def test_a_call_beyond_the_recorded_ones_fails_and_counts_them() -> None:
    with pytest.raises(PermanentError, match="call 2, and the file has 1") as caught:
        await build_replay(write=["one"]).send(ask(ordinal=2), on_delta=ignore)
    assert caught.value.kind == "environment"


async def test_a_reply_to_the_same_question_is_given() -> None:
    replay = build_replay(write=[{"text": "one", "request": digest_json(ask().asked())}])
    assert (await replay.send(ask(), on_delta=ignore)).text == "one"


async def test_a_reply_to_another_question_is_refused_before_any_text_comes() -> None:
    heard: list[str] = []
    replay = build_replay(write=[{"text": "one", "request": digest_json(ask().asked())}])
    with pytest.raises(PermanentError, match="answers another request") as caught:
        await replay.send(ask(text="Why not?"), on_delta=heard.append)
    assert caught.value.kind == "bad_request"
    assert heard == []


@pytest.mark.parametrize("kind", ["rate_limit", "timeout", "connection", "server_error"])
async def test_a_recorded_passing_failure_ends_the_call_in_a_transient_error(kind: str) -> None:
    replay = build_replay(
        write=[{"error": {"kind": kind, "message": "later", "retry_after_s": 7}}, "then"]
    )
    with pytest.raises(TransientError, match=r"^later$") as caught:
        await replay.send(ask(), on_delta=ignore)
    assert (caught.value.kind, caught.value.retry_after_s) == (kind, 7)
    assert (await replay.send(ask(ordinal=2), on_delta=ignore)).text == "then"


@pytest.mark.parametrize("kind", ["auth", "bad_request", "refused", "context_length"])
async def test_a_recorded_lasting_failure_ends_the_call_in_a_permanent_error(kind: str) -> None:
    with pytest.raises(PermanentError, match=f"^recorded failure: {kind}$") as caught:
        await build_replay(write=[{"error": {"kind": kind}}]).send(ask(), on_delta=ignore)
    assert caught.value.kind == kind


@pytest.mark.parametrize("outcome", [{"text": "abcdefgh"}, {"error": {"kind": "timeout"}}])
async def test_a_latency_is_waited_for(
    outcome: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    begun_s = trio.current_time()
    with trio.fail_after(1000):
        try:
            await build_replay(write=[{**outcome, "latency_s": 80}]).send(ask(), on_delta=ignore)
        except TransientError:
            assert "error" in outcome
    assert trio.current_time() - begun_s == pytest.approx(80)


async def test_a_latency_is_spread_over_the_pieces(
    autojump_clock: trio.testing.MockClock,
) -> None:
    heard: list[tuple[float, str]] = []
    begun_s = trio.current_time()
    with trio.fail_after(1000):
        await build_replay(write=[{"text": "abcdefgh", "latency_s": 80}]).send(
            ask(), on_delta=lambda piece: heard.append((trio.current_time() - begun_s, piece))
        )
    assert [piece for _, piece in heard] == list("abcdefgh")
    assert [at_s for at_s, _ in heard] == pytest.approx([10, 20, 30, 40, 50, 60, 70, 80])


def test_a_file_of_replies_is_read_step_by_step() -> None:
    found = parse_replies({"version": 1, "replies": {"write": ["one", {"text": "two"}], "x": []}})
    assert found == {"write": (RecordedReply("one"), RecordedReply("two")), "x": ()}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "must have a key `replies`"),
        ({"replies": []}, "must have a key `replies`"),
        ({"replies": {}, "reply": {}}, "unknown key 'reply'"),
        ({"replies": {"write": "one"}}, r"replies\.write must be a list"),
    ],
)
def test_a_file_of_another_shape_is_refused(document: Any, message: str) -> None:
    with pytest.raises(RepliesError, match=message):
        parse_replies(document)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (7, "must be a text or a mapping"),
        ({}, "must have either `text` or `error`"),
        ({"text": "one", "error": {"kind": "auth"}}, "must have either `text` or `error`"),
        ({"text": "one", "colour": "red"}, "unknown key 'colour'"),
        ({"text": 7}, "text must be a text"),
        ({"text": "one", "model": 7}, "model must be a text"),
        ({"text": "one", "latency_s": -1}, "latency_s must be a number of seconds"),
        ({"text": "one", "latency_s": True}, "latency_s must be a number of seconds"),
        ({"text": "one", "latency_s": "1s"}, "latency_s must be a number of seconds"),
        ({"text": "one", "latency_s": math.nan}, "latency_s must be a number of seconds"),
        ({"text": "one", "usage": {"tokens": 1}}, "usage must map"),
        ({"text": "one", "usage": {"input_tokens": -1}}, "usage must map"),
        ({"text": "one", "usage": {"input_tokens": True}}, "usage must map"),
        ({"error": "auth"}, "error must have a `kind`"),
        ({"error": {"kind": "bad luck"}}, "error must have a `kind`"),
        ({"error": {"kind": "auth", "status": 401}}, "unknown key 'status'"),
        ({"error": {"kind": "rate_limit", "retry_after_s": "soon"}}, "retry_after_s must be"),
    ],
)
def test_a_reply_of_another_shape_is_refused_with_its_place(entry: Any, message: str) -> None:
    with pytest.raises(RepliesError, match=rf"^replies\.write\[1\].*{message}"):
        parse_replies({"replies": {"write": ["one", entry]}})
