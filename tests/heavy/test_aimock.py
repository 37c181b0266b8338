"""The adapters against a server that nobody here wrote."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from orc.providers import (
    PermanentError,
    Provider,
    ProviderError,
    Request,
    TransientError,
    Usage,
    build_provider,
)
from tests.heavy.aimock import serve_aimock
from tests.processes import run_orc
from tests.providers.acts import WEATHER, ask, ignore

pytestmark = pytest.mark.providers

# Where each API begins, below the server's own address.
PATHS = {"openai": "/v1", "openai-responses": "/v1", "anthropic": "", "ollama": ""}
ADDRESSES = {
    "openai": "OPENAI_BASE_URL",
    "openai-responses": "OPENAI_BASE_URL",
    "anthropic": "ANTHROPIC_BASE_URL",
    "ollama": "OLLAMA_BASE_URL",
}
KEYS = {"OPENAI_API_KEY": "sk-test", "ANTHROPIC_API_KEY": "sk-ant-test"}
ANSWER = "Grüße aus Köln, und noch ein paar Worte. 😀"
FORECAST = {"city": "Köln", "day": "today"}
COUNTED = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
STATUSES = {
    400: (PermanentError, "bad_request"),
    401: (PermanentError, "auth"),
    403: (PermanentError, "auth"),
    404: (PermanentError, "bad_request"),
    429: (TransientError, "rate_limit"),
    500: (TransientError, "server_error"),
    503: (TransientError, "server_error"),
    529: (TransientError, "server_error"),
}


def _fixtures() -> list[dict[str, Any]]:
    call = {"id": "call_a1", "name": "find_weather", "arguments": FORECAST}
    fixtures: list[dict[str, Any]] = [
        {
            "match": {"userMessage": "greet"},
            "response": {"content": ANSWER, "usage": COUNTED},
        },
        {
            "match": {"userMessage": "weather", "hasToolResult": False},
            "response": {"toolCalls": [call]},
        },
        {
            "match": {"userMessage": "weather", "hasToolResult": True},
            "response": {"content": "It rains."},
        },
        {"match": {"userMessage": "as json"}, "response": {"content": '{"n": 7}'}},
        {
            "match": {"userMessage": "be cut"},
            "response": {"content": "Because", "finishReason": "length"},
        },
        {
            "match": {"userMessage": "break off"},
            "response": {"content": ANSWER * 20},
            "truncateAfterChunks": 4,
        },
        {
            "match": {"userMessage": "hang up"},
            "response": {"content": ANSWER * 20},
            "latency": 50,
            "disconnectAfterMs": 120,
        },
    ]
    fixtures += [
        {
            "match": {"userMessage": f"fail with {status}"},
            "response": {"error": {"message": "as told", "type": "any_error"}, "status": status},
        }
        for status in STATUSES
    ]
    return fixtures


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's address."""
    with serve_aimock(tmp_path_factory.mktemp("aimock"), _fixtures()) as address:
        yield address


@pytest.fixture(params=list(PATHS))
def name(request: pytest.FixtureRequest) -> str:
    """The provider whose API is spoken."""
    return str(request.param)


@pytest.fixture
def apart_from_ollama(name: str) -> None:
    """Skips what aimock's form of Ollama's API leaves out."""
    if name == "ollama":
        pytest.skip("in Ollama's API aimock counts no tokens and ends everything with 'stop'")


@pytest.fixture
async def provider(name: str, address: str) -> AsyncIterator[Provider]:
    """The provider, at the server."""
    made = build_provider(name, KEYS, base_url=address + PATHS[name])
    yield made
    await made.aclose()


def say(text: str, **changes: Any) -> Request:
    return ask(messages=({"role": "user", "content": text},), **changes)


async def test_the_pieces_of_an_answer_are_its_text(provider: Provider) -> None:
    heard: list[str] = []
    with trio.fail_after(30):
        reply = await provider.send(say("greet"), on_delta=heard.append)
    assert reply.text == "".join(heard) == ANSWER
    assert len(heard) > 1
    assert reply.finish_reason == "stop"
    assert reply.tool_calls == ()


@pytest.mark.usefixtures("apart_from_ollama")
async def test_the_tokens_are_the_servers(provider: Provider) -> None:
    with trio.fail_after(30):
        reply = await provider.send(say("greet"), on_delta=ignore)
    assert reply.usage == Usage(input_tokens=11, output_tokens=3)


