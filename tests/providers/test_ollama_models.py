"""How Ollama's provider reads /api/tags: the models and their digests."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orc.ledger.wording import size_text
from orc.providers import ProviderError
from orc.providers.ollama import MODELS_MAX_BYTES, Ollama
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.ollama_script import JSON, ask, end, fails, stream

ONE, TWO = "1" * 64, "2" * 64


def tags(*models: Any, **more: Any) -> Answer:
    return Answer(headers=JSON, chunks=(json.dumps({"models": models, **more}).encode(),))


async def identify(ollama: Ollama, model: str) -> str | None:
    with trio.fail_after(600):
        return await ollama.identify(model)


async def failure(ollama: Ollama) -> ProviderError:
    with trio.fail_after(600), pytest.raises(ProviderError) as caught:
        await ollama.models()
    return caught.value


async def test_the_models_are_those_of_api_tags(server: FaultServer) -> None:
    ollama = Ollama(f"{server.url}/behind/a/proxy/")
    server.will(tags({"name": "b:7b", "digest": ONE}, {"name": "a:latest"}, {"name": "a:latest"}))
    with trio.fail_after(600):
        assert await ollama.models() == ("a:latest", "b:7b")
    await ollama.aclose()
    (seen,) = server.requests
    assert (seen.method, seen.target, seen.body) == ("GET", "/behind/a/proxy/api/tags", b"")
    assert seen.headers["accept-encoding"] == "identity"


async def test_an_empty_list_of_models_may_be_null(server: FaultServer, ollama: Ollama) -> None:
    server.will(Answer(headers=JSON, chunks=(b'{"models": null}',)))
    with trio.fail_after(600):
        assert await ollama.models() == ()


async def test_the_size_of_a_list_of_models_is_limited(server: FaultServer, ollama: Ollama) -> None:
    megabyte = b" " * 1024 * 1024
    chunks = [megabyte] * (MODELS_MAX_BYTES // len(megabyte))
    server.will(Answer(headers=JSON, chunks=(*chunks, b" ", Wait())))
    error = await failure(ollama)
    assert error.kind == "protocol"
    assert f"longer than {size_text(MODELS_MAX_BYTES)}" in error.message


async def test_a_slow_list_of_models_has_a_timeout_of_ten_seconds(
    server: FaultServer, ollama: Ollama, autojump_clock: MockClock
) -> None:
    slowly: tuple[bytes | Wait, ...] = (b" ", Wait(3))
    server.will(Answer(headers=JSON, chunks=slowly * 10))
    begun_s = trio.current_time()
    assert (await failure(ollama)).kind == "timeout"
    assert trio.current_time() - begun_s == pytest.approx(10)
    await server.wait_disconnected()


async def test_the_error_for_a_missing_list_of_models_has_no_pull_command(
    server: FaultServer, ollama: Ollama
) -> None:
    server.will(fails(404, b'{"error": "model list not found"}'))
    error = await failure(ollama)
    assert error.kind == "bad_request"
    assert "ollama pull" not in error.message


@pytest.mark.parametrize(
    ("model", "digest"),
    [
        ("a", ONE),
        ("a:latest", ONE),
        ("a:7b", TWO),
        ("host:5000/library/a", ONE),
        ("b", None),
        ("c", None),
        ("d", None),
    ],
)
async def test_a_model_is_identified_by_its_digest(
    server: FaultServer, ollama: Ollama, model: str, digest: str | None
) -> None:
    server.will(
        tags(
            {"name": "a:latest", "digest": ONE},
            {"name": "a:7b", "digest": TWO},
            {"name": "host:5000/library/a:latest", "digest": ONE},
            {"name": "c:latest"},
            {"name": "d:latest", "digest": 7},
        )
    )
    assert await identify(ollama, model) == digest


async def test_a_digest_is_requested_once(server: FaultServer, ollama: Ollama) -> None:
    server.will(tags({"name": "a:latest", "digest": ONE}))
    found: list[str | None] = []

    async def ask_too() -> None:
        found.append(await identify(ollama, "a"))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask_too)
    assert found == [ONE] * 5
    assert len(server.requests) == 1


async def test_a_digest_that_was_not_available_is_requested_again(
    server: FaultServer, ollama: Ollama
) -> None:
    server.will(fails(503), tags(), tags({"name": "a:latest", "digest": ONE}))
    assert [await identify(ollama, "a") for _ in range(3)] == [None, None, ONE]


async def test_a_closed_provider_knows_no_digest(server: FaultServer, ollama: Ollama) -> None:
    await ollama.aclose()
    assert await identify(ollama, "a") is None
    assert server.requests == []


async def test_models_and_chats_share_a_connection(server: FaultServer, ollama: Ollama) -> None:
    server.will(tags({"name": "a:latest"}), stream(end("Because.")))
    with trio.fail_after(600):
        await ollama.models()
    assert (await ask(ollama)).text == "Because."
    assert server.connections == 1
