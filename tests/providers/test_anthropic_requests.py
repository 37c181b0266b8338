"""The exact body and headers that Anthropic's provider sends for each kind of request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from orc.providers import Message, Provider, Tool
from orc.providers.anthropic import build
from tests.fault_server import FaultServer
from tests.providers.acts import CLOCK, USER, WEATHER
from tests.providers.anthropic_script import KEY, failure, sent

PLAIN = {
    "model": "m",
    "stream": True,
    "messages": [{"role": "user", "content": "Why?"}],
    "max_tokens": 8192,
}
INSTRUCTION = "Answer with one JSON value and nothing else."
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """Anthropic's provider, connected to the scripted server."""
    provider = build({"ANTHROPIC_API_KEY": KEY}, server.url)
    yield provider
    await provider.aclose()


async def test_a_plain_request_has_only_required_fields(
    server: FaultServer, provider: Provider
) -> None:
    assert await sent(server, provider) == PLAIN


async def test_a_request_says_who_asks_and_in_which_version(
    server: FaultServer, provider: Provider
) -> None:
    await sent(server, provider)
    seen = server.requests[0]
    assert (seen.method, seen.target) == ("POST", "/v1/messages")
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["anthropic-version"] == "2026-10-21"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["x-stainless-retry-count"] == "0"


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"params": {"max_tokens": 5}}, {"max_tokens": 5}),
        ({"params": {"stop": "END"}}, {"stop_sequences": ["END"]}),
        ({"params": {"stop": ["A", "B"]}}, {"stop_sequences": ["A", "B"]}),
        ({"params": {"reasoning_effort": "high"}}, {"output_config": {"effort": "high"}}),
        ({"params": {"reasoning_effort": "minimal"}}, {"output_config": {"effort": "low"}}),
        ({"params": {"reasoning_effort": "none"}}, {"thinking": {"type": "disabled"}}),
        ({"options": {"metadata": {"user_id": "u"}}}, {"metadata": {"user_id": "u"}}),
        ({"options": {"temperature": 0}}, {"temperature": 0}),
        ({"json_output": True}, {"system": INSTRUCTION}),
        ({"json_output": True, "system": "Be brief."}, {"system": f"Be brief.\n\n{INSTRUCTION}"}),
    ],
    ids=str,
)
async def test_a_setting_becomes_its_field(
    server: FaultServer, provider: Provider, changes: dict[str, Any], more: dict[str, Any]
) -> None:
    assert await sent(server, provider, **changes) == {**PLAIN, **more}


async def test_the_version_and_betas_of_the_api_are_headers(
    server: FaultServer, provider: Provider
) -> None:
    options = {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1,b-2"}
    assert await sent(server, provider, options=options) == PLAIN
    assert options.items() <= server.requests[0].headers.items()


@pytest.mark.parametrize("value", [7, "", " ", "a\nx-evil: 1", "ä", ["a"]])
async def test_an_invalid_header_is_refused(
    server: FaultServer, provider: Provider, value: Any
) -> None:
    error = await failure(provider, options={"anthropic-beta": value})
    assert error.kind == "bad_request"
    assert server.requests == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"system": "Be rude."}, "'system'"),
        ({"messages": []}, "'messages'"),
        ({"tools": []}, "'tools'"),
        ({"stream": False}, "'stream'"),
        ({"max_tokens": 1}, "'max_tokens'"),
        ({"output_config": {"format": None}}, "'output_config.format'"),
    ],
)
async def test_an_option_that_would_replace_a_field_of_the_request_is_refused(
    server: FaultServer, provider: Provider, options: dict[str, Any], named: str
) -> None:
    error = await failure(provider, options=options)
    assert error.kind == "bad_request"
    assert named in error.message
    assert server.requests == []


