"""The deviations of named servers, each over the wire; and what goes back to which server."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from orc.ledger.servers.server_def import Api, HeaderDef, ReasoningField, ServerDef
from orc.providers import Message, PermanentError, ProviderError, ToolCall, build_server
from orc.providers.catalogue import REGISTRY
from orc.providers.registry import missing_variables
from orc.providers.servers.presets import PRESETS
from tests.fault_server import Answer, FaultServer
from tests.providers.acts import USER, WEATHER, ask, ignore
from tests.providers.openai_script import KEY, SAID, fails, failure, said, send
from tests.providers.stands.openai import DONE, JSON, chunk, stream

END = chunk({}, "stop")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"why": {"type": "string"}},
    "required": ["why"],
    "additionalProperties": False,
}


async def sent(server: FaultServer, quirks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body that a server with these deviations gets."""
    provider = build_server("mine", ServerDef(api="openai", base_url=server.url, **quirks), {})
    server.will(stream(SAID, END, DONE))
    try:
        await send(provider, **changes)
    finally:
        await provider.aclose()
    body = server.requests[-1].json()
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_the_limit_has_the_name_that_the_server_takes(
    server: FaultServer, field: ReasoningField
) -> None:
    body = await sent(server, {"limit_field": field}, params={"max_tokens": 7})
    assert {name: body[name] for name in body if name.startswith("max_")} == {field: 7}


async def test_without_a_name_both_are_sent(server: FaultServer) -> None:
    body = await sent(server, {}, params={"max_tokens": 7})
    assert (body["max_tokens"], body["max_completion_tokens"]) == (7, 7)


@pytest.mark.parametrize(
    ("mode", "form"), [("schema", "json_schema"), ("object", "json_object"), ("words", None)]
)
async def test_json_is_asked_for_in_the_form_that_the_server_takes(
    server: FaultServer, mode: str, form: str | None
) -> None:
    request = {"json_output": True, "output_schema": SCHEMA}
    body = await sent(server, {"json_mode": mode}, **request)
    assert body.get("response_format", {"type": None})["type"] == form
    # Without the schema in the request, the model must read it.
    assert ('"why"' in json.dumps(body["messages"]).replace("\\", "")) == (mode != "schema")


@pytest.mark.parametrize("is_strict", [True, False])
async def test_tools_have_the_field_strict_only_where_it_is_known(
    server: FaultServer, is_strict: bool
) -> None:
    body = await sent(server, {"tools_strict": is_strict}, tools=(WEATHER,))
    assert ("strict" in body["tools"][0]["function"]) == is_strict


async def test_a_server_that_does_not_stream_answers_with_one_document(
    server: FaultServer,
) -> None:
    provider = build_server("mine", ServerDef(api="openai", base_url=server.url, stream=False), {})
    message = {"role": "assistant", "content": "Because."}
    document = {
        "id": "c1",
        "model": "m-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    server.will(_document(document))
    reply = await send(provider)
    await provider.aclose()
    body = server.requests[0].json()
    assert (body["stream"], "stream_options" in body) == (False, False)
    assert (reply.text, reply.finish_reason, reply.model) == ("Because.", "stop", "m-1")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 2)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_before_a_tool_call_goes_back_to_its_server_and_to_no_other(
    server: FaultServer, field: ReasoningField
) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": "{}"}}
    made = ServerDef(api="openai", base_url=server.url, reasoning_field=field)
    provider, other = build_server("mine", made, {}), build_server("other", made, {})
    thought = (chunk({field: "Let me "}), chunk({field: "see."}))
    server.will(stream(*thought, chunk({"tool_calls": [call]}, "tool_calls"), DONE))
    server.will(stream(SAID, END, DONE), stream(SAID, END, DONE))
    reply = await send(provider, tools=(WEATHER,))
    assert reply.text == ""
    asked = ToolCall(id="c1", name="weather", arguments={})
    history: tuple[Message, ...] = (
        USER,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [asked],
            "native": {"provider": "mine", "content": reply.native},
        },
        {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "sun"},
    )
    await send(provider, messages=history, tools=(WEATHER,))
    await send(other, messages=history, tools=(WEATHER,))
    await provider.aclose()
    await other.aclose()
    own, others = (request.json()["messages"][1] for request in server.requests[1:])
    assert own[field] == "Let me see."
    assert field not in others


