"""How replies of OpenAI's responses API are read: items, events and endings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from orc.providers import Message, PermanentError, Provider, Reply, ToolCall, TransientError, Usage
from orc.providers.openai_responses import build
from tests.fault_server import Answer, FaultServer
from tests.providers.acts import USER
from tests.providers.openai_script import failure, send
from tests.providers.stands.openai import EVENTS, event, stream
from tests.providers.stands.openai_responses import (
    BEGIN,
    call_item,
    delta,
    end,
    named,
    text_item,
)

CALL: ToolCall = {"id": "call_1", "name": "find_weather", "arguments": {"city": "Köln"}}
ARGUMENTS = "response.function_call_arguments"
WRITTEN = call_item(CALL)["arguments"]
ADDED = named(
    "response.output_item.added", output_index=0, item={**call_item(CALL), "arguments": ""}
)
THOUGHT: dict[str, Any] = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [],
    "encrypted_content": "c2VjcmV0",
}


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """The responses API provider, connected to the scripted server."""
    provider = build({}, f"{server.url}/v1")
    yield provider
    await provider.aclose()


async def answer(server: FaultServer, provider: Provider, *events: bytes, **changes: Any) -> Reply:
    """The reply to a request that the server answers with these events."""
    server.will(stream(BEGIN, *events))
    return await send(provider, **changes)


async def test_a_reply_has_its_model_request_id_and_token_counts(
    server: FaultServer, provider: Provider
) -> None:
    usage = Usage(input_tokens=11, output_tokens=7, cached_tokens=5, reasoning_tokens=3)
    reply = await answer(server, provider, delta("Be"), end(text_item("Be"), usage=usage))
    assert reply == Reply("Be", "m-2026", "stop", usage, request_id="req_1")


async def test_the_request_id_falls_back_to_the_response_id(
    server: FaultServer, provider: Provider
) -> None:
    server.will(Answer(headers=EVENTS, chunks=(end(),)))
    assert (await send(provider)).request_id == "resp_1"


@pytest.mark.parametrize(
    "events",
    [
        (delta("Be"), delta("cause"), end(text_item("Because"))),
        (delta("Because"), end()),
        (end(text_item("Because")),),
        (named("response.output_item.done", item=text_item("Because")), end()),
        (named("response.output_text.done", text="Because"), end()),
        (delta("Be"), delta("cause"), named("response.output_text.done", text="Because"), end()),
        (
            named("response.output_text.done", text="Because"),
            named("response.content_part.done", part={"type": "output_text", "text": "Because"}),
            named("response.output_item.done", item=text_item("")),
            end(text_item("")),
        ),
        (
            named("response.content_part.done", part={"type": "output_text", "text": "Because"}),
            end(),
        ),
        (delta("Because"), named("response.completed", response={})),
        (delta("Because"), named("response.completed", response={"output": None, "usage": None})),
        (event({"type": "response.output_text.delta", "delta": "Because"}), end()),
        (event({"no": "type"}), named("response.new_thing", item=7), delta("Because"), end()),
        (named("response.reasoning_text.delta", delta="Hm"), delta("Because"), end()),
    ],
)
async def test_the_text_is_complete_however_it_is_sent(
    server: FaultServer, provider: Provider, events: tuple[bytes, ...]
) -> None:
    reply = await answer(server, provider, *events)
    assert (reply.text, reply.finish_reason, reply.usage) == ("Because", "stop", Usage())


@pytest.mark.parametrize(
    "events",
    [
        (end(call_item(CALL)),),
        (named("response.output_item.done", item=call_item(CALL)), end()),
        (named("response.output_item.done", item=call_item(CALL)), end(call_item(CALL))),
        (ADDED, named(f"{ARGUMENTS}.done", output_index=0, arguments=WRITTEN), end()),
        (
            ADDED,
            named(f"{ARGUMENTS}.done", output_index=0, arguments=WRITTEN),
            end(call_item(CALL)),
        ),
        (
            ADDED,
            named(f"{ARGUMENTS}.delta", output_index=0, delta=WRITTEN[:4]),
            named(f"{ARGUMENTS}.delta", output_index=0, delta=WRITTEN[4:]),
            end(),
        ),
        (
            named(f"{ARGUMENTS}.done", call_id=CALL["id"], name=CALL["name"], arguments=WRITTEN),
            end(),
        ),
    ],
)
async def test_a_call_is_read_once_however_it_is_sent(
    server: FaultServer, provider: Provider, events: tuple[bytes, ...]
) -> None:
    reply = await answer(server, provider, *events)
    assert reply.tool_calls == (CALL,)
    assert reply.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "events",
    [
        (named("response.refusal.done", refusal="I will not."), end()),
        (named("response.refusal.delta", delta="I will not."), end()),
        (
            named("response.content_part.done", part={"type": "refusal", "refusal": "I will not."}),
            end(),
        ),
    ],
)
async def test_a_refusal_is_read_however_it_is_sent(
    server: FaultServer, provider: Provider, events: tuple[bytes, ...]
) -> None:
    with pytest.raises(PermanentError, match="I will not") as caught:
        await answer(server, provider, *events)
    assert caught.value.kind == "refused"


async def test_a_call_without_an_id_gets_one_that_is_new_to_the_conversation(
    server: FaultServer, provider: Provider
) -> None:
    turns: tuple[Message, ...] = (USER, {"role": "assistant", "tool_calls": [CALL]})
    item = {"type": "function_call", "name": "f", "arguments": ""}
    reply = await answer(server, provider, end(item), messages=turns)
    assert reply.tool_calls == ({"id": "call_2", "name": "f", "arguments": {}},)


@pytest.mark.parametrize(
    "output",
    [
        [text_item("Because"), call_item(CALL)],
        [{**THOUGHT, "encrypted_content": None}, call_item(CALL)],
        [THOUGHT, {**THOUGHT, "encrypted_content": ""}, call_item(CALL)],
    ],
    ids=["no thought", "a thought that is kept nowhere", "one of two"],
)
async def test_a_reply_without_readable_reasoning_has_no_native_content(
    server: FaultServer, provider: Provider, output: list[dict[str, Any]]
) -> None:
    assert (await answer(server, provider, end(*output))).native is None


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [("max_output_tokens", "length"), ("max_messages", "max_messages"), (None, "incomplete")],
)
async def test_a_truncated_reply_has_its_reason(
    server: FaultServer, provider: Provider, reason: str | None, finish_reason: str
) -> None:
    last = end(text_item("Be"), status="incomplete", incomplete_details={"reason": reason})
    reply = await answer(server, provider, delta("Be"), last)
    assert (reply.text, reply.finish_reason) == ("Be", finish_reason)


async def test_an_incomplete_response_is_recognised_by_its_status(
    server: FaultServer, provider: Provider
) -> None:
    last = named("response.completed", response={"status": "incomplete"})
    reply = await answer(server, provider, delta("Be"), last)
    assert (reply.text, reply.finish_reason) == ("Be", "incomplete")


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (end(text_item("", type="refusal", refusal="I will not."), usage=Usage(7, 1)), "I will"),
        (
            end(
                status="incomplete",
                incomplete_details={"reason": "content_filter"},
                usage=Usage(7, 1),
            ),
            "filter",
        ),
        (
            end(
                status="failed",
                error={"code": "bio_policy", "message": "I will not."},
                usage=Usage(7, 1),
            ),
            "I will",
        ),
    ],
)
async def test_a_refusal_has_a_reason_and_its_usage(
    server: FaultServer, provider: Provider, last: bytes, words: str
) -> None:
    server.will(stream(BEGIN, last))
    error = await failure(provider)
    assert isinstance(error, PermanentError)
    assert error.kind == "refused"
    assert words in error.message
    assert error.usage == Usage(7, 1)


FAILURES: list[tuple[Any, str]] = [
    ({"code": "server_error", "message": "no"}, "server_error"),
    ({"code": "vector_store_timeout", "message": "no"}, "server_error"),
    ({"code": "rate_limit_exceeded", "message": "no"}, "rate_limit"),
    ({"code": "invalid_prompt", "message": "no"}, "bad_request"),
    ({"code": "image_too_large", "message": "no"}, "bad_request"),
    ({"code": "image_content_policy_violation", "message": "no"}, "refused"),
    ({"code": "context_length_exceeded", "message": "no"}, "context_length"),
    ({"message": "no: your input exceeds the context window of this model"}, "context_length"),
    ({"code": None, "message": "no"}, "server_error"),
]


@pytest.mark.parametrize(("error", "kind"), FAILURES)
async def test_a_failed_response_determines_the_kind_of_the_failure(
    server: FaultServer, provider: Provider, error: Any, kind: str
) -> None:
    server.will(stream(BEGIN, delta("Be"), end(status="failed", error=error, usage=Usage(7, 1))))
    found = await failure(provider)
    assert found.kind == kind
    assert "no" in found.message
    assert found.usage == Usage(7, 1)


@pytest.mark.parametrize(("error", "kind"), FAILURES)
@pytest.mark.parametrize("form", ["flat", "nested"])
async def test_an_error_event_determines_the_kind_of_the_failure(
    server: FaultServer, provider: Provider, error: Any, kind: str, form: str
) -> None:
    flat = named("error", **error, param=None)
    server.will(stream(BEGIN, flat if form == "flat" else named("error", error=error)))
    found = await failure(provider)
    assert found.kind == kind
    assert "no" in found.message


async def test_a_failed_response_without_a_message_is_a_server_error(
    server: FaultServer, provider: Provider
) -> None:
    server.will(stream(BEGIN, end(status="failed", error=None)))
    assert (await failure(provider)).kind == "server_error"


@pytest.mark.parametrize(
    "last",
    [
        delta("Be"),
        b"data: [DONE]\n\n",
        named("response.completed"),
        named("response.completed", response=7),
        named("response.completed", response={"output": 7}),
        named("response.completed", response={"output": [7]}),
        end({"type": "message", "content": 7}),
        end({"type": "message", "content": [{"text": 7}]}),
        end({"type": "function_call", "arguments": "{}"}),
        named("response.output_text.delta", delta=7),
        named("response.output_text.delta"),
        named("response.output_item.done", item=7),
        event({"type": 7}),
        event([]),
    ],
)
async def test_a_stream_of_another_shape_is_a_protocol_error(
    server: FaultServer, provider: Provider, last: bytes
) -> None:
    server.will(stream(BEGIN, last))
    error = await failure(provider)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"
