"""A provider without a server, controlled by environment variables, for the tests of the doctor."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from orc.providers import OnDelta, PermanentError, Provider, Reply, Request, TransientError


class FakeProvider:
    """Answers after `delay_s`, with its models, or with an error of the kind `fails`."""

    name = "fake"
    params: frozenset[str] = frozenset()
    endpoint = "http://fake.example"

    def __init__(self, *, delay_s: float, fails: str, models: tuple[str, ...]) -> None:
        self._delay_s = delay_s
        self._fails = fails
        self._models = models

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """The doctor never sends a request to a model."""
        raise AssertionError("a model was asked")

    async def models(self) -> tuple[str, ...]:
        """See `Provider.models`."""
        await trio.sleep(self._delay_s)
        if self._fails == "auth":
            raise PermanentError("auth", "the server refused the key canary-key")
        if self._fails:
            raise TransientError("connection", "nobody answers")
        return self._models

    async def identify(self, model: str) -> str | None:
        """The provider cannot tell."""
        return None

    async def aclose(self) -> None:
        """Nothing to close."""


def build(environment: Mapping[str, str], base_url: str | None = None) -> Provider:
    """See `build_provider`; $FAKE_BUILD is the reason why it cannot be built."""
    if "FAKE_BUILD" in environment:
        raise PermanentError("environment", environment["FAKE_BUILD"])
    return FakeProvider(
        delay_s=float(environment.get("FAKE_DELAY_S", "0.025")),
        fails=environment.get("FAKE_FAILS", ""),
        models=tuple(environment.get("FAKE_MODELS", "large,small").split(",")),
    )
