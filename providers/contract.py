"""The contract between the scheduler and every model API: a Request in, a Reply out.

A provider sends exactly one request for each call: it has no retries, no
cache and no memory. Everything here is a plain value that JSON can carry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypedDict

Role = Literal["system", "user", "assistant", "tool"]


class TextPart(TypedDict):
    """A stretch of text in a message."""

    type: Literal["text"]
    text: str


class ImagePart(TypedDict):
    """An image in a message; `data` is base64."""

    type: Literal["image"]
    media_type: str
    data: str


Part = TextPart | ImagePart


class Message(TypedDict, total=False):
    """One turn of a conversation: text, or a list of parts."""

    role: Role
    content: str | list[Part]


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked.

    `params` has the portable names (temperature, top_p, max_tokens, stop, seed).
    `json_output` asks for a JSON text by the provider's own means, where it has
    them. `timeout_s` bounds the wait for the connection and between two bytes;
    the whole call is bounded by its caller. `step` and `ordinal` say which call
    of the job it is, and are no part of what is asked.
    """

    model: str
    messages: tuple[Message, ...]
    system: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    json_output: bool = False
    timeout_s: float = 120.0
    step: str = ""
    ordinal: int = 1

    def asked(self) -> dict[str, Any]:
        """What is asked, whoever answers it: messages, system text and form of the answer."""
        return {
            "messages": list(self.messages),
            "system": self.system,
            "json_output": self.json_output,
        }

    def canonical(self, provider: str) -> dict[str, Any]:
        """All that decides the reply: what is asked, of whom, and with which parameters."""
        return {
            **self.asked(),
            "provider": provider,
            "model": self.model,
            "params": dict(self.params),
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the provider counted them; cached and reasoning ones are part of the others."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered; `model` is the one that the provider says it used."""

    text: str
    model: str
    finish_reason: str
    usage: Usage
    request_id: str | None = None


OnDelta = Callable[[str], None]
"""Called with each piece of text as it arrives; must not block."""


class Provider(Protocol):
    """One model API."""

    name: str
    params: frozenset[str]
    """The portable parameters that it can honour; others are dropped and recorded."""

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """Send the request once and give the whole reply.

        Raises TransientError and PermanentError, nothing else. A reply that stops
        before its end mark is a TransientError: what is returned is complete.
        """

    async def aclose(self) -> None:
        """Close connections."""