async def test_output_options_are_merged_with_format_and_effort(
    server: FaultServer, provider: Provider
) -> None:
    body = await sent(
        server,
        provider,
        params={"reasoning_effort": "low"},
        output_schema=SCHEMA,
        options={"output_config": {"task_budget": 5}},
    )
    form = {"type": "json_schema", "schema": SCHEMA}
    assert body["output_config"] == {"effort": "low", "format": form, "task_budget": 5}


async def test_leading_system_texts_are_joined(server: FaultServer, provider: Provider) -> None:
    messages: tuple[Message, ...] = (
        {"role": "system", "content": "Be kind."},
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        USER,
    )
    body = await sent(server, provider, system="You edit.", messages=messages)
    assert body == {**PLAIN, "system": "You edit.\n\nBe kind.\n\nBe brief."}


async def test_a_system_text_in_the_middle_stays_in_its_place(
    server: FaultServer, provider: Provider
) -> None:
    later: Message = {"role": "system", "content": "Be brief."}
    assert await sent(server, provider, messages=(USER, later)) == {
        **PLAIN,
        "messages": [USER, later],
    }


async def test_an_image_in_a_system_text_is_refused(
    server: FaultServer, provider: Provider
) -> None:
    image: Any = {"type": "image", "media_type": "image/png", "data": "aGk="}
    error = await failure(provider, messages=({"role": "system", "content": [image]}, USER))
    assert error.kind == "bad_request"
    assert server.requests == []


async def test_texts_and_images_keep_their_order(server: FaultServer, provider: Provider) -> None:
    message: Message = {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "media_type": "image/png", "data": "aGk="},
        ],
    }
    body = await sent(server, provider, messages=(message,))
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
    assert body["messages"] == [{"role": "user", "content": parts}]


async def test_tools_are_offered_with_the_schemas_of_their_inputs(
    server: FaultServer, provider: Provider
) -> None:
    body = await sent(server, provider, tools=(WEATHER, CLOCK))
    assert body == {**PLAIN, "tools": [offered(WEATHER), offered(CLOCK)]}


def offered(tool: Tool) -> dict[str, Any]:
    """A tool as the API describes it."""
    return {
        "name": tool["name"],
        "description": tool["description"],
        "input_schema": tool["parameters"],
    }


async def test_tool_results_are_sent_in_one_message(
    server: FaultServer, provider: Provider
) -> None:
    image: Any = {"type": "image", "media_type": "image/png", "data": "aGk="}
    messages: tuple[Message, ...] = (
        USER,
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "t1", "name": "read_clock", "arguments": {}},
                {"id": "t2", "name": "find_weather", "arguments": '{"city"'},
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "name": "read_clock", "content": [image]},
        {"role": "tool", "tool_call_id": "t2", "name": "f", "content": "No.", "is_error": True},
        {"role": "user", "content": "And now?"},
    )
    body = await sent(server, provider, messages=messages, tools=(WEATHER, CLOCK))
    broken = {"INVALID_JSON": '{"city"'}
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    picture = [{"type": "image", "source": source}]
    failed = {"type": "tool_result", "tool_use_id": "t2", "content": "No.", "is_error": True}
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "t1", "name": "read_clock", "input": {}},
                {"type": "tool_use", "id": "t2", "name": "find_weather", "input": broken},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": picture},
                failed,
            ],
        },
        {"role": "user", "content": "And now?"},
    ]


async def test_tool_calls_without_text_have_no_empty_text_block(
    server: FaultServer, provider: Provider
) -> None:
    spoken: Message = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "t1", "name": "read_clock", "arguments": {}}],
    }
    body = await sent(server, provider, messages=(USER, spoken), tools=(CLOCK,))
    (block,) = body["messages"][1]["content"]
    assert block["type"] == "tool_use"


async def test_an_empty_assistant_message_is_left_out(
    server: FaultServer, provider: Provider
) -> None:
    more: Message = {"role": "user", "content": "Say something."}
    body = await sent(server, provider, messages=(USER, {"role": "assistant", "content": ""}, more))
    assert body["messages"] == [USER, more]
