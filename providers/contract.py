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


class ToolCall(TypedDict):
    """A model's request to have a tool called; a text in place of `arguments` was no JSON object."""

    id: str
    name: str
    arguments: dict[str, Any] | str


class Tool(TypedDict):
    """A tool that a model may call; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]


class Native(TypedDict):
    """A reply's content in the form of the API that gave it, which only that provider reads."""

    provider: str
    content: Any


class Message(TypedDict, total=False):
    """One turn of a conversation: text, or a list of parts.

    An `assistant` turn may have `tool_calls`, and `native`: what the provider that
    wrote it wants back as it was (signed thoughts, say); every other one ignores it.
    A `tool` turn answers the call `tool_call_id` of the tool `name`.
    """

    role: Role
    content: str | list[Part]
    tool_calls: list[ToolCall]
    native: Native
    tool_call_id: str
    name: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked.

    `params` has names that the provider knows, portable (temperature, top_p,
    max_tokens, stop, seed...) or its own; `options` more of its API's fields, sent
    as they are. `json_output` asks for a JSON text by the provider's own means, where
    it has them, and `output_schema` for one that fits that JSON Schema; the reply is
    checked elsewhere. `timeout_s` bounds the wait for the connection and between two
    bytes; the whole call is bounded by its caller. `step` and `ordinal` say which
    call of the job it is, and are no part of what is asked.
    """

    model: str
    messages: tuple[Message, ...]
    system: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    json_output: bool = False
    output_schema: Mapping[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    timeout_s: float = 120.0
    step: str = ""
    ordinal: int = 1

    def asked(self) -> dict[str, Any]:
        """What is asked, whoever answers it: messages, system text, tools and form of the answer."""
        asked: dict[str, Any] = {
            "messages": [_without_native(message) for message in self.messages],
            "system": self.system,
            "json_output": self.json_output,
        }
        if self.output_schema is not None:
            asked["output_schema"] = dict(self.output_schema)
        if self.tools:
            asked["tools"] = list(self.tools)
        return asked

    def canonical(self, provider: str) -> dict[str, Any]:
        """All that decides the reply: what is asked, of whom, and with which parameters."""
        canonical = {
            **self.asked(),
            "messages": list(self.messages),
            "provider": provider,
            "model": self.model,
            "params": dict(self.params),
        }
        if self.options:
            canonical["options"] = dict(self.options)
        return canonical


def _without_native(message: Message) -> Message:
    if "native" not in message:
        return message
    kept = message.copy()
    del kept["native"]
    return kept


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the provider counted them.

    `cached_tokens` are part of `input_tokens`, `reasoning_tokens` of `output_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered; `model` is the one that the provider says it used.

    `finish_reason` is `stop`, `length` (cut at a limit of tokens) or `tool_calls`;
    where an API says something else that is a whole reply, its own word.
    """

    text: str
    model: str
    finish_reason: str
    usage: Usage
    request_id: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    native: Any = None


OnDelta = Callable[[str], None]
"""Called with each piece of text as it arrives; must not block."""


class Provider(Protocol):
    """One model API, at one address."""

    name: str
    params: frozenset[str]
    """The parameters that it can honour; others are dropped and recorded."""
    endpoint: str
    """Its address, without credentials; empty where there is none."""

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """Send the request once and give the whole reply.

        Raises TransientError and PermanentError, nothing else. A reply that stops
        before its end mark is a TransientError: what is returned is complete. A
        refusal of the model's to answer is a PermanentError of kind `refused`.
        """

    async def models(self) -> tuple[str, ...]:
        """The models that it says it has, sorted. Raises like `send`, within ten seconds."""

    async def identify(self, model: str) -> str | None:
        """What tells this model from another that may have its name later; none where unknown.

        Never raises: an identity that cannot be had is unknown.
        """

    async def aclose(self) -> None:
        """Close connections."""
