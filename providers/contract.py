"""The contract between the scheduler and every model API: a Request in, a Reply out.

A provider sends exactly one request for each call. It does not retry, cache or keep state
between calls. All values here can be written as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, Required, TypedDict, runtime_checkable

from msgspec import Struct, field

Role = Literal["system", "user", "assistant", "tool"]


class TextPart(TypedDict):
    """A text in a message."""

    type: Literal["text"]
    text: str


class ImagePart(TypedDict):
    """An image in a message; `data` is base64."""

    type: Literal["image"]
    media_type: str
    data: str


class DocumentPart(TypedDict, total=False):
    """A document in a message: a text, or the bytes of a PDF document (`data`, in base64).

    `sha256` is the digest of the bytes. A request is recorded with it, and without `data`.
    """

    type: Required[Literal["document"]]
    media_type: Required[str]
    name: Required[str]
    text: str
    sha256: str
    size_bytes: int
    data: str


Part = TextPart | ImagePart | DocumentPart


class ToolCall(TypedDict):
    """A tool call that a model requests.

    `arguments` is the model's text if that was not a JSON object.
    """

    id: str
    name: str
    arguments: dict[str, Any] | str


class Tool(TypedDict):
    """A tool that a model may call; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]


class Native(TypedDict):
    """A reply's content in the format of its API; only the provider of that name reads it."""

    provider: str
    content: Any


class Message(TypedDict, total=False):
    """One message of a conversation; its content is a text or a list of parts.

    An `assistant` message may have `tool_calls` and `native`. `native` is content that the
    provider needs back unchanged, such as signed reasoning; other providers ignore it. A
    `tool` message is the result of the call `tool_call_id` of the tool `name`.
    """

    role: Role
    content: str | list[Part]
    tool_calls: list[ToolCall]
    native: Native
    tool_call_id: str
    name: str
    is_error: bool


Operation = Literal["chat", "embeddings"]
"""What a request asks for, by the names of OpenTelemetry: an answer, or vectors."""


class CachedPrefix(Struct, frozen=True):
    """What a server is asked to keep in its cache: tools, system text and the first messages.

    These are the first `messages`, and the first `parts` of the next one: the same in each request
    of a step, and of its items. So is `key`, by which a server can choose the machine.
    """

    messages: int
    parts: int
    key: str


class Request(Struct, frozen=True):
    """One request to a model.

    `params` are parameters that the provider supports: portable ones (temperature, top_p,
    max_tokens, stop, seed...) or its own. `options` are further fields of its API, sent
    unchanged. `json_output` requests a JSON reply, and `output_schema` one that matches the
    JSON Schema, through the API's own feature if it has one; the scheduler checks the reply.
    `timeout_s` limits the silence of the server: the wait for the connection, for the beginning of
    the answer, and between two bytes. The caller limits the whole call. `cached` asks the server to
    cache the beginning of the prompt, which changes what a call costs and not what it says. `step`
    and `ordinal` identify the call within the job and are not sent; neither is `repetition`, which
    keeps the replies of equal requests apart in the caches. A request of the operation `embeddings`
    is for the vectors of the texts that are the parts of its one message.
    """

    model: str
    messages: tuple[Message, ...]
    system: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    json_output: bool = False
    output_schema: Mapping[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    cached: CachedPrefix | None = None
    timeout_s: float = 120.0
    step: str = ""
    ordinal: int = 1
    repetition: int = 1
    operation: Operation = "chat"


class Usage(Struct, frozen=True):
    """Token counts, as the provider reports them.

    `input_tokens` includes `cached_tokens` and `cache_write_tokens`, which the provider read from its
    cache and wrote there; `output_tokens` includes `reasoning_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0


class Vectors(Struct, frozen=True):
    """Vectors of equal length: their numbers one after the other, as 32-bit little-endian floats."""

    data: bytes
    dimensions: int

    def __repr__(self) -> str:
        return f"Vectors(count={self.count}, dimensions={self.dimensions})"

    @property
    def count(self) -> int:
        """The number of vectors."""
        return len(self.data) // (4 * self.dimensions) if self.dimensions else 0


class Reply(Struct, frozen=True):
    """A model's complete reply; `model` is the model that the provider reports.

    `finish_reason` is `stop`, `length` (a token limit was reached), `tool_calls`, `paused` (the
    model continues when it gets its reply back), or a word that orc does not know. Without
    `is_counted`, the server did not report all counts, and the zeros in `usage` are unknown.
    `reasoning` is what the model wrote before its answer, as far as the server shows it.
    `cost_nano_usd` is the cost that the server itself reports. `vectors` is the reply to a request
    for them, and `text` then says in words what they are.
    """

    text: str
    model: str
    finish_reason: str
    usage: Usage
    request_id: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    native: Any = None
    reasoning: str = ""
    is_counted: bool = True
    cost_nano_usd: int | None = None
    vectors: Vectors | None = None


class Quirks(Struct, frozen=True, kw_only=True):
    """How a server deviates from the API that it follows.

    `limit_field` is the only name of the limit on the reply that it takes; None: both, unless the
    server is OpenAI's. `json_mode` is what it can do for JSON: follow a schema, answer with some
    object, or only read the instruction in words. With `tools_strict` a tool has the field `strict`.
    `reasoning_field` is the only field with the model's reasoning that is sent back with tool calls,
    if a reply has it; else each of them is, under its own name.
    """

    limit_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    json_mode: Literal["schema", "object", "words"] = "schema"
    tools_strict: bool = True
    stream: bool = True
    reasoning_field: str | None = None


NO_QUIRKS = Quirks()


class Server(Struct, frozen=True, kw_only=True):
    """A named server: its address, and what is sent to it and to no other.

    `key` is empty if the server needs none; then no authorization is sent but that in `headers`.
    `secrets` are the values to hide in messages. `key_variable` is named in messages.
    """

    name: str
    base_url: str
    key: str = ""
    key_variable: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    quirks: Quirks = NO_QUIRKS

    def __repr__(self) -> str:
        return f"Server(name={self.name!r}, base_url={self.base_url!r})"


OnDelta = Callable[[str], None]
"""Called with each piece of text when it arrives. It must not block."""


def ignore_text(text: str) -> None:
    """The `OnDelta` of a caller that waits for the whole reply."""


class Provider(Protocol):
    """One model API, at one address."""

    name: str
    params: frozenset[str]
    """The parameters that it supports. The scheduler drops and records all others."""
    endpoint: str
    """The server's address, without credentials; empty if there is no server."""

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """Send the request once and return the complete reply.

        Raises TransientError or PermanentError and nothing else. A reply that stops before its
        end mark is a TransientError. If the model refuses to answer, that is a PermanentError
        of kind `refused`.
        """

    async def models(self) -> tuple[str, ...]:
        """The names of the available models, sorted. Raises like `send`, within ten seconds."""

    async def identify(self, model: str) -> str | None:
        """A text that changes when another model gets the same name; None if it is unknown.

        Never raises.
        """

    async def aclose(self) -> None:
        """Close all connections."""


@runtime_checkable
class Embedder(Protocol):
    """What a provider has whose API computes vectors."""

    async def embed(self, request: Request) -> Reply:
        """Send a request of the operation `embeddings` once and return the vectors of its texts.

        Raises like `Provider.send`. There is a vector for each text, all have the same length, and
        each number is finite.
        """
