"""The adapters and whole jobs against llmock, which breaks on demand and judges its client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from orc.ledger.servers.server_def import ServerDef
from orc.providers import (
    PermanentError,
    Provider,
    ProviderError,
    TransientError,
    Usage,
    build_provider,
    build_server,
)
from orc.providers.servers.presets import PRESETS
from tests.heavy.llmock import Llmock, serve_llmock
from tests.processes import run_orc
from tests.providers.acts import WEATHER, ask, ignore

pytestmark = pytest.mark.providers

PLACES = {
    "openai": ("OPENAI", "/v1"),
    "openai-responses": ("OPENAI", "/v1"),
    "anthropic": ("ANTHROPIC", "/anthropic"),
}
SERVERS = {
    "groq": "/groq/openai/v1",
    "mistral": "/mistral/v1",
    "together": "/together/v1",
    "xai": "/xai/v1",
}
"""Where llmock has the APIs of the servers that orc knows by name."""
STATUSES: dict[int, tuple[type[ProviderError], str]] = {
    400: (PermanentError, "bad_request"),
    401: (PermanentError, "auth"),
    404: (PermanentError, "bad_request"),
    429: (TransientError, "rate_limit"),
    500: (TransientError, "server_error"),
    503: (TransientError, "server_error"),
    529: (TransientError, "server_error"),
}
STORY = "Tell me a long story about rivers and mountains."


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llmock]:
    """One server for the module."""
    with serve_llmock(tmp_path_factory.mktemp("llmock")) as found:
        yield found


@pytest.fixture(params=[*PLACES, *SERVERS])
async def provider(request: pytest.FixtureRequest, mock: Llmock) -> AsyncIterator[Provider]:
    """A provider, or a server that orc knows, at the place where llmock has its API."""
    name = str(request.param)
    if name in PLACES:
        variable, path = PLACES[name]
        environment = {
            f"{variable}_API_KEY": "sk-test",
            f"{variable}_BASE_URL": f"{mock.address}{path}",
        }
        found = build_provider(name, environment)
    else:
        preset = PRESETS[name]
        server = ServerDef(
            api="openai",
            base_url=f"{mock.address}{SERVERS[name]}",
            key="MOCK_KEY",
            limit_field=preset.limit_field,
            json_mode=preset.json_mode,
            tools_strict=preset.tools_strict,
        )
        found = build_server(name, server, {"MOCK_KEY": "sk-test"})
    yield found
    await found.aclose()


async def send(provider: Provider, **changes: Any) -> Any:
    """The reply to a question."""
    request = ask(messages=({"role": "user", "content": STORY},), **changes)
    with trio.fail_after(60):
        return await provider.send(request, on_delta=ignore)


async def test_a_reply_has_its_text_end_and_counts(provider: Provider, mock: Llmock) -> None:
    mock.behave({"type": "reply", "text": "Grüße 😀"})
    reply = await send(provider)
    assert (reply.text, reply.finish_reason, reply.is_counted) == ("Grüße 😀", "stop", True)
    assert reply.usage == Usage(reply.usage.input_tokens, reply.usage.output_tokens)
    assert reply.usage.input_tokens > 0


@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_says_what_to_do_next(provider: Provider, mock: Llmock, status: int) -> None:
    mock.behave({"type": "fail", "status": status, "retry_after": 2})
    with pytest.raises(ProviderError) as caught:
        await send(provider)
    assert (type(caught.value), caught.value.kind) == STATUSES[status]
    if isinstance(caught.value, TransientError) and status == 429:
        assert caught.value.retry_after_s == pytest.approx(2, abs=1)


@pytest.mark.parametrize("kind", ["disconnect", "truncate"])
async def test_a_stream_that_breaks_off_is_no_reply(
    provider: Provider, mock: Llmock, kind: str
) -> None:
    mock.behave({"type": "stream_fault", "kind": kind, "after_chunks": 3})
    with pytest.raises(TransientError) as caught:
        await send(provider)
    assert caught.value.kind in ("connection", "protocol")
    assert caught.value.is_partial


async def test_a_stream_that_stalls_is_cut_by_the_timeout_and_a_slow_one_is_not(
    provider: Provider, mock: Llmock
) -> None:
    mock.behave({"type": "slow_first_token", "seconds": 1.0})
    assert (await send(provider, timeout_s=5.0)).finish_reason == "stop"
    stall = {"type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": 30.0}
    mock.behave(stall)
    with pytest.raises(TransientError) as caught:
        await send(provider, timeout_s=1.0)
    assert caught.value.kind == "timeout"


async def test_a_call_is_whole_and_broken_arguments_stay_a_text(
    provider: Provider, mock: Llmock
) -> None:
    wanted = {"name": "find_weather", "arguments": {"city": "K", "day": "today"}}
    mock.behave({"type": "reply", "tool_calls": [wanted]})
    reply = await send(provider, tools=(WEATHER,))
    assert reply.finish_reason == "tool_calls"
    assert [(call["name"], call["arguments"]) for call in reply.tool_calls] == [
        (wanted["name"], wanted["arguments"])
    ]
    mock.behave({"type": "tool_fault", "kind": "malformed_arguments"})
    (call,) = (await send(provider, tools=(WEATHER,))).tool_calls
    assert isinstance(call["arguments"], str)


SPEC = """\
project: mocked
provider: {name}
model: m
concurrency: 6
defaults: {{retry: {{max_attempts: 6, initial: 200ms}}}}
steps:
  each: {{for_each: [a, b, c, d, e, f, g, h], prompt: "Tell me about ${{{{ item }}}}.", timeout: 2s}}
  last: {{prompt: "Sum up: ${{{{ steps.each.output }}}}"}}
"""
FAULTS: list[dict[str, Any]] = [
    {"type": "fail", "status": 429, "retry_after": 1, "times": 4},
    {"type": "fail", "status": 503, "times": 2},
    {"type": "stream_fault", "kind": "disconnect", "after_chunks": 2},
    {"type": "stream_fault", "kind": "truncate", "after_chunks": 2},
    {"type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": 20.0},
]


@pytest.mark.parametrize("name", PLACES)
def test_a_job_gets_through_all_faults_and_the_server_finds_no_fault_with_it(
    name: str, mock: Llmock, tmp_path: Path
) -> None:
    mock.behave(*FAULTS)
    variable, path = PLACES[name]
    (tmp_path / "spec.yaml").write_text(SPEC.format(name=name))
    environment = {
        f"{variable}_API_KEY": "sk-test",
        f"{variable}_BASE_URL": f"{mock.address}{path}",
    }
    ended = run_orc("run", "spec.yaml", "--json", cwd=tmp_path, **environment)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1])["status"] == "succeeded"
    verdict = mock.verdict()
    assert verdict["faults_injected"] >= len(FAULTS)
    assert verdict["errors"] == 0, verdict["findings"]