@pytest.mark.parametrize(
    ("field", "returned"),
    [(None, {"reasoning_content", "reasoning"}), ("reasoning", {"reasoning"})],
)
async def test_reasoning_under_two_names_goes_back_under_the_name_that_the_server_wants(
    server: FaultServer, field: ReasoningField | None, returned: set[str]
) -> None:
    body = await _after_a_call(
        server, field, chunk({"reasoning_content": "Hm.", "reasoning": "Hm."})
    )
    assert {name for name in body["messages"][1] if name.startswith("reasoning")} == returned


async def test_reasoning_under_another_name_than_expected_goes_back_as_it_came(
    server: FaultServer,
) -> None:
    body = await _after_a_call(server, "reasoning_content", chunk({"reasoning": "Hm."}))
    assert body["messages"][1]["reasoning"] == "Hm."
    assert "reasoning_content" not in body["messages"][1]


async def _after_a_call(
    server: FaultServer, field: ReasoningField | None, thought: bytes
) -> dict[str, Any]:
    """The body of the request after a tool call with this reasoning before it."""
    made = ServerDef(api="openai", base_url=server.url, reasoning_field=field)
    provider = build_server("mine", made, {})
    call = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": "{}"}}
    server.will(stream(thought, chunk({"tool_calls": [call]}, "tool_calls"), DONE))
    server.will(stream(SAID, END, DONE))
    reply = await send(provider, tools=(WEATHER,))
    assert reply.reasoning == "Hm."
    asked: Message = {
        "role": "assistant",
        "content": "",
        "tool_calls": list(reply.tool_calls),
        "native": {"provider": "mine", "content": reply.native},
    }
    result: Message = {
        "role": "tool",
        "tool_call_id": "c1",
        "name": "weather",
        "content": "sun",
    }
    await send(provider, messages=(USER, asked, result), tools=(WEATHER,))
    await provider.aclose()
    body = server.requests[-1].json()
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize(
    ("document", "kind", "words"),
    [
        (said("no credits left"), "auth", "no credits left"),
        (
            {"choices": [{"message": {"refusal": "No."}, "finish_reason": "stop"}]},
            "refused",
            "mine refused to answer: No.",
        ),
        ({"choices": [{"message": {"content": "Be"}}]}, "protocol", "stopped before its end"),
    ],
)
async def test_a_document_without_an_answer_means_what_a_stream_would(
    server: FaultServer, document: Any, kind: str, words: str
) -> None:
    provider = build_server("mine", ServerDef(api="openai", base_url=server.url, stream=False), {})
    server.will(_document(document))
    error = await failure(provider)
    await provider.aclose()
    assert (error.kind, words in error.message) == (kind, True)


def _document(document: Any) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(headers=(("content-type", "application/json"),), chunks=(body,))


@pytest.mark.parametrize("api", ["openai", "openai-responses", "anthropic", "ollama"])
async def test_errors_name_the_server_and_hide_its_secrets(server: FaultServer, api: Api) -> None:
    made = ServerDef(
        api=api,
        base_url=server.url,
        key="MINE_KEY",
        headers={"X-Own": HeaderDef(env="MINE_TOKEN", prefix="Token ")},
    )
    token = "token-0123456789"
    provider = build_server("mine", made, {"MINE_KEY": KEY, "MINE_TOKEN": token})
    server.will(fails(500, said(f"no {KEY} nor {token} here")))
    error = await failure(provider)
    await provider.aclose()
    assert error.message.startswith("mine at http://127.0.0.1")
    assert token not in error.message
    assert server.requests[0].headers["x-own"] == f"Token {token}"


