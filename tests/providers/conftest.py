"""Shared by the provider tests: a scripted server on loopback, and a provider that uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import trio

from orc.providers import Provider
from orc.providers.ollama import Ollama
from tests.fault_server import FaultServer, start_fault_server
from tests.providers.acts import Act
from tests.providers.stands import STANDS


@pytest.fixture
async def server(nursery: trio.Nursery) -> FaultServer:
    """A server that answers from the test's script."""
    return await start_fault_server(nursery)


@pytest.fixture
async def ollama(server: FaultServer) -> AsyncIterator[Ollama]:
    """Ollama's provider, connected to the scripted server."""
    provider = Ollama(server.url)
    yield provider
    await provider.aclose()


@pytest.fixture(params=list(STANDS))
def name(request: pytest.FixtureRequest) -> str:
    """The provider whose contract is tested."""
    return str(request.param)


@pytest.fixture
async def stand(name: str, server: FaultServer) -> AsyncIterator[Callable[..., Provider]]:
    """Sets up the provider for the acts that it is called with."""
    made: list[Provider] = []

    def build(*acts: Act) -> Provider:
        made.append(STANDS[name](server, acts))
        return made[-1]

    yield build
    for provider in made:
        await provider.aclose()
