"""How Anthropic's provider reads replies: text, tool calls, thinking, counts, finish reasons."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orc.providers import Message, PermanentError, Provider, Reply, Request, ToolCall, Usage
from orc.providers.anthropic import build
from tests.fault_server import FaultServer, Wait
from tests.providers.acts import CLOCK, USER
from tests.providers.anthropic_script import (
    SSE,
    Fields,
    ask,
    block,
    call,
    end,
    event,
    failure,
    sent,
    start,
    stream,
    text,
    text_deltas,
    thought,
)

PING = event("ping")
SEARCH: Fields = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}
FOUND: Fields = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"a": 1}]}
REDACTED: Fields = {"type": "redacted_thinking", "data": "b3BhcXVl"}
NOVEL: Fields = {"type": "novel_block", "input": "x", "text": {"y": [1]}, "id": 7}


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """Anthropic's provider, connected to the scripted server."""
    provider = build({}, server.url)
    yield provider
    await provider.aclose()


async def test_a_reply_has_its_model_request_id_and_token_counts(
    server: FaultServer, provider: Provider
) -> None:
    begun = start(input_tokens=3, cache_read_input_tokens=5, cache_creation_input_tokens=7)
    last = end(output_tokens=11, output_tokens_details={"thinking_tokens": 2})
    server.will(stream(begun, text("Be", "cause."), last))
    usage = Usage(15, 11, cached_tokens=5, reasoning_tokens=2, cache_write_tokens=7)
    assert await ask(provider) == Reply("Because.", "claude-m-1", "stop", usage, request_id="req_1")


@pytest.mark.parametrize("mark", [b"", b"data: [DONE]\n\n"], ids=["", "done"])
async def test_events_without_names_are_understood_by_their_types(
    server: FaultServer, provider: Provider, mark: bytes
) -> None:
    whole = [start(input_tokens=3), PING, text("Be", "cause."), end(output_tokens=2)]
    server.will(stream(*(re.sub(rb"event: [a-z_]+\n", b"", part) for part in whole), mark))
    reply = await ask(provider)
    assert (reply.text, reply.usage) == ("Because.", Usage(3, 2))


async def test_an_error_without_a_name_is_that_failure(
    server: FaultServer, provider: Provider
) -> None:
    broken = event("error", error={"type": "overloaded_error", "message": "busy"})
    server.will(stream(start(), text("Be"), broken.replace(b"event: error\n", b"")))
    assert (await failure(provider)).kind == "server_error"


async def test_the_last_counts_are_used(server: FaultServer, provider: Provider) -> None:
    early = event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 4})
    begun = start(input_tokens=3, cache_read_input_tokens=5)
    stop = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5})
    late = event("message_delta", delta={}, usage={"output_tokens": 11, "input_tokens": 30})
    server.will(stream(begun, early, stop, late, event("message_stop")))
    assert (await ask(provider)).usage == Usage(35, 11, cached_tokens=5)


async def test_missing_counts_are_unknown(server: FaultServer, provider: Provider) -> None:
    begun = event("message_start", message={})
    last = event("message_delta", delta={"stop_reason": "end_turn"}, usage=None)
    server.will(stream(begun, text("Because."), last, event("message_stop"), headers=SSE[:1]))
    expected = Reply("Because.", "m-9", "stop", Usage(), is_counted=False)
    assert await ask(provider, model="m-9") == expected


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "paused"),
        ("compac\u202etion\x1b[31m", "compaction [31m"),
    ],
)
async def test_a_reply_has_a_finish_reason(
    server: FaultServer, provider: Provider, stop_reason: str, finish_reason: str
) -> None:
    server.will(stream(start(), text("Because"), end(stop_reason)))
    assert (await ask(provider)).finish_reason == finish_reason


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        (None, "Anthropic's model refused to answer"),
        ({"category": "bio", "explanation": None}, "Anthropic's model refused to answer (bio)"),
        (
            {"category": "bio", "explanation": "No\x1b[31m."},
            "Anthropic's model refused to answer (bio: No [31m.)",
        ),
    ],
)
async def test_a_refusal_has_a_reason_and_its_usage(
    server: FaultServer, provider: Provider, details: Any, shown: str
) -> None:
    last = end("refusal", details=details, output_tokens=2)
    server.will(stream(start(input_tokens=9), text("Well"), last))
    error = await failure(provider)
    assert isinstance(error, PermanentError)
    assert error.kind == "refused"
    assert error.message == shown
    assert error.usage == Usage(9, 2)


async def test_text_is_reported_as_it_arrives_and_thinking_is_not(
    server: FaultServer, provider: Provider, autojump_clock: MockClock
) -> None:
    hm: Fields = {"type": "thinking_delta", "thinking": "Hm."}
    pieces = [event("content_block_delta", index=1, delta=delta) for delta in text_deltas("ab")]
    begun = event("content_block_start", index=1, content_block={"type": "text", "text": ""})
    thinking = block({"type": "thinking", "thinking": ""}, hm)
    server.will(
        stream(start(), thinking, Wait(10), begun, pieces[0], PING, Wait(10), pieces[1], end())
    )
    heard: list[tuple[float, str]] = []
    begun_s = trio.current_time()
    with trio.fail_after(600):
        reply = await provider.send(
            Request(model="m", messages=(USER,)),
            on_delta=lambda piece: heard.append((trio.current_time() - begun_s, piece)),
        )
    assert [piece for _, piece in heard] == ["a", "b"]
    assert [at_s for at_s, _ in heard] == pytest.approx([10, 20])
    assert reply.text == "ab"


