"""What contract tests share: the acts that a provider meets, and how it is asked.

Each provider's stand turns acts into answers of its own API, and says `lacks`
where the API has no such thing.
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
    """The call fails with this kind before a word is said."""

    kind: str


@dataclass(frozen=True, slots=True)
class Stalls:
    """The model begins to answer, and then is silent for longer than any test waits."""


@dataclass(frozen=True, slots=True)
class Stops:
    """The model begins to answer, and the stream ends in good order without an end mark."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The model says the pieces, if any, and then wants these tools called."""

    calls: tuple[ToolCall, ...]
    pieces: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Refuses:
    """The model will not answer, in whatever way its API says that; counted as 7 tokens in, 1 out."""


@dataclass(frozen=True, slots=True)
class IsCut:
    """The answer "Because" ends at the limit of tokens."""


@dataclass(frozen=True, slots=True)
class Lists:
    """The server is asked which models it has, and names these, in this order."""

    models: tuple[str, ...]


Act = Says | Fails | Stalls | Stops | Calls | Refuses | IsCut | Lists
Stand = Callable[[FaultServer, tuple[Act, ...]], Provider]

STATUSES = {"rate_limit": 429, "timeout": 408, "server_error": 503, "auth": 401, "bad_request": 400}
STALL_S = 1e6

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
    """Skips the test: the provider's API has no such thing, by its own documentation."""
    pytest.skip(f"its API has no {what}")


def ask(ordinal: int = 1, **changes: Any) -> Request:
    """The n-th request of a step, with whatever is to be different about it."""
    shape = {"model": "m", "messages": (USER,), "step": "write", "ordinal": ordinal}
    return Request(**{**shape, **changes})


def ignore(_piece: str) -> None:
    """Hears a piece of text, and does nothing with it."""
