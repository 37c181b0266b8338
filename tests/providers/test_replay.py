"""The replay provider: the choice of a reply, refusals, and the format of its file."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from orc.ledger.digest import digest_json
from orc.providers import PermanentError, ProviderError, Request, TransientError, Usage
from orc.providers.catalogue import SECTIONS
from orc.providers.replay import RecordedReply, Replay, RepliesError, parse_replies
from orc.providers.request_key import prompt_values
from orc.scheduler.core.spec.prompt import ParamsSpec
from tests.each_case import each_case
from tests.providers.acts import CLOCK, ignore

CALL = {"id": "call_a1", "name": "find_weather", "arguments": {"city": "Köln"}}
NOON = date(2026, 11, 22)  # what YAML makes of such a text
NESTED: list[Any] = []
for _ in range(100_000):
    NESTED = [NESTED]


def ask(step: str = "write", ordinal: int = 1, text: str = "Why?") -> Request:
    return Request(
        model="llama3.2",
        messages=({"role": "user", "content": text},),
        step=step,
        ordinal=ordinal,
    )


def build_replay(**replies: list[Any]) -> Replay:
    return Replay(parse_replies({"replies": replies}), digest=digest_json)


async def test_the_nth_call_of_a_step_gets_its_nth_reply() -> None:
    replay = build_replay(write=["one", "two"], other=["three"])
    asked = [ask(ordinal=2), ask(ordinal=1), ask(step="other")]
    texts = [(await replay.send(request, on_delta=ignore)).text for request in asked]
    assert texts == ["two", "one", "three"]


async def test_a_reply_has_all_recorded_fields() -> None:
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


async def test_a_plain_text_is_a_reply_of_the_requested_model() -> None:
    reply = await build_replay(write=["Because."]).send(ask(), on_delta=ignore)
    assert (reply.text, reply.model, reply.finish_reason) == ("Because.", "llama3.2", "stop")
    assert reply.usage == Usage()


async def test_recorded_vectors_are_no_answer_to_a_prompt() -> None:
    replay = build_replay(write=[{"vectors": [[0.5, 1.0]]}])
    with pytest.raises(PermanentError, match=r"has 1 vector.*needs a text"):
        await replay.send(ask(), on_delta=ignore)


async def test_recorded_tool_calls_are_replayed() -> None:
    broken = {**CALL, "id": "call_b2", "arguments": '{"city": '}
    recorded = {"tool_calls": [CALL, broken], "native": {"thinking": "Hm."}, "provider": "ollama"}
    reply = await build_replay(write=[recorded]).send(ask(), on_delta=ignore)
    assert reply.tool_calls == (CALL, broken)
    assert reply.native == {"thinking": "Hm."}
    assert (reply.text, reply.finish_reason) == ("", "tool_calls")


@pytest.mark.parametrize("more", [{}, {"tool_calls": [CALL]}])
async def test_a_recorded_finish_reason_is_kept(more: dict[str, Any]) -> None:
    recorded = {"text": "Because.", "finish_reason": "length", **more}
    reply = await build_replay(write=[recorded]).send(ask(), on_delta=ignore)
    assert reply.finish_reason == "length"


def test_every_parameter_of_a_spec_is_supported() -> None:
    assert Replay.params == set(ParamsSpec.model_fields) - set(SECTIONS)


async def test_a_recording_has_no_models_and_no_identity() -> None:
    replay = build_replay(write=["one"])
    assert await replay.models() == ()
    assert await replay.identify("m") is None
    assert replay.endpoint == ""


async def test_a_step_without_replies_fails_and_names_the_steps_that_have_some() -> None:
    with pytest.raises(PermanentError, match=r"'draft'.* for: other, write") as caught:
        await build_replay(write=["one"], other=["two"]).send(ask(step="draft"), on_delta=ignore)
    assert caught.value.kind == "environment"


async def test_a_call_beyond_the_recorded_ones_fails_with_their_number() -> None:
    with pytest.raises(
        PermanentError, match=r"call 2 of step .*; the file has 1 for this step"
    ) as caught:
        await build_replay(write=["one"]).send(ask(ordinal=2), on_delta=ignore)
    assert caught.value.kind == "environment"


async def test_a_reply_to_the_same_prompt_is_used() -> None:
    replay = build_replay(write=[{"text": "one", "request": digest_json(prompt_values(ask()))}])
    assert (await replay.send(ask(), on_delta=ignore)).text == "one"


async def test_the_digest_of_a_request_without_tools_has_not_changed() -> None:
    recorded = "614948a26d32904a36a6f2821680bd7771705bf4e7159a70f7cf6fff07ad828c"
    replay = build_replay(write=[{"text": "one", "request": recorded}])
    assert (await replay.send(ask(), on_delta=ignore)).text == "one"


@pytest.mark.parametrize("changes", [{"tools": (CLOCK,)}, {"output_schema": {"type": "object"}}])
async def test_tools_and_a_schema_are_part_of_the_prompt(changes: dict[str, Any]) -> None:
    replay = build_replay(write=[{"text": "one", "request": digest_json(prompt_values(ask()))}])
    with pytest.raises(PermanentError, match="belongs to another request"):
        await replay.send(replace(ask(), **changes), on_delta=ignore)


async def test_a_reply_to_another_prompt_is_refused_before_any_text() -> None:
    heard: list[str] = []
    replay = build_replay(write=[{"text": "one", "request": digest_json(prompt_values(ask()))}])
    with pytest.raises(PermanentError, match="belongs to another request") as caught:
        await replay.send(ask(text="Why not?"), on_delta=heard.append)
    assert caught.value.kind == "bad_request"
    assert heard == []


@pytest.mark.parametrize("kind", ["rate_limit", "timeout", "connection", "server_error"])
async def test_a_recorded_transient_failure_is_a_transient_error(kind: str) -> None:
    replay = build_replay(
        write=[{"error": {"kind": kind, "message": "later", "retry_after_s": 7}}, "then"]
    )
    with pytest.raises(TransientError, match=r"^later$") as caught:
        await replay.send(ask(), on_delta=ignore)
    assert (caught.value.kind, caught.value.retry_after_s) == (kind, 7)
    assert (await replay.send(ask(ordinal=2), on_delta=ignore)).text == "then"


@pytest.mark.parametrize("kind", ["auth", "bad_request", "refused", "context_length"])
async def test_a_recorded_permanent_failure_is_a_permanent_error(kind: str) -> None:
    with pytest.raises(PermanentError, match=f"^recorded failure: {kind}$") as caught:
        await build_replay(write=[{"error": {"kind": kind}}]).send(ask(), on_delta=ignore)
    assert caught.value.kind == kind


async def test_a_recorded_failure_has_its_usage() -> None:
    for kind in ("refused", "protocol"):
        recorded = {"error": {"kind": kind}, "usage": {"input_tokens": 7}}
        with pytest.raises(ProviderError) as caught:
            await build_replay(write=[recorded]).send(ask(), on_delta=ignore)
        assert caught.value.usage == Usage(input_tokens=7)


@pytest.mark.parametrize("outcome", [{"text": "abcdefgh"}, {"error": {"kind": "timeout"}}])
async def test_a_reply_waits_for_its_latency(
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
    assert found.by_step == {"write": (RecordedReply("one"), RecordedReply("two")), "x": ()}


PATTERNS: dict[str, Any] = {
    "replies": {
        "note[*]": ["any", "any again"],
        "note[de-*]": ["German"],
        "note[7]": ["seven"],
        "draft#*/write": ["draft"],
        "draft#1/*": ["first round"],
        "each[*]#2/*": ["second round"],
        "*[x]": ["an x"],
    },
    "default": ["other", "other again"],
}


@pytest.mark.parametrize(
    ("step", "ordinal", "text"),
    [
        ("note[7]", 1, "seven"),
        ("note[0]", 1, "any"),
        ("note[0]", 2, "any again"),
        ("note[0]", 9, "any again"),
        ("note[de-AT]", 1, "German"),
        ("note[x]", 1, "any"),
        ("part[x]", 1, "an x"),
        ("draft#3/write", 1, "draft"),
        ("draft#1/write", 1, "draft"),
        ("draft#1/judge", 1, "first round"),
        ("each[a]#2/judge", 1, "second round"),
        ("each[a]#3/judge", 1, "other"),
        ("note", 1, "other"),
        ("note[0]#1", 1, "other"),
        ("note[0]/a", 3, "other again"),
    ],
)
async def test_own_replies_come_before_the_closest_pattern_and_the_default(
    step: str, ordinal: int, text: str
) -> None:
    turned = {name: PATTERNS["replies"][name] for name in reversed(PATTERNS["replies"])}
    for document in (PATTERNS, {**PATTERNS, "replies": turned}):
        replay = Replay(parse_replies(document), digest=digest_json)
        assert (await replay.send(ask(step, ordinal), on_delta=ignore)).text == text


async def test_a_step_with_own_replies_gets_none_of_a_pattern() -> None:
    replay = Replay(parse_replies(PATTERNS), digest=digest_json)
    with pytest.raises(PermanentError, match=r"call 2 of step 'note\[7\]'; the file has 1"):
        await replay.send(ask("note[7]", 2), on_delta=ignore)


async def test_a_missing_reply_names_the_pattern_that_would_give_it() -> None:
    with pytest.raises(PermanentError, match=r"add one for 'x\[\*\]#\*/y', or a `default`"):
        await build_replay(write=["one"]).send(ask("x[0]#2/y"), on_delta=ignore)


@pytest.mark.parametrize(
    "name",
    ["note[*", "note[**]", "note[*a*]", "no te[*]", "note[*]]", "note[]*", "*note.*", "/*", "a//*"],
)
def test_what_is_no_pattern_is_refused_by_its_place(name: str) -> None:
    with pytest.raises(RepliesError) as caught:
        parse_replies({"replies": {"write": ["one"], name: ["two"]}})
    assert str(caught.value).startswith(f"replies.{name} is not a pattern of step ids")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"replies": {"a[*]": []}}, r"^replies\.a\[\*\] must have at least one reply$"),
        ({"replies": {"a[*]": "one"}}, r"^replies\.a\[\*\] must be a list$"),
        ({"replies": {"a[*]": [7]}}, r"^replies\.a\[\*\]\[0\] must be a text or a mapping$"),
        ({"replies": {}, "default": []}, r"^default must have at least one reply$"),
        ({"replies": {}, "default": "one"}, r"^default must be a list$"),
        ({"replies": {}, "default": None}, r"^default must be a list$"),
        ({"replies": {}, "default": [{"txt": "a"}]}, r"^default\[0\]: unknown key 'txt'"),
        ({"replies": {}, 7: []}, "unknown key '7'"),
    ],
)
def test_replies_for_many_steps_are_checked_with_their_place(document: Any, message: str) -> None:
    with pytest.raises(RepliesError, match=message):
        parse_replies(document)


def test_a_default_needs_no_other_replies() -> None:
    assert parse_replies({"version": 1, "default": ["hi"]}) == parse_replies(
        {"replies": {}, "default": ["hi"]}
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "must have a key `replies`"),
        ({"version": 1}, "must have a key `replies`"),
        ({"replies": None, "default": ["hi"]}, "must have a key `replies`"),
        ({"replies": []}, "must have a key `replies`"),
        ({"replies": {}, "reply": {}}, "unknown key 'reply'"),
        ({"replies": {"write": "one"}}, r"replies\.write must be a list"),
    ],
)
def test_an_invalid_file_is_refused(document: Any, message: str) -> None:
    with pytest.raises(RepliesError, match=message):
        parse_replies(document)


@each_case(
    "entry, message",
    [
        (7, "must be a text or a mapping"),
        ({}, "must have `error`, or else `text` or `tool_calls` or both"),
        (
            {"text": "one", "error": {"kind": "auth"}},
            "must have `error`, or else `text` or `tool_calls` or both",
        ),
        ({"tool_calls": [CALL], "error": {"kind": "auth"}}, "must have `error`, or else `text`"),
        ({"text": "one", "colour": "red"}, "unknown key 'colour'"),
        ({"text": 7}, "text must be a text"),
        ({"text": "one", "model": 7}, "model must be a text"),
        ({"text": "one", "provider": 7}, "provider must be a text"),
        ({"text": "one", "tool_calls": CALL}, "tool_calls must be a list"),
        ({"tool_calls": [CALL, 7]}, r"tool_calls\[1\] must map arguments, id, name"),
        ({"tool_calls": [{"id": "a", "name": "b"}]}, r"tool_calls\[0\] must map"),
        ({"tool_calls": [{**CALL, "colour": "red"}]}, r"tool_calls\[0\] must map"),
        ({"tool_calls": [{**CALL, "id": 7}]}, r"tool_calls\[0\]\.id must be a text"),
        ({"tool_calls": [{**CALL, "name": None}]}, r"tool_calls\[0\]\.name must be a text"),
        ({"tool_calls": [{**CALL, "arguments": []}]}, r"tool_calls\[0\]\.arguments must be"),
        ({"tool_calls": [{**CALL, "arguments": {"on": NOON}}]}, r"\[0\]\.arguments must be"),
        ({"tool_calls": [{**CALL, "arguments": {1: "a"}}]}, r"\[0\]\.arguments must be"),
        ({"text": "one", "native": NOON}, "native must be a JSON value"),
        ({"text": "one", "native": [math.inf]}, "native must be a JSON value"),
        ({"text": "one", "native": NESTED}, "native must be a JSON value"),
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
def test_the_error_for_an_invalid_reply_names_its_place(entry: Any, message: str) -> None:
    with pytest.raises(RepliesError, match=rf"^replies\.write\[1\].*{message}"):
        parse_replies({"replies": {"write": ["one", entry]}})