async def test_the_reply_does_not_depend_on_the_chunks(
    server: FaultServer, provider: Provider
) -> None:
    whole = (start() + text("Größe 😀") + end()).replace(b"\n", b"\r\n")
    server.will(stream(*(whole[i : i + 1] for i in range(len(whole)))), stream(whole))
    assert (await ask(provider)).text == "Größe 😀"
    assert (await ask(provider)).text == "Größe 😀"


@pytest.mark.parametrize(
    "noise",
    [
        PING,
        b": keep-alive\n\n",
        event("novelty", index=70, x=[1]),
        b"retry: 10\n\n",
        event("content_block_delta", index=0, delta={"type": "novel_delta", "x": 1}),
    ],
)
async def test_unknown_events_are_ignored(
    server: FaultServer, provider: Provider, noise: bytes
) -> None:
    early = noise if b"novel_delta" not in noise else b""
    server.will(stream(early, start(), early, text("Because."), noise, end(), early))
    assert (await ask(provider)).text == "Because."


async def test_lone_surrogates_are_replaced(server: FaultServer, provider: Provider) -> None:
    server.will(stream(start(), text("a\ud800"), end()))
    assert (await ask(provider)).text == "a\ufffd"


@pytest.mark.parametrize(
    ("pieces", "arguments"),
    [
        ((), {}),
        (("",), {}),
        (('{"zone"', ': "U', 'TC"}'), {"zone": "UTC"}),
        (('{"zone": "UTC"',), '{"zone": "UTC"'),
        (('["UTC"]',), '["UTC"]'),
        (('{"zone": NaN}',), '{"zone": NaN}'),
        (("[" * 100_000,), "[" * 100_000),
        (('"\ud800"',), '"\ufffd"'),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_call_has_what_the_model_wrote_for_it(
    server: FaultServer, provider: Provider, pieces: tuple[str, ...], arguments: Any
) -> None:
    server.will(stream(start(), call(*pieces), end("tool_use")))
    reply = await ask(provider, tools=(CLOCK,))
    wanted: ToolCall = {"id": "toolu_1", "name": "read_clock", "arguments": arguments}
    assert reply.tool_calls == (wanted,)
    assert reply.finish_reason == "tool_calls"


async def test_a_call_that_was_cut_before_its_input_has_text_arguments(
    server: FaultServer, provider: Provider
) -> None:
    server.will(stream(start(), call(), call(index=1, id_="toolu_2"), end("max_tokens")))
    reply = await ask(provider, tools=(CLOCK,))
    assert [wanted["arguments"] for wanted in reply.tool_calls] == [{}, ""]
    assert reply.finish_reason == "length"


async def test_a_call_makes_the_finish_reason_tool_calls(
    server: FaultServer, provider: Provider
) -> None:
    server.will(stream(start(), call("{}"), end("end_turn")))
    assert (await ask(provider, tools=(CLOCK,))).finish_reason == "tool_calls"


async def test_a_reply_of_text_alone_has_no_native_content(
    server: FaultServer, provider: Provider
) -> None:
    server.will(stream(start(), text("Be"), text("cause.", index=1), end()))
    reply = await ask(provider)
    assert (reply.text, reply.native) == ("Because.", None)


@pytest.mark.parametrize(
    ("events", "content"),
    [
        (
            thought("Hm, ", "time."),
            [{"type": "thinking", "thinking": "Hm, time.", "signature": "c2ln"}],
        ),
        (thought("Hm", signature=""), []),
        (block(REDACTED), [REDACTED]),
        (block(FOUND), [FOUND]),
        (block(NOVEL), [NOVEL]),
        (
            block(SEARCH, {"type": "input_json_delta", "partial_json": '{"query": "x"}'}),
            [{**SEARCH, "input": {"query": "x"}}],
        ),
        (call('{"a"'), [{**SEARCH, "type": "tool_use", "id": "toolu_1", "name": "read_clock"}]),
    ],
    ids=["thought", "unsigned", "redacted", "found", "novel", "search", "broken call"],
)
async def test_blocks_are_sent_back_unchanged(
    server: FaultServer, provider: Provider, events: bytes, content: list[Fields]
) -> None:
    if b"tool_use" in events and b"toolu_1" in events:
        content = [{**content[0], "input": {"INVALID_JSON": '{"a"'}}]
    cited: Fields = {"type": "citations_delta", "citation": {"cited_text": "c"}}
    said = block({"type": "text", "text": "", "citations": []}, *text_deltas("ab"), cited, index=1)
    server.will(stream(start(), events, said, text("", index=2), end()))
    reply = await ask(provider, tools=(CLOCK,))
    whole = {"type": "text", "text": "ab", "citations": [{"cited_text": "c"}]}
    assert reply.native == [*content, whole]
    assert reply.text == "ab"
    again: Message = {
        "role": "assistant",
        "content": reply.text,
        "tool_calls": list(reply.tool_calls),
        "native": {"provider": "anthropic", "content": reply.native},
    }
    body = await sent(server, provider, messages=(USER, again), tools=(CLOCK,))
    assert body["messages"][1] == {"role": "assistant", "content": reply.native}