@pytest.mark.parametrize("api", ["openai", "openai-responses", "anthropic", "ollama"])
async def test_a_redirect_is_refused_so_that_the_key_stays_with_its_server(
    server: FaultServer, api: Api
) -> None:
    made = ServerDef(api=api, base_url=server.url, key="MINE_KEY")
    provider = build_server("mine", made, {"MINE_KEY": KEY})
    server.will(fails(307, b"", ("location", f"http://localhost:{server.port}/other")))
    error = await failure(provider)
    await provider.aclose()
    assert "redirect" in error.message
    assert "servers.mine.base_url" in error.message
    assert len(server.requests) == 1


def test_a_missing_variable_is_named_with_its_server() -> None:
    made = ServerDef(api="openai", base_url="http://localhost:1", key="MINE_KEY")
    with pytest.raises(PermanentError, match="MINE_KEY is not set: the server 'mine' needs it"):
        build_server("mine", made, {})


def test_a_missing_variable_of_a_key_and_a_header_is_named_once() -> None:
    headers: dict[str, str | HeaderDef] = {
        "api-key": HeaderDef(env="MINE_KEY"),
        "X-Team": HeaderDef(env="TEAM"),
    }
    made = ServerDef(api="openai", base_url="http://localhost:1", key="MINE_KEY", headers=headers)
    assert missing_variables(made, {}) == ["MINE_KEY", "TEAM"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_where_its_facts_are_from(name: str) -> None:
    preset = PRESETS[name]
    assert name not in REGISTRY
    assert preset.api in REGISTRY
    assert preset.source.startswith("https://")
    assert preset.base_url.startswith("https://") or preset.is_free or name in ("azure", "litellm")


BROKEN = [
    Answer(status=401, headers=JSON, chunks=(b'{"error": {"message": "no"}}',)),
    Answer(status=404, headers=JSON, chunks=(b'{"error": "model \'m\' not found"}',)),
    Answer(status=500, headers=JSON, chunks=(b'{"error": {"message": "no"}}',)),
    Answer(status=307, headers=(("location", "http://elsewhere.invalid/"),)),
    Answer(headers=JSON, chunks=(b"{",)),
    Answer(headers=JSON, chunks=(b"[]",)),
    Answer(headers=JSON, chunks=(b'{"error": "no"}',)),
    Answer(headers=JSON, chunks=(b'{"done": true, "done_reason": "load"}',)),
    Answer(headers=JSON, chunks=(b'{"message": {"content": 7}}',)),
    Answer(headers=JSON),
    Answer(headers=(("content-type", "text/html"),), chunks=(b"<html>",)),
    Answer(raw=b"", ending="cut"),
    Answer(raw=b"no HTTP\r\n\r\n", ending="cut"),
]


@pytest.mark.parametrize("api", ["openai", "openai-responses", "anthropic", "ollama"])
@pytest.mark.parametrize("answer", BROKEN, ids=range(len(BROKEN)))
async def test_every_message_about_a_named_server_has_its_name_and_not_that_of_the_vendor(
    server: FaultServer, api: Any, answer: Answer
) -> None:
    provider = build_server("mine", ServerDef(api=api, base_url=server.url), {})
    server.will(answer)
    messages = []
    with trio.fail_after(60):
        with pytest.raises(ProviderError) as caught:
            await provider.send(ask(), on_delta=ignore)
        messages.append(caught.value.message)
        server.will(answer)
        try:
            await provider.models()
        except ProviderError as error:
            messages.append(error.message)
        await provider.aclose()
    for message in messages:
        assert "mine" in message or server.url in message
        for vendor in ("OpenAI", "Anthropic", "Ollama"):
            assert vendor not in message.replace("the address of an Ollama server", "")
