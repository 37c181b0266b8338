"""What the provider tests share: a scriptable server on loopback."""

from __future__ import annotations

import pytest
import trio

from tests.fault_server import FaultServer, start_fault_server


@pytest.fixture
async def server(nursery: trio.Nursery) -> FaultServer:
    """A server that answers from the test's script."""
    return await start_fault_server(nursery)
