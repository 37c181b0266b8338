"""The contract of every provider with a server for its requests: complete, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from orc.providers import Message, PermanentError, Provider, ToolCall
from tests.fault_server import FaultServer
from tests.providers.acts import CLOCK, USER, WEATHER, Says, ask, ignore
from tests.providers.stands import WIRED

pytestmark = pytest.mark.parametrize("name", WIRED)

ANSWER = Says(("Because.",))
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"why": {"type": "string"}},
    "required": ["why"],
    "additionalProperties": False,
}


def values(document: Any) -> Iterator[Any]:
    """The document and all values inside it."""
    yield document
    for child in document.values() if isinstance(document, dict) else document:
        yield from values(child) if isinstance(child, dict | list) else (child,)


def missing(expected: list[str], sent: str) -> list[str]:
    return [text for text in expected if text not in sent]


async def send(
    stand: Callable[..., Provider], server: FaultServer, request: Any
) -> tuple[Any, str]:
    """The body that the provider sent for the request: its JSON value and its text."""
    with trio.fail_after(60):
        await stand(ANSWER).send(request, on_delta=ignore)
    (seen,) = server.requests
    return seen.json(), json.dumps(seen.json())


async def test_the_whole_request_reaches_the_server(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    messages: tuple[Message, ...] = (
        {"role": "user", "content": "canary-user"},
        {"role": "assistant", "content": "canary-assistant"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "canary-first"},
                {"type": "image", "media_type": "image/png", "data": "Y2FuYXJ5"},
                {"type": "text", "text": "canary-second"},
            ],
        },
    )
    request = ask(model="canary-model", messages=messages, system="canary-system")
    _, sent = await send(stand, server, request)
    texts = ["system", "user", "assistant", "first", "second"]
    expected = [f"canary-{text}" for text in texts]
    assert missing([*expected, "canary-model", "Y2FuYXJ5"], sent) == []
    places = [sent.index(text) for text in expected]
    assert places == sorted(places)


async def test_every_supported_parameter_reaches_the_server(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    params = {
        "temperature": 0.1234,
        "top_p": 0.5678,
        "max_tokens": 4321,
        "stop": ["canary-stop"],
        "seed": 8765,
        "top_k": 2345,
        "min_p": 0.2345,
        "presence_penalty": 0.3456,
        "frequency_penalty": 0.4567,
        "repeat_penalty": 1.6789,
        "reasoning_effort": "high",
        "num_ctx": 7654,
        "num_thread": 6543,
        "keep_alive": "canary-keep",
    }
    can = stand().params
    honoured = {key: value for key, value in params.items() if key in can}
    assert can - set(params) <= {"num_predict"}
    _, sent = await send(stand, server, ask(params=honoured))
    assert missing([json.dumps(value) for value in honoured.values()], sent) == []


async def test_an_option_reaches_the_server_as_it_is(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    option = {"nested": [1, {"deep": "größe"}], "none": None}
    body, _ = await send(stand, server, ask(options={"canary_option": option}))
    assert {"canary_option": option}.items() <= next(
        value for value in values(body) if isinstance(value, dict) and "canary_option" in value
    ).items()


@pytest.mark.parametrize("key", ["model", "stream", "tools"])
async def test_an_option_cannot_replace_a_field_of_the_request(
    stand: Callable[..., Provider], server: FaultServer, key: str
) -> None:
    with trio.fail_after(60), pytest.raises(PermanentError) as caught:
        await stand().send(ask(options={key: "other"}), on_delta=ignore)
    assert caught.value.kind == "bad_request"
    assert repr(key) in caught.value.message
    assert server.requests == []


async def test_tools_reach_the_server_with_their_schemas(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    body, sent = await send(stand, server, ask(tools=(WEATHER, CLOCK)))
    texts = [text for tool in (WEATHER, CLOCK) for text in (tool["name"], tool["description"])]
    assert missing(texts, sent) == []
    found = list(values(body))
    assert WEATHER["parameters"] in found
    assert CLOCK["parameters"] in found


async def test_without_tools_none_is_offered(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    body, _ = await send(stand, server, ask())
    assert not body.get("tools")


async def test_the_schema_of_the_output_reaches_the_server(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    body, _ = await send(stand, server, ask(json_output=True, output_schema=SCHEMA))
    assert SCHEMA in list(values(body))


async def test_a_conversation_with_tools_reaches_the_server_whole_and_in_order(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    calls: list[ToolCall] = [
        {
            "id": "call_c1",
            "name": "find_weather",
            "arguments": {"city": "canary-city", "day": "today"},
        },
        {"id": "call_c2", "name": "read_clock", "arguments": {}},
        {"id": "call_c3", "name": "find_weather", "arguments": '{"city": "canary-half'},
    ]
    results: list[Message] = [
        {
            "role": "tool",
            "tool_call_id": call["id"],
            "name": call["name"],
            "content": f"canary-result-{number}",
            "is_error": number == 3,
        }
        for number, call in enumerate(calls, start=1)
    ]
    messages: tuple[Message, ...] = (
        {"role": "user", "content": "canary-question"},
        {"role": "assistant", "content": "canary-thought", "tool_calls": calls},
        *results,
        {"role": "assistant", "content": "canary-answer"},
        {"role": "user", "content": "canary-more"},
    )
    _, sent = await send(stand, server, ask(messages=messages, tools=(WEATHER, CLOCK)))
    texts = ["question", "thought", "city", "half", "result-1", "result-2", "result-3"]
    expected = [f"canary-{text}" for text in [*texts, "answer", "more"]]
    assert missing(expected, sent) == []
    places = [sent.index(text) for text in expected]
    assert places == sorted(places)
    # Where an API has ids, each result names its call.
    assert {sent.count(f'"{call["id"]}"') for call in calls} in ({2}, {0})


async def test_a_turn_of_tool_calls_needs_no_text(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    call: ToolCall = {"id": "call_c1", "name": "read_clock", "arguments": {}}
    messages: tuple[Message, ...] = (
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_c1", "name": "read_clock", "content": "canary-noon"},
    )
    _, sent = await send(stand, server, ask(messages=messages, tools=(CLOCK,)))
    assert "canary-noon" in sent


async def test_native_content_of_another_provider_is_not_sent(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    messages: tuple[Message, ...] = (
        USER,
        {
            "role": "assistant",
            "content": "canary-text",
            "native": {"provider": "another", "content": [{"type": "canary-native"}]},
        },
        {"role": "user", "content": "And why?"},
    )
    _, sent = await send(stand, server, ask(messages=messages))
    assert "canary-text" in sent
    assert "native" not in sent


async def test_a_part_that_cannot_be_sent_is_refused_and_not_dropped(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    message: Any = {"role": "user", "content": [{"type": "smell", "data": "Y2FuYXJ5"}]}
    with trio.fail_after(60), pytest.raises(PermanentError):
        await stand().send(ask(messages=(message,)), on_delta=ignore)
    assert server.requests == []


async def test_a_parameter_that_cannot_be_sent_is_refused_and_not_dropped(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    with trio.fail_after(60), pytest.raises(PermanentError):
        await stand().send(ask(params={"colour": "red"}), on_delta=ignore)
    assert server.requests == []
