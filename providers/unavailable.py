"""A placeholder for a fallback that cannot be used here, so that the targets before it can."""

from __future__ import annotations

from orc.providers.contract import OnDelta, Reply, Request
from orc.providers.errors import PermanentError


class Unavailable:
    """A provider that fails every request with the reason why it is not available."""

    params: frozenset[str] = frozenset()
    endpoint = ""

    def __init__(self, name: str, reason: PermanentError) -> None:
        self.name = name
        self.reason = reason.message

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """See `Provider.send`."""
        raise PermanentError("environment", self.reason)

    async def embed(self, request: Request) -> Reply:
        """See `Embedder.embed`."""
        raise PermanentError("environment", self.reason)

    async def models(self) -> tuple[str, ...]:
        """See `Provider.models`."""
        raise PermanentError("environment", self.reason)

    async def identify(self, model: str) -> str | None:
        """See `Provider.identify`."""
        return None

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
