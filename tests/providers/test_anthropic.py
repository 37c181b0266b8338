"""The setup of Anthropic's provider, its list of models, and what it does not read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from orc.providers import PermanentError, Provider, TransientError, build_provider
from orc.providers.anthropic import PAGES_MAX, build
from tests.fault_server import Answer, FaultServer
from tests.providers.acts import STALL_S
from tests.providers.anthropic_script import (
    JSON,
    KEY,
    SSE,
    ask,
    end,
    fails,
    failure,
    lists,
    start,
    stream,
    text,
)

ANSWER = stream(start(), text("Because."), end())
OTHERS = {
    "ANTHROPIC_API_KEY": "sk-ant-of-the-process",
    "ANTHROPIC_AUTH_TOKEN": "token-of-the-process",
    "ANTHROPIC_BASE_URL": "http://192.0.2.1",
    "ANTHROPIC_CUSTOM_HEADERS": "x-of-the-process: 1\nanthropic-version: 2020-01-01",
    "ANTHROPIC_PROFILE": "of-the-process",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "http_proxy": "http://127.0.0.1:1",
}


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """Anthropic's provider, connected to the scripted server."""
    provider = build({"ANTHROPIC_API_KEY": KEY}, server.url)
    yield provider
    await provider.aclose()


@pytest.mark.parametrize(
    ("environment", "base_url", "endpoint"),
    [
        ({}, None, "https://api.anthropic.com"),
        ({"ANTHROPIC_BASE_URL": " "}, None, "https://api.anthropic.com"),
        ({"ANTHROPIC_BASE_URL": "http://a.example:1/x"}, None, "http://a.example:1/x"),
        ({"ANTHROPIC_BASE_URL": "http://a.example"}, "http://b.example", "http://b.example"),
        ({}, "http://me:pw@b.example", "http://b.example"),
    ],
)
async def test_the_address_is_the_given_one_or_the_environments_or_the_default(
    environment: dict[str, str], base_url: str | None, endpoint: str
) -> None:
    provider = build_provider(
        "anthropic", {"ANTHROPIC_API_KEY": KEY, **environment}, base_url=base_url
    )
    assert provider.endpoint.rstrip("/") == endpoint
    assert KEY not in repr(provider)
    await provider.aclose()


@pytest.mark.parametrize("environment", [{}, {"ANTHROPIC_API_KEY": " "}])
@pytest.mark.parametrize(
    "base_url", [None, "https://api.anthropic.com", "https://eu.Anthropic.com/x"]
)
def test_anthropic_itself_needs_a_key(environment: dict[str, str], base_url: str | None) -> None:
    with pytest.raises(PermanentError, match="ANTHROPIC_API_KEY is not set") as caught:
        build(environment, base_url)
    assert caught.value.kind == "environment"
    assert "ANTHROPIC_BASE_URL" in caught.value.message


@pytest.mark.parametrize(
    "base_url", ["http://", "ftp://a.example", "a.example", "http://a.example?b=c"]
)
def test_an_invalid_address_is_refused(base_url: str) -> None:
    with pytest.raises(PermanentError, match="ANTHROPIC_BASE_URL must look like") as caught:
        build({"ANTHROPIC_API_KEY": KEY}, base_url)
    assert caught.value.kind == "environment"


def test_a_key_that_no_header_can_hold_is_refused_and_not_quoted() -> None:
    with pytest.raises(PermanentError, match="ANTHROPIC_API_KEY contains") as caught:
        build({"ANTHROPIC_API_KEY": f"{KEY}\nx: y"})
    assert caught.value.kind == "environment"
    assert KEY not in caught.value.message


async def test_another_server_needs_no_key(server: FaultServer) -> None:
    provider = build({}, server.url)
    server.will(ANSWER)
    await ask(provider)
    await provider.aclose()
    assert server.requests[0].headers["authorization"] == "Bearer none"


async def test_only_the_given_environment_is_read(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    provider = build({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url})
    server.will(ANSWER, lists("m"))
    await ask(provider)
    await provider.models()
    await provider.aclose()
    for seen in server.requests:
        assert seen.headers["authorization"] == f"Bearer {KEY}"
        assert seen.headers["anthropic-version"] == "2026-10-21"
        assert "x-of-the-process" not in seen.headers
        assert "x-api-key" not in seen.headers
        assert "of-the-process" not in str(seen)


async def test_models_come_from_every_page_sorted(server: FaultServer, provider: Provider) -> None:
    server.will(
        lists("claude-b", "claude-d", has_more=True, last_id="claude d"),
        lists("claude-c", "claude-a\x1b[31m\u202e", has_more=False, last_id="x"),
    )
    assert await provider.models() == ("claude-a [31m", "claude-b", "claude-c", "claude-d")
    assert [seen.target for seen in server.requests] == [
        "/v1/models?limit=1000",
        "/v1/models?limit=1000&after_id=claude%20d",
    ]


async def test_the_number_of_pages_of_models_is_limited(
    server: FaultServer, provider: Provider
) -> None:
    server.will(*[lists("m", has_more=True, last_id="m")] * (PAGES_MAX + 1))
    with trio.fail_after(60), pytest.raises(TransientError) as caught:
        await provider.models()
    assert caught.value.kind == "protocol"
    assert len(server.requests) == PAGES_MAX


async def test_all_pages_of_models_share_one_timeout(
    server: FaultServer, provider: Provider, autojump_clock: MockClock
) -> None:
    page = lists("m", has_more=True, last_id="m")
    slow = Answer(headers=JSON, chunks=page.chunks, delay_s=6)
    server.will(slow, slow, Answer(delay_s=STALL_S))
    begun_s = trio.current_time()
    with trio.fail_after(60), pytest.raises(TransientError) as caught:
        await provider.models()
    assert caught.value.kind == "timeout"
    assert trio.current_time() - begun_s == pytest.approx(10)


@pytest.mark.parametrize(
    "more", [{"data": 7}, {"data": [{}]}, {"has_more": "yes"}, {"has_more": True, "last_id": 7}]
)
async def test_a_page_of_models_of_another_shape_is_a_protocol_error(
    server: FaultServer, provider: Provider, more: dict[str, object]
) -> None:
    server.will(lists("m", **more))
    with trio.fail_after(60), pytest.raises(TransientError) as caught:
        await provider.models()
    assert caught.value.kind == "protocol"


async def test_a_model_has_no_identity(server: FaultServer, provider: Provider) -> None:
    assert await provider.identify("m") is None
    assert server.requests == []


async def test_calls_share_a_connection(server: FaultServer, provider: Provider) -> None:
    server.will(ANSWER, fails(400), ANSWER, lists("m"))
    await ask(provider)
    await failure(provider)
    await ask(provider)
    await provider.models()
    assert server.connections <= 2


async def test_a_closed_provider_sends_nothing(server: FaultServer) -> None:
    provider = build({}, server.url)
    await provider.aclose()
    error = await failure(provider)
    assert isinstance(error, PermanentError)
    assert error.kind == "environment"
    assert server.requests == []


async def test_a_reply_without_a_request_id_has_none(
    server: FaultServer, provider: Provider
) -> None:
    server.will(stream(start(), end(), headers=SSE[:1]))
    assert (await ask(provider)).request_id is None


def test_only_this_provider_loads_the_sdk() -> None:
    program = (
        "import sys\n"
        "import orc.providers.registry, orc.providers.anthropic_body, orc.providers.anthropic_reply\n"
        "import orc.providers.sdk\n"
        "assert 'anthropic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