async def test_a_tool_is_called_and_its_result_is_answered(provider: Provider) -> None:
    asked = say("weather", tools=(WEATHER,))
    with trio.fail_after(30):
        first = await provider.send(asked, on_delta=ignore)
    assert first.finish_reason == "tool_calls"
    (call,) = first.tool_calls
    assert (call["name"], call["arguments"]) == ("find_weather", FORECAST)
    turn: dict[str, Any] = {
        "role": "assistant",
        "content": first.text,
        "tool_calls": list(first.tool_calls),
    }
    if first.native is not None:
        turn["native"] = {"provider": provider.name, "content": first.native}
    result = {
        "role": "tool",
        "tool_call_id": call["id"],
        "name": call["name"],
        "content": "rain",
    }
    request = ask(messages=(*asked.messages, turn, result), tools=(WEATHER,))
    with trio.fail_after(30):
        second = await provider.send(request, on_delta=ignore)
    assert (second.text, second.finish_reason) == ("It rains.", "stop")


async def test_an_answer_by_schema_is_json(provider: Provider) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    with trio.fail_after(30):
        request = say("as json", json_output=True, output_schema=schema)
        reply = await provider.send(request, on_delta=ignore)
    assert json.loads(reply.text) == {"n": 7}


@pytest.mark.usefixtures("apart_from_ollama")
async def test_an_answer_that_is_cut_says_so(provider: Provider) -> None:
    with trio.fail_after(30):
        reply = await provider.send(say("be cut"), on_delta=ignore)
    # aimock's responses API says that the response is incomplete, and not why.
    cut = "incomplete" if provider.name == "openai-responses" else "length"
    assert (reply.text, reply.finish_reason) == ("Because", cut)


@pytest.mark.parametrize("said", ["break off", "hang up"])
async def test_a_stream_that_breaks_off_is_no_reply(provider: Provider, said: str) -> None:
    with trio.fail_after(30), pytest.raises(TransientError) as caught:
        await provider.send(say(said), on_delta=ignore)
    assert caught.value.kind in ("connection", "protocol")


@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_says_what_to_do_next(provider: Provider, status: int) -> None:
    with trio.fail_after(30), pytest.raises(ProviderError) as caught:
        await provider.send(say(f"fail with {status}"), on_delta=ignore)
    assert (type(caught.value), caught.value.kind) == STATUSES[status]
    assert "sk-" not in caught.value.message


async def test_the_models_are_listed(provider: Provider) -> None:
    with trio.fail_after(30):
        models = await provider.models()
    assert models == tuple(sorted(models))
    assert all(isinstance(model, str) and model for model in models)


_SPEC = """
project: mocked
provider: {name}
steps:
  look:
    prompt: weather
    model: m
    tools: [weather:find_weather]
    files: [{{path: report.txt}}]
  answer:
    prompt: "as json: ${{{{ steps.look.output }}}}"
    model: m
    output:
      format: json
      schema: {{type: object, properties: {{n: {{type: integer}}}}, required: [n]}}
"""
_TOOLS = '''
def find_weather(city: str, day: str) -> str:
    """The weather in a city."""
    return f"{city}, {day}: rain"
'''


def test_a_job_runs_from_its_spec_to_its_files(name: str, address: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(_SPEC.format(name=name))
    (tmp_path / "weather.py").write_text(_TOOLS)
    environment = {**KEYS, ADDRESSES[name]: address + PATHS[name]}
    ended = run_orc("run", "spec.yaml", "--json", cwd=tmp_path, **environment)
    assert ended.returncode == 0, ended.stderr
    done = json.loads(ended.stdout.splitlines()[-1])
    assert done["status"] == "succeeded"
    shown = run_orc("show", "latest", "--json", cwd=tmp_path)
    steps = {step["step"]: step for step in json.loads(shown.stdout)["steps"]}
    assert {key: step["status"] for key, step in steps.items()} == {
        "look": "succeeded",
        "answer": "succeeded",
    }
    report = tmp_path / "runs" / done["job_id"] / "outputs" / "mocked" / "report.txt"
    assert report.read_text() == "It rains."
