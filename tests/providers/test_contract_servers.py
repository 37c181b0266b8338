"""The contract of every provider with a server for models, addresses and secrets."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from orc.providers import Provider, ProviderError, TransientError, build_provider
from tests.fault_server import Answer, FaultServer
from tests.providers.acts import STALL_S, Fails, Lists, ask, ignore
from tests.providers.stands import WIRED

pytestmark = pytest.mark.parametrize("name", WIRED)

CANARY = "sk-canary-0123456789"
KEYS = {"OPENAI_API_KEY": CANARY, "ANTHROPIC_API_KEY": CANARY}
JSON = (("content-type", "application/json"),)


async def test_the_models_are_those_that_the_server_has_sorted(
    stand: Callable[..., Provider],
) -> None:
    provider = stand(Lists(("m-2", "m-10", "a/m")), Lists(()))
    with trio.fail_after(60):
        assert await provider.models() == ("a/m", "m-10", "m-2")
        assert await provider.models() == ()


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "auth"])
async def test_a_failure_to_list_models_has_a_reason(
    stand: Callable[..., Provider], server: FaultServer, kind: str
) -> None:
    with trio.fail_after(60), pytest.raises(ProviderError) as caught:
        await stand(Fails(kind)).models()
    assert caught.value.kind == kind
    assert caught.value.message.isprintable()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"7",
        b"[]",
        b"{}",
        b'{"data": 7, "models": 7}',
        b'{"data": [7], "models": [7]}',
        b'{"data": [{"id": 7}], "models": [{"name": 7}]}',
        b'{"data": [{}], "models": [{}]}',
    ],
)
async def test_a_list_of_models_of_another_shape_is_a_protocol_error(
    stand: Callable[..., Provider], server: FaultServer, body: bytes
) -> None:
    provider = stand()
    server.will(Answer(headers=JSON, chunks=(body,) if body else ()))
    with trio.fail_after(60), pytest.raises(TransientError) as caught:
        await provider.models()
    assert caught.value.kind == "protocol"


async def test_names_of_models_have_no_control_characters(stand: Callable[..., Provider]) -> None:
    with trio.fail_after(60):
        (found,) = await stand(Lists(("m\x1b[31m\u202ex",))).models()
    assert found.isprintable()


async def test_the_list_of_models_has_a_timeout_of_ten_seconds(
    stand: Callable[..., Provider], server: FaultServer, autojump_clock: MockClock
) -> None:
    provider = stand()
    server.will(Answer(delay_s=STALL_S))
    begun_s = trio.current_time()
    with trio.fail_after(60), pytest.raises(TransientError) as caught:
        await provider.models()
    assert caught.value.kind == "timeout"
    assert trio.current_time() - begun_s == pytest.approx(10)


async def test_an_unavailable_identity_is_none(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    provider = stand()
    server.will(Answer(status=503), Answer(headers=JSON, chunks=(b"[]",)))
    with trio.fail_after(60):
        assert await provider.identify("m") is None
        assert await provider.identify("m") is None


async def test_the_endpoint_is_the_address_without_its_credentials(name: str) -> None:
    provider = build_provider(name, KEYS, base_url="http://me:canary-pw@127.0.0.1:1/behind")
    assert "127.0.0.1:1/behind" in provider.endpoint
    assert "canary-pw" not in provider.endpoint + repr(provider)
    await provider.aclose()


async def test_failures_do_not_contain_the_key(name: str, server: FaultServer) -> None:
    provider = build_provider(name, KEYS, base_url=f"http://me:{CANARY}@127.0.0.1:{server.port}")
    echo = {"error": {"message": f"no entry with {CANARY}", "type": "error", "code": CANARY}}
    body = json.dumps(echo).encode()
    server.will(
        *(Answer(status=status, headers=JSON, chunks=(body,)) for status in (400, 401, 404, 500)),
        Answer(headers=JSON, chunks=(body,)),
        Answer(headers=(("content-type", f"text/{CANARY}"),), chunks=(body,)),
        Answer(status=307, headers=(("location", f"http://127.0.0.1/{CANARY}"),)),
        Answer(raw=b"", ending="reset"),
    )
    for _ in range(8):
        with trio.fail_after(60), pytest.raises(ProviderError) as caught:
            await provider.send(ask(), on_delta=ignore)
        assert CANARY not in caught.value.message
        assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert CANARY not in repr(provider)
    await provider.aclose()
