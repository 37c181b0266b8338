"""How Anthropic's provider requests structured output: natively, or by a forced tool."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from orc.providers import Provider, Request
from orc.providers.anthropic import build
from orc.providers.anthropic_body import ANSWER_TOOL
from orc.providers.anthropic_schema import OPTIONAL_MAX, UNIONS_MAX, fit_schema
from tests.each_case import each_case
from tests.fault_server import FaultServer
from tests.providers.acts import CLOCK, USER
from tests.providers.anthropic_script import (
    ask,
    block,
    call,
    end,
    sent,
    start,
    stream,
    text,
)

NAME: dict[str, Any] = {"type": "string"}
CLOSED: dict[str, Any] = {
    "type": "object",
    "properties": {"name": NAME},
    "required": ["name"],
    "additionalProperties": False,
}
UNSAID = {key: value for key, value in CLOSED.items() if key != "additionalProperties"}
MAP: dict[str, Any] = {"type": "object", "additionalProperties": NAME}


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """Anthropic's provider, connected to the scripted server, without a key."""
    provider = build({}, server.url)
    yield provider
    await provider.aclose()


def holding(**properties: Any) -> dict[str, Any]:
    """A closed object that must have these properties."""
    return {**CLOSED, "properties": properties, "required": list(properties)}


@pytest.mark.parametrize(
    "schema",
    [
        CLOSED,
        holding(a={"type": "array", "items": CLOSED, "minItems": 1}),
        holding(a={"anyOf": [NAME, {"type": "null"}]}, b={"type": ["string", "null"]}),
        holding(a={"enum": ["x", 1, None]}, b={"const": 7}, c={"type": "string", "format": "date"}),
        {"type": "array", "items": NAME},
        {"$ref": "#/$defs/a", "$defs": {"a": holding(b={"$ref": "#/$defs/b"}), "b": CLOSED}},
        {"type": "object", "properties": {}, "additionalProperties": False},
    ],
    ids=str,
)
def test_a_supported_schema_is_unchanged(schema: dict[str, Any]) -> None:
    assert fit_schema(schema) == schema


def test_an_object_without_additional_properties_is_closed() -> None:
    schema = {**UNSAID, "properties": {"name": NAME, "of": UNSAID}}
    assert fit_schema(schema) == {**CLOSED, "properties": {"name": NAME, "of": CLOSED}}
    assert "additionalProperties" not in schema


@each_case(
    "schema",
    [
        MAP,
        {"type": "object"},
        {},
        {**CLOSED, "additionalProperties": True},
        {"properties": {"name": NAME}},
        {"allOf": [CLOSED]},
        holding(a={"type": "integer", "minimum": 1}),
        holding(a={"type": "string", "pattern": "a+"}),
        holding(a={"type": "string", "format": "colour"}),
        holding(a={"type": "array", "items": NAME, "minItems": 2}),
        holding(a={"enum": [["x"]]}),
        holding(a={"type": "array"}),
        holding(a=True),
        holding(a={"$ref": "#"}),
        holding(a={"$ref": "https://example.org/a"}),
        {**CLOSED, "properties": 7},
        {**CLOSED, "required": 7},
        {"$ref": "#/$defs/a", "$defs": {"a": holding(b={"$ref": "#/$defs/a"})}},
        {**CLOSED, "properties": {str(n): NAME for n in range(OPTIONAL_MAX + 1)}, "required": []},
        holding(**{str(n): {"type": ["string", "null"]} for n in range(UNIONS_MAX + 1)}),
    ],
)
def test_an_unsupported_schema_is_recognised(schema: dict[str, Any]) -> None:
    assert fit_schema(schema) is None


def test_an_endless_schema_is_recognised() -> None:
    deep: dict[str, Any] = NAME
    for _ in range(10_000):
        deep = {"type": "array", "items": deep}
    assert fit_schema(deep) is None


async def test_a_supported_schema_is_the_output_format(
    server: FaultServer, provider: Provider
) -> None:
    body = await sent(server, provider, output_schema=UNSAID, json_output=True, tools=(CLOCK,))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}
    assert "system" not in body
    assert [tool["name"] for tool in body["tools"]] == ["read_clock"]
    assert "tool_choice" not in body


async def test_another_schema_is_the_input_of_a_tool_that_must_be_called(
    server: FaultServer, provider: Provider
) -> None:
    body = await sent(server, provider, output_schema=MAP, json_output=True)
    (tool,) = body["tools"]
    assert tool["name"] == ANSWER_TOOL
    assert tool["input_schema"] == MAP
    assert body["tool_choice"] == {"type": "tool", "name": ANSWER_TOOL}
    assert not body.keys() & {"output_config", "system"}


@pytest.mark.parametrize(
    "changes",
    [
        {"output_schema": {"type": "array"}, "tools": (CLOCK,)},
        {"output_schema": MAP, "tools": (CLOCK,)},
        {"output_schema": MAP, "options": {"thinking": {"type": "adaptive"}}},
        {"output_schema": MAP, "options": {"tool_choice": {"type": "none"}}},
        {"output_schema": {"allOf": [MAP]}},
    ],
    ids=str,
)
async def test_if_no_tool_can_be_forced_the_system_text_has_the_schema(
    server: FaultServer, provider: Provider, changes: dict[str, Any]
) -> None:
    body = await sent(server, provider, **changes)
    assert ANSWER_TOOL not in [tool["name"] for tool in body.get("tools", ())]
    assert body.get("tool_choice") in (None, {"type": "none"})
    assert "output_config" not in body
    assert json.dumps(changes["output_schema"]) in body["system"]


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        (call('{"a": ', '"ö"}', index=0, name=ANSWER_TOOL), '{"a": "ö"}'),
        (call('{"a": ', index=0, name=ANSWER_TOOL), '{"a": '),
        (call(index=0, name=ANSWER_TOOL), "{}"),
        (
            block({"type": "tool_use", "id": "t", "name": ANSWER_TOOL, "input": {"a": "\ud800ö"}}),
            '{"a": "\ufffdö"}',
        ),
        (text('{"a": ', '"ö"}'), '{"a": "ö"}'),
    ],
    ids=["in pieces", "broken", "empty", "whole", "as a text"],
)
async def test_an_answer_through_the_tool_is_the_text(
    server: FaultServer, provider: Provider, answer: bytes, written: str
) -> None:
    server.will(stream(start(), answer, end("end_turn" if b"text_delta" in answer else "tool_use")))
    heard: list[str] = []
    with trio.fail_after(60):
        request = Request(model="m", messages=(USER,), output_schema=MAP)
        reply = await provider.send(request, on_delta=heard.append)
    assert reply.text == written
    assert "".join(heard) in (written, "")
    assert reply.tool_calls == ()
    assert reply.native is None
    assert reply.finish_reason == "stop"


@pytest.mark.parametrize("written", ['{"a": ', ""])
async def test_an_answer_that_is_cut_inside_the_tool_has_finish_reason_length(
    server: FaultServer, provider: Provider, written: str
) -> None:
    server.will(stream(start(), call(written, name=ANSWER_TOOL), end("max_tokens")))
    reply = await ask(provider, output_schema=MAP)
    assert (reply.text, reply.finish_reason) == (written, "length")


async def test_an_unrequested_tool_call_is_left_to_the_caller(
    server: FaultServer, provider: Provider
) -> None:
    server.will(stream(start(), call("{}", name=ANSWER_TOOL), end("tool_use")))
    reply = await ask(provider, output_schema=CLOSED)
    assert [call["name"] for call in reply.tool_calls] == [ANSWER_TOOL]
