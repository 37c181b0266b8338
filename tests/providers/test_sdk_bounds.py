"""The limits of every SDK provider for endless and compressed bodies."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator

import pytest
import trio

from orc.providers import Provider
from orc.providers.openai import build
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.openai_script import END, KEY, SAID, failure, send
from tests.providers.stands.openai import DONE, EVENTS, JSON, stream


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """A provider that speaks to the server."""
    provider = build({"OPENAI_API_KEY": KEY}, server.url)
    yield provider
    await provider.aclose()


async def test_a_compressed_body_is_not_decompressed(
    server: FaultServer, provider: Provider
) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    encoded = (("content-encoding", "gzip"),)
    server.will(
        Answer(headers=(*EVENTS, *encoded), chunks=(bomb,)),
        Answer(status=500, headers=encoded, chunks=(bomb,)),
    )
    error = await failure(provider)
    assert error.kind == "protocol"
    assert "compressed" in error.message
    assert (await failure(provider)).message == f"OpenAI at {server.url} answered 500"
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_an_endless_line_is_a_protocol_error(server: FaultServer, provider: Provider) -> None:
    server.will(stream(b"data: ", *[b"x" * 1_000_000] * 10))
    error = await failure(provider)
    assert error.kind == "protocol"
    assert "a line of more than" in error.message


async def test_an_endless_body_is_a_protocol_error(server: FaultServer, provider: Provider) -> None:
    comment = b": " + b"x" * 999_996 + b"\n\n"
    server.will(stream(*[comment] * 70))
    error = await failure(provider)
    assert error.kind == "protocol"
    assert "is longer than" in error.message


@pytest.mark.parametrize("line", [b":\n", b":\r", b":\r\n", b"data: x\n", b"data: 1234\r"])
async def test_an_event_of_endless_lines_is_a_protocol_error(
    server: FaultServer, provider: Provider, line: bytes
) -> None:
    server.will(stream(*[line * 1000] * 2000, Wait()))
    with trio.fail_after(5):
        error = await failure(provider)
    assert error.kind == "protocol"
    assert "an event of more than" in error.message


async def test_an_endless_event_is_a_protocol_error(
    server: FaultServer, provider: Provider
) -> None:
    server.will(stream(*[b"data: " + b"x" * 999_999 + b"\n"] * 10, Wait()))
    error = await failure(provider)
    assert error.kind == "protocol"
    assert "an event of more than" in error.message


async def test_many_short_events_are_accepted(server: FaultServer, provider: Provider) -> None:
    server.will(stream(b": here\n\n" * 3000, b": here\r\n\r\n" * 3000, SAID, END, DONE))
    assert (await send(provider)).text == "Because."


async def test_a_list_of_models_may_have_many_lines(
    server: FaultServer, provider: Provider
) -> None:
    listed = json.dumps({"data": [{"id": f"m{n:04}"} for n in range(2000)]}, indent=1).encode()
    server.will(Answer(headers=JSON, chunks=(listed,)))
    with trio.fail_after(60):
        assert len(await provider.models()) == 2000
