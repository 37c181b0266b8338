"""The body that Ollama's provider sends to /api/chat."""

from __future__ import annotations

import base64
import math
from typing import Any

import pytest

from orc.providers import Message, PermanentError
from orc.providers.ollama import Ollama
from tests.fault_server import FaultServer
from tests.providers.acts import CLOCK, USER, WEATHER
from tests.providers.ollama_script import failure, sent


async def test_a_request_is_one_streamed_post_to_the_chat_api(
    server: FaultServer, ollama: Ollama
) -> None:
    body = await sent(server, ollama, model="llama3.2")
    (seen,) = server.requests
    assert (seen.method, seen.target) == ("POST", "/api/chat")
    assert seen.headers["content-type"] == "application/json"
    assert body == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "Why?"}],
        "stream": True,
    }


async def test_parameters_travel_as_options(server: FaultServer, ollama: Ollama) -> None:
    params = {
        "temperature": 0.1,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "stop": ["END"],
        "seed": 7,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "repeat_penalty": 1.1,
        "num_ctx": 8192,
        "num_thread": 4,
    }
    body = await sent(server, ollama, params={**params, "max_tokens": 64})
    assert body["options"] == {**params, "num_predict": 64}


@pytest.mark.parametrize("names", [("max_tokens", "num_predict"), ("num_predict", "max_tokens")])
async def test_num_predict_overrides_max_tokens(
    server: FaultServer, ollama: Ollama, names: tuple[str, str]
) -> None:
    limits = {"max_tokens": 64, "num_predict": -1}
    body = await sent(server, ollama, params={name: limits[name] for name in names})
    assert body["options"] == {"num_predict": -1}


@pytest.mark.parametrize("keep_alive", ["5m", 0, -1])
async def test_keep_alive_stands_beside_the_options(
    server: FaultServer, ollama: Ollama, keep_alive: Any
) -> None:
    body = await sent(server, ollama, params={"keep_alive": keep_alive})
    assert body["keep_alive"] == keep_alive
    assert "options" not in body


@pytest.mark.parametrize(
    ("effort", "think"),
    [
        ("none", False),
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("max", "max"),
    ],
)
async def test_an_effort_is_a_level_of_thinking(
    server: FaultServer, ollama: Ollama, effort: str, think: Any
) -> None:
    body = await sent(server, ollama, params={"reasoning_effort": effort})
    assert body["think"] == think
    assert "options" not in body


async def test_an_option_is_put_in_its_place_and_overrides_a_parameter(
    server: FaultServer, ollama: Ollama
) -> None:
    body = await sent(
        server,
        ollama,
        params={"temperature": 0.1, "keep_alive": "5m", "reasoning_effort": "high"},
        options={"temperature": 0.7, "mirostat": 1, "keep_alive": 0, "think": True, "shift": False},
    )
    assert body["options"] == {"temperature": 0.7, "mirostat": 1}
    assert (body["keep_alive"], body["think"], body["shift"]) == (0, True, False)


@pytest.mark.parametrize("key", ["model", "messages", "stream", "tools", "format", "options"])
async def test_an_option_that_the_request_sets_itself_is_refused(
    server: FaultServer, ollama: Ollama, key: str
) -> None:
    error = await failure(ollama, options={key: {}})
    assert error.kind == "bad_request"
    assert repr(key) in error.message
    assert server.connections == 0


async def test_a_single_stop_text_becomes_a_list(server: FaultServer, ollama: Ollama) -> None:
    assert (await sent(server, ollama, params={"stop": "END"}))["options"] == {"stop": ["END"]}


async def test_an_unknown_parameter_is_refused_before_anything_is_sent(
    server: FaultServer, ollama: Ollama
) -> None:
    error = await failure(ollama, params={"top_q": 3})
    assert error.kind == "bad_request"
    assert "'top_q'" in error.message
    assert server.connections == 0


async def test_the_system_text_is_the_first_message(server: FaultServer, ollama: Ollama) -> None:
    body = await sent(server, ollama, system="Be brief.")
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][1] == USER


async def test_json_output_asks_for_the_json_format(server: FaultServer, ollama: Ollama) -> None:
    assert (await sent(server, ollama, json_output=True))["format"] == "json"


async def test_a_schema_is_the_format(server: FaultServer, ollama: Ollama) -> None:
    schema = {"type": "object", "required": ["why"]}
    body = await sent(server, ollama, json_output=True, output_schema=schema)
    assert body["format"] == schema


