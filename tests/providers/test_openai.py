"""How replies of OpenAI's chat completions API, and of compatible servers, are read."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from orc.providers import Message, PermanentError, Provider, Reply, ToolCall, TransientError, Usage
from orc.providers.openai import build
from tests.fault_server import Answer, FaultServer
from tests.providers.acts import USER, ask, ignore
from tests.providers.openai_script import END, SAID, fails, failure, said, send
from tests.providers.stands.openai import DONE, EVENTS, JSON, chunk, counts, event, stream

CALL: dict[str, Any] = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "f", "arguments": '{"x": 1}'},
}


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """The chat completions provider, connected to the scripted server."""
    provider = build({}, f"{server.url}/v1")
    yield provider
    await provider.aclose()


async def answer(server: FaultServer, provider: Provider, *chunks: bytes, **changes: Any) -> Reply:
    """The reply to a request that the server answers with these chunks."""
    server.will(stream(*chunks))
    return await send(provider, **changes)


def called(*calls: dict[str, Any]) -> bytes:
    """A chunk with these pieces of calls."""
    return chunk({"tool_calls": calls})


async def test_a_reply_has_its_model_request_id_and_token_counts(
    server: FaultServer, provider: Provider
) -> None:
    usage = Usage(input_tokens=11, output_tokens=7, cached_tokens=5, reasoning_tokens=3)
    reply = await answer(server, provider, SAID, END, counts(usage), DONE)
    assert reply == Reply("Because.", "m-2026", "stop", usage, request_id="req_1")


@pytest.mark.parametrize(
    "chunks",
    [
        (SAID, END),
        (b": keepalive\n\n", SAID, b": keepalive\n\n", END, DONE),
        (SAID.replace(b"\n", b"\r\n"), END),
        (b"data:" + SAID[6:], END),
        (chunk({"role": "assistant", "content": None}), SAID, chunk({}), END),
        (event({"choices": [{"delta": {"content": "Because."}}]}), END),
        (chunk({"content": "Because."}, "stop"),),
        (event({"choices": [], "prompt_filter_results": []}), SAID, END),
        (event({"object": "ping"}), SAID, END),
        (SAID, chunk({}, ""), END),
        (SAID, event({"choices": [{"index": 1, "delta": {"content": "Or"}}]}), END),
        (SAID, END, event({"choices": None, "usage": None})),
        (SAID, END, event({"usage": {"prompt_tokens": None}})),
    ],
)
async def test_replies_with_missing_or_additional_fields_are_read(
    server: FaultServer, provider: Provider, chunks: tuple[bytes, ...]
) -> None:
    reply = await answer(server, provider, *chunks)
    assert (reply.text, reply.finish_reason, reply.usage) == ("Because.", "stop", Usage())


async def test_request_id_and_model_have_fallbacks(server: FaultServer, provider: Provider) -> None:
    end = event({"id": "c-9", "choices": [{"delta": {}, "finish_reason": "stop"}]})
    server.will(Answer(headers=EVENTS, chunks=(end,)))
    reply = await send(provider)
    assert (reply.model, reply.request_id) == ("m", "c-9")


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((called(CALL),), [("call_1", {"x": 1})]),
        (
            (
                called({**CALL, "function": {"name": "f", "arguments": '{"x"'}}),
                called({"index": 0, "function": {"arguments": ": 1}"}}),
            ),
            [("call_1", {"x": 1})],
        ),
        (
            (
                called({**CALL, "function": {"name": "f", "arguments": ""}}),
                called({**CALL, "index": 1, "id": "call_2"}),
                called({"index": 0, "function": {"arguments": '{"y": 2}'}}),
            ),
            [("call_1", {"y": 2}), ("call_2", {"x": 1})],
        ),
        ((called(CALL, {**CALL, "id": "call_2"}),), [("call_1", {"x": 1}), ("call_2", {"x": 1})]),
        (
            (called({"function": CALL["function"]}, {"function": CALL["function"]}),),
            [("call_1", {"x": 1}), ("call_2", {"x": 1})],
        ),
        ((called({"index": 0, "id": None, "function": CALL["function"]}),), [("call_1", {"x": 1})]),
        ((called({**CALL, "function": {"name": "f"}}),), [("call_1", {})]),
        ((called({**CALL, "function": {"name": "f", "arguments": "[1"}}),), [("call_1", "[1")]),
        (
            (called({**CALL, "function": {"name": "f", "arguments": '{"x":NaN}'}}),),
            [("call_1", '{"x":NaN}')],
        ),
    ],
)
@pytest.mark.parametrize("finish_reason", ["tool_calls", "stop"])
async def test_calls_are_assembled_from_any_pieces(
    server: FaultServer,
    provider: Provider,
    chunks: tuple[bytes, ...],
    expected: list[tuple[str, Any]],
    finish_reason: str,
) -> None:
    reply = await answer(server, provider, *chunks, chunk({}, finish_reason), DONE)
    assert [(call["id"], call["arguments"]) for call in reply.tool_calls] == expected
    assert {call["name"] for call in reply.tool_calls} == {"f"}
    assert reply.finish_reason == "tool_calls"


async def test_a_generated_id_is_unique_in_the_conversation(
    server: FaultServer, provider: Provider
) -> None:
    earlier: ToolCall = {"id": "call_1", "name": "f", "arguments": {}}
    turns: tuple[Message, ...] = (
        USER,
        {"role": "assistant", "content": "", "tool_calls": [earlier]},
        {"role": "tool", "tool_call_id": "call_1", "name": "f", "content": "1"},
    )
    whole = called({"function": CALL["function"]})
    reply = await answer(server, provider, whole, END, messages=turns)
    assert [call["id"] for call in reply.tool_calls] == ["call_2"]


async def test_many_calls_are_assembled_quickly(server: FaultServer, provider: Provider) -> None:
    calls = [called({**CALL, "index": index, "id": f"c{index}"}) for index in range(20_000)]
    server.will(stream(b"".join(calls), END))
    began_s = time.process_time()
    with trio.fail_after(60):
        reply = await provider.send(ask(), on_delta=ignore)
    assert len(reply.tool_calls) == 20_000
    assert time.process_time() - began_s < 10


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ((chunk({"refusal": "I will "}), chunk({"refusal": "not."}), END), "I will not."),
        ((SAID, chunk({}, "content_filter")), "filter"),
    ],
)
async def test_a_refusal_has_a_reason_and_its_usage(
    server: FaultServer, provider: Provider, chunks: tuple[bytes, ...], words: str
) -> None:
    server.will(stream(*chunks, counts(Usage(7, 1)), DONE))
    error = await failure(provider)
    assert isinstance(error, PermanentError)
    assert error.kind == "refused"
    assert words in error.message
    assert error.usage == Usage(7, 1)


async def test_a_finish_reason_of_the_servers_own_is_kept(
    server: FaultServer, provider: Provider
) -> None:
    reply = await answer(server, provider, SAID, chunk({}, "eos\x1b[31m"))
    assert reply.finish_reason == "eos [31m"


@pytest.mark.parametrize(
    "document",
    [
        {"choices": 7},
        {"choices": [7]},
        {"choices": [{"delta": 7}]},
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": [{"delta": {"tool_calls": {}}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": 7}}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": -1}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]},
        {"choices": [{"finish_reason": 7}]},
    ],
)
async def test_a_chunk_of_another_shape_is_a_protocol_error(
    server: FaultServer, provider: Provider, document: Any
) -> None:
    server.will(stream(SAID, event(document), END, DONE))
    error = await failure(provider)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"


async def test_more_reasoning_than_output_is_counted_beside_it(
    server: FaultServer, provider: Provider
) -> None:
    reply = await answer(server, provider, END, counts(Usage(3, 2, 30, 20)), DONE)
    assert reply.usage == Usage(3, 22, 3, 20)


async def test_a_lone_surrogate_does_not_reach_the_text(
    server: FaultServer, provider: Provider
) -> None:
    reply = await answer(server, provider, chunk({"content": "a\ud800b"}), END)
    assert reply.text == "a\ufffdb"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "no", "type": "server_error", "code": None}, "server_error"),
        ({"message": "no", "code": "rate_limit_exceeded"}, "rate_limit"),
        ({"message": "no", "code": 429}, "rate_limit"),
        ({"message": "no", "code": "502"}, "server_error"),
        ({"message": "no", "type": "invalid_request_error"}, "bad_request"),
        ({"message": "no", "code": "context_length_exceeded"}, "context_length"),
        ({"message": "no", "code": "content_filter"}, "refused"),
        ({"message": "no", "code": "9" * 5000}, "server_error"),
        ("no", "server_error"),
        (["no"], "server_error"),
    ],
)
async def test_an_error_in_the_stream_determines_the_kind_of_the_failure(
    server: FaultServer, provider: Provider, error: Any, kind: str
) -> None:
    server.will(stream(SAID, event({"error": error})))
    found = await failure(provider)
    assert found.kind == kind
    assert "no" in found.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, said("too long", code="context_length_exceeded")),
        (400, said("This model's maximum context length is 8 tokens. However, ...")),
        (400, b'{"object": "error", "message": "the model\'s maximum context length is 8"}'),
        (400, said("no", type="exceed_context_size_error")),
        (500, said("the request exceeds the available context size, try increasing it")),
        (400, said("Your input exceeds the context window of this model.")),
        (400, said("prompt too long; exceeded max context length by 9 tokens")),
    ],
)
async def test_a_too_long_prompt_is_recognised_by_code_or_message(
    server: FaultServer, provider: Provider, status: int, body: bytes
) -> None:
    server.will(fails(status, body, *JSON))
    error = await failure(provider)
    assert isinstance(error, PermanentError)
    assert error.kind == "context_length"


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "unknown field: context", "bad_request"),
        (429, "maximum context length", "rate_limit"),
        (401, "maximum context length", "auth"),
    ],
)
async def test_other_messages_do_not_change_the_kind_of_a_failure(
    server: FaultServer, provider: Provider, status: int, words: str, kind: str
) -> None:
    server.will(fails(status, said(words), *JSON))
    assert (await failure(provider)).kind == kind


async def test_a_prompt_that_a_filter_stops_is_refused(
    server: FaultServer, provider: Provider
) -> None:
    server.will(fails(400, said("filtered", code="content_filter"), *JSON))
    assert (await failure(provider)).kind == "refused"
