"""The requests of OpenAI's chat completions provider: bodies and schemas."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from orc.providers import Message, PermanentError, Provider, ToolCall
from orc.providers.openai import OpenAI, build
from orc.providers.openai_body import is_strict
from tests.each_case import each_case
from tests.fault_server import FaultServer
from tests.providers.acts import USER, WEATHER
from tests.providers.openai_script import END, SAID, failure, send
from tests.providers.stands.openai import DONE, stream

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"why": {"type": "string"}},
    "required": ["why"],
    "additionalProperties": False,
}


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """The chat completions provider, connected to the scripted server."""
    provider = build({}, f"{server.url}/v1")
    yield provider
    await provider.aclose()


async def sent(server: FaultServer, provider: Provider, **changes: Any) -> dict[str, Any]:
    """The body that the provider sends for a request."""
    server.will(stream(SAID, END, DONE))
    await send(provider, **changes)
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
    request = {"system": "Be brief.", "params": {"max_tokens": 7, "stop": "\n"}}
    body = await sent(server, provider, messages=(USER, image), **request)
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why?"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n"}},
                ],
            },
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 7,
        "max_tokens": 7,
        "stop": "\n",
    }
    seen = server.requests[0]
    assert (seen.method, seen.target) == ("POST", "/v1/chat/completions")
    assert seen.headers["content-type"] == "application/json"


async def test_a_message_with_tools_has_the_documented_format(
    server: FaultServer, provider: Provider
) -> None:
    call: ToolCall = {"id": "c1", "name": "find_weather", "arguments": {"city": "Köln"}}
    half: ToolCall = {"id": "c2", "name": "find_weather", "arguments": '{"ci'}
    turns: tuple[Message, ...] = (
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call, half]},
        {"role": "tool", "tool_call_id": "c1", "name": "find_weather", "content": "rain"},
    )
    body = await sent(server, provider, messages=turns, tools=(WEATHER,))
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "find_weather", "arguments": '{"city": "Köln"}'},
                },
                {
                    "id": "c2",
                    "type": "function",
                    "function": {"name": "find_weather", "arguments": '{"arguments": "{\\"ci"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]
    function = {**WEATHER, "strict": False}  # A value of its enum has no type.
    assert body["tools"] == [{"type": "function", "function": function}]


@pytest.mark.parametrize(
    ("asked", "form"),
    [
        ({}, None),
        ({"json_output": True}, {"type": "json_object"}),
        (
            {"json_output": True, "output_schema": SCHEMA},
            {
                "type": "json_schema",
                "json_schema": {"name": "output", "schema": SCHEMA, "strict": True},
            },
        ),
        (
            {"output_schema": {"type": "object"}},
            {
                "type": "json_schema",
                "json_schema": {"name": "output", "schema": {"type": "object"}, "strict": False},
            },
        ),
    ],
)
async def test_the_output_format_is_sent(
    server: FaultServer, provider: Provider, asked: dict[str, Any], form: Any
) -> None:
    assert (await sent(server, provider, **asked)).get("response_format") == form


@pytest.mark.parametrize("key", ["messages", "response_format", "stream_options"])
async def test_an_option_cannot_replace_a_field_of_the_request(
    server: FaultServer, provider: Provider, key: str
) -> None:
    error = await failure(provider, options={key: 1})
    assert isinstance(error, PermanentError)
    assert repr(key) in error.message
    assert server.requests == []


@pytest.mark.parametrize("role", ["assistant", "system", "tool"])
async def test_an_image_in_an_unsupported_place_is_refused(
    server: FaultServer, provider: Provider, role: Any
) -> None:
    image: Any = {"type": "image", "media_type": "image/png", "data": "aW1n"}
    message: Message = {"role": role, "tool_call_id": "c1", "content": [image]}
    assert isinstance(await failure(provider, messages=(message,)), PermanentError)
    assert server.requests == []


CLOSED: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def closed(**properties: Any) -> dict[str, Any]:
    """A closed object with these properties, all required."""
    return {**CLOSED, "properties": properties, "required": list(properties)}


def nested(depth: int) -> dict[str, Any]:
    """Nested objects of this depth."""
    return closed(inner=nested(depth - 1)) if depth else CLOSED


@pytest.mark.parametrize(
    "schema",
    [
        CLOSED,
        closed(why={"type": "string"}),
        closed(why={"type": ["string", "null"], "description": "d", "pattern": "a"}),
        closed(why={"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1}),
        closed(why={"anyOf": [{"type": "string", "format": "date"}, closed()]}),
        closed(why={"type": "string", "enum": ["a", "b"]}, how={"type": "string", "const": "c"}),
        {**closed(why={"$ref": "#/$defs/w"}), "$defs": {"w": {"type": "number"}}},
        nested(10),
    ],
)
def test_a_schema_within_the_published_subset_is_strict(schema: dict[str, Any]) -> None:
    assert is_strict(schema)


@each_case(
    "schema",
    [
        {},
        {"type": "array", "items": {"type": "string"}},
        {"type": "object"},
        {**CLOSED, "additionalProperties": True},
        {**CLOSED, "additionalProperties": 0},
        {**CLOSED, "properties": {"why": {"type": "string"}}},
        {**closed(why={"type": "string"}), "required": []},
        {**CLOSED, "required": ["why"]},
        {**CLOSED, "anyOf": [CLOSED]},
        closed(why={}),
        closed(why=True),
        closed(why={"enum": ["a"]}),
        closed(why={"type": "array"}),
        closed(why={"type": "object"}),
        closed(why={"anyOf": [{"type": "object"}]}),
        closed(why={"type": "array", "items": {"type": "object"}}),
        closed(why={"type": "string", "minLength": 1}),
        closed(why={"type": "string", "default": "a"}),
        closed(why={"type": "string", "format": "uri"}),
        closed(why={"allOf": [{"type": "string"}]}),
        closed(why={"type": "integer", "enum": list(range(1001))}),
        {**CLOSED, "$defs": {"w": {"type": "object"}}},
        closed(**{f"p{number}": {"type": "string"} for number in range(5001)}),
        nested(11),
        nested(500),
    ],
)
def test_a_schema_outside_the_published_subset_is_not_strict(schema: Any) -> None:
    assert not is_strict(schema)


@pytest.mark.parametrize(
    ("base_url", "is_vendors_own"),
    [
        (None, True),
        ("http://localhost:11434/v1", False),
        ("https://api.openai.com.evil.org", False),
    ],
)
async def test_only_other_servers_are_sent_the_older_name_of_the_limit(
    base_url: str | None, is_vendors_own: bool
) -> None:
    provider = build({"OPENAI_API_KEY": "sk-test"}, base_url)
    assert isinstance(provider, OpenAI)
    assert provider._is_vendors_own is is_vendors_own
    await provider.aclose()


async def test_an_unsupported_schema_is_in_the_system_text(
    server: FaultServer, provider: Provider
) -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    body = await sent(server, provider, output_schema=schema, json_output=True)
    assert "response_format" not in body
    assert json.dumps(schema) in body["messages"][0]["content"]