@pytest.mark.parametrize("form", [{"json_output": True}, {"output_schema": {"type": "object"}}])
async def test_with_tools_there_is_no_format(
    server: FaultServer, ollama: Ollama, form: dict[str, Any]
) -> None:
    body = await sent(server, ollama, tools=(CLOCK,), **form)
    assert "tools" in body
    assert "format" not in body


async def test_a_tool_is_a_function(server: FaultServer, ollama: Ollama) -> None:
    body = await sent(server, ollama, tools=(WEATHER, CLOCK))
    assert body["tools"] == [
        {"type": "function", "function": WEATHER},
        {"type": "function", "function": CLOCK},
    ]


async def test_calls_and_results_go_back_in_the_form_of_the_api(
    server: FaultServer, ollama: Ollama
) -> None:
    messages: tuple[Message, ...] = (
        USER,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "call_0", "name": "find_weather", "arguments": {"city": "Köln"}},
                {"id": "call_1", "name": "find_weather", "arguments": '{"city": '},
            ],
        },
        {"role": "tool", "tool_call_id": "call_0", "name": "find_weather", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_1", "name": "find_weather", "content": "what?"},
    )
    body = await sent(server, ollama, messages=messages, tools=(WEATHER,))
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"function": {"name": "find_weather", "arguments": {"city": "Köln"}}},
                {"function": {"name": "find_weather", "arguments": {"arguments": '{"city": '}}},
            ],
        },
        {"role": "tool", "tool_name": "find_weather", "content": "rain"},
        {"role": "tool", "tool_name": "find_weather", "content": "what?"},
    ]


@pytest.mark.parametrize(
    ("native", "sent_back"),
    [
        ({"provider": "ollama", "content": {"thinking": "Hm."}}, {"thinking": "Hm."}),
        ({"provider": "openai", "content": {"thinking": "Hm."}}, {}),
        ({"provider": "ollama", "content": {"thinking": 7}}, {}),
        ({"provider": "ollama", "content": None}, {}),
    ],
)
async def test_a_models_thinking_is_sent_back(
    server: FaultServer, ollama: Ollama, native: Any, sent_back: dict[str, str]
) -> None:
    said: Message = {"role": "assistant", "content": "So.", "native": native}
    body = await sent(server, ollama, messages=(USER, said))
    assert body["messages"][1] == {"role": "assistant", "content": "So.", **sent_back}


async def test_parts_become_one_text_and_a_list_of_images(
    server: FaultServer, ollama: Ollama
) -> None:
    image = base64.b64encode(b"\x89PNG").decode()
    message: Message = {
        "role": "user",
        "content": [
            {"type": "text", "text": "Look:"},
            {"type": "image", "media_type": "image/png", "data": image},
            {"type": "text", "text": "What is it?"},
        ],
    }
    body = await sent(server, ollama, messages=(message,))
    assert body["messages"] == [
        {"role": "user", "content": "Look:\nWhat is it?", "images": [image]}
    ]


async def test_a_part_of_an_unknown_type_is_refused(ollama: Ollama) -> None:
    message: Any = {"role": "user", "content": [{"type": "video", "data": ""}]}
    assert "'video'" in (await failure(ollama, messages=(message,))).message


async def test_a_request_without_messages_is_refused(server: FaultServer, ollama: Ollama) -> None:
    assert (await failure(ollama, messages=())).kind == "bad_request"
    assert server.connections == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": ({"role": "user", "content": "\ud800"},)},
        {"params": {"temperature": math.nan}},
        {"params": {"seed": object()}},
    ],
    ids=["lone surrogate", "NaN", "no JSON value"],
)
async def test_values_that_json_cannot_hold_are_refused(ollama: Ollama, changes: Any) -> None:
    error = await failure(ollama, **changes)
    assert isinstance(error, PermanentError)
    assert error.kind == "bad_request"


async def test_a_path_in_the_url_precedes_the_path_of_the_api(server: FaultServer) -> None:
    ollama = Ollama(f"{server.url}/behind/a/proxy/")
    await sent(server, ollama)
    await ollama.aclose()
    assert server.requests[0].target == "/behind/a/proxy/api/chat"


async def test_no_proxy_is_used_for_this_machine(
    server: FaultServer, ollama: Ollama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    await sent(server, ollama)
    assert len(server.requests) == 1
