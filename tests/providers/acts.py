"""Shared by the contract tests: the acts of a scripted model, and requests to the provider.

Each provider's stand turns acts into responses of its API, and calls `lacks` if the API does not
have the feature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest

from orc.providers import Message, Provider, Request, Tool, ToolCall, Usage
from tests.fault_server import FaultServer


@dataclass(frozen=True, slots=True)
class Says:
    """The model answers with these pieces."""

    pieces: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Fails:
    """The call fails with this kind before any text is sent."""

    kind: str


@dataclass(frozen=True, slots=True)
class Stalls:
    """The model starts its answer and then sends nothing for longer than any test waits."""


@dataclass(frozen=True, slots=True)
class Dawdles:
    """The model answers with these pieces, and is silent for `wait_s` seconds before each of them."""

    pieces: tuple[str, ...]
    wait_s: float


@dataclass(frozen=True, slots=True)
class Trickles:
    """The server sends a sign of life every `wait_s` seconds, for days, and no answer."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Stops:
    """The model starts its answer, and the stream ends normally without an end mark."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The model sends the pieces, if any, and then calls these tools."""

    calls: tuple[ToolCall, ...]
    pieces: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Refuses:
    """The model refuses to answer, as its API expresses that; usage is 7 tokens in, 1 out."""


@dataclass(frozen=True, slots=True)
class IsCut:
    """The answer "Because" ends at the token limit."""


@dataclass(frozen=True, slots=True)
class Lists:
    """The server lists these models, in this order."""

    models: tuple[str, ...]


Act = Says | Fails | Stalls | Dawdles | Trickles | Stops | Calls | Refuses | IsCut | Lists
Stand = Callable[[FaultServer, tuple[Act, ...]], Provider]

STATUSES = {"rate_limit": 429, "timeout": 408, "server_error": 503, "auth": 401, "bad_request": 400}
STALL_S = 1e6
TRICKLED = 5000
"""The number of signs of life."""

USER: Message = {"role": "user", "content": "Why?"}
WEATHER: Tool = {
    "name": "find_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "day": {"enum": ["today", "tomorrow"]}},
        "required": ["city", "day"],
        "additionalProperties": False,
    },
}
CLOCK: Tool = {
    "name": "read_clock",
    "description": "The time.",
    "parameters": {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    },
}


def lacks(what: str) -> NoReturn:
    """Skip the test, because the provider's API does not have the feature."""
    pytest.skip(f"its API has no {what}")


def ask(ordinal: int = 1, **changes: Any) -> Request:
    """The n-th request of a step, with these changes."""
    shape = {"model": "m", "messages": (USER,), "step": "write", "ordinal": ordinal}
    return Request(**{**shape, **changes})


def ignore(_piece: str) -> None:
    """Ignore a piece of text."""
