"""The requests to OpenAI's responses API: items, tools, output formats, reasoning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from orc.providers import Message, PermanentError, Provider, Reply, ToolCall
from orc.providers.openai_responses import build
from tests.fault_server import FaultServer
from tests.providers.acts import USER, WEATHER
from tests.providers.openai_script import failure, send
from tests.providers.stands.openai import stream
from tests.providers.stands.openai_responses import (
    BEGIN,
    call_item,
    delta,
    end,
    text_item,
)

SCHEMA: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
CALL: ToolCall = {"id": "call_1", "name": "find_weather", "arguments": {"city": "Köln"}}
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


async def sent(server: FaultServer, provider: Provider, **changes: Any) -> dict[str, Any]:
    """The body that the provider sends for a request."""
    await answer(server, provider, end(), **changes)
    body = server.requests[-1].json()
    assert isinstance(body, dict)
    return body


async def test_a_request_has_the_documented_format(server: FaultServer, provider: Provider) -> None:
    image: Message = {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image", "media_type": "image/png", "data": "aW1n"},
        ],
    }
    params = {"max_tokens": 7, "top_p": 0.5, "reasoning_effort": "low"}
    body = await sent(
        server,
        provider,
        messages=(USER, image),
        system="Be brief.",
        params=params,
        tools=(WEATHER,),
    )
    assert body == {
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "Why?"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,aW1n"},
                ],
            },
        ],
        "stream": True,
        "store": False,
        "max_output_tokens": 7,
        "top_p": 0.5,
        "reasoning": {"effort": "low"},
        "tools": [{"type": "function", **WEATHER, "strict": False}],
    }
    assert server.requests[0].target == "/v1/responses"


async def test_a_message_with_tools_has_the_documented_format(
    server: FaultServer, provider: Provider
) -> None:
    turns: tuple[Message, ...] = (
        USER,
        {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "name": "find_weather", "content": "rain"},
        {"role": "assistant", "content": "Rain."},
        {"role": "assistant", "content": "", "tool_calls": [{**CALL, "arguments": '{"ci'}]},
    )
    body = await sent(server, provider, messages=turns)
    call = {"type": "function_call", "call_id": "call_1", "name": "find_weather"}
    assert body["input"][1:] == [
        {"role": "assistant", "content": "Let me look."},
        {**call, "arguments": '{"city": "Köln"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"role": "assistant", "content": "Rain."},
        {**call, "arguments": '{"arguments": "{\\"ci"}'},
    ]


@pytest.mark.parametrize(
    ("asked", "form"),
    [
        ({}, None),
        ({"json_output": True}, {"type": "json_object"}),
        (
            {"json_output": True, "output_schema": SCHEMA},
            {"type": "json_schema", "name": "output", "schema": SCHEMA, "strict": True},
        ),
        (
            {"output_schema": {"type": "object"}},
            {
                "type": "json_schema",
                "name": "output",
                "schema": {"type": "object"},
                "strict": False,
            },
        ),
    ],
)
async def test_the_output_format_is_sent(
    server: FaultServer, provider: Provider, asked: dict[str, Any], form: Any
) -> None:
    assert (await sent(server, provider, **asked)).get("text", {}).get("format") == form


@pytest.mark.parametrize("key", ["input", "instructions", "store"])
async def test_an_option_cannot_replace_a_field_of_the_request(
    server: FaultServer, provider: Provider, key: str
) -> None:
    error = await failure(provider, options={key: 1})
    assert isinstance(error, PermanentError)
    assert repr(key) in error.message
    assert server.requests == []


async def test_reasoning_is_sent_back_unchanged(server: FaultServer, provider: Provider) -> None:
    output = [THOUGHT, text_item("Let me look."), call_item(CALL)]
    reply = await answer(server, provider, delta("Let me look."), end(*output))
    assert reply.native == output
    turn: Message = {
        "role": "assistant",
        "content": reply.text,
        "tool_calls": list(reply.tool_calls),
        "native": {"provider": "openai-responses", "content": reply.native},
    }
    result: Message = {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
    body = await sent(server, provider, messages=(USER, turn, result))
    assert body["input"][1:-1] == output
