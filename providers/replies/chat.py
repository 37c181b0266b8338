"""The shapes of a chunk of chat completions, as lenient as servers differ.

Strict is only what decides: the text, the calls and the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Struct

from orc.providers.http import replace_surrogates
from orc.providers.replies.lenient import LooseCount, LooseText, OrNone
from orc.providers.sdk_wire import Text, Wire

_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")
_Document = Annotated[dict[str, Any] | None, OrNone]


class Content(Struct, frozen=True):
    """A piece of the answer, or of the reasoning."""

    text: str
    is_thought: bool = False


class _Function(Wire):
    name: Text | None = None
    arguments: Any = None


class _CallDelta(Wire):
    index: LooseCount = None
    id: LooseText = None
    function: _Function | None = None
    extra_content: _Document = None


class ChunkDelta(Wire):
    """A piece of a message, or a whole message."""

    content: Text | list[Any] | dict[str, Any] | None = None
    refusal: Text | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    thinking: Any = None
    reasoning_details: Annotated[list[dict[str, Any]] | None, OrNone] = None
    tool_calls: list[_CallDelta | None] | _CallDelta | None = None
    function_call: _Function | None = None

    def read_contents(self) -> Iterator[Content]:
        """The pieces of the content, which is a text or a list of parts."""
        if isinstance(self.content, str):
            yield Content(self.content)
            return
        parts = [self.content] if isinstance(self.content, dict) else self.content or []
        for part in parts:
            yield from read_part(part)

    def read_thoughts(self) -> Iterator[tuple[str, str]]:
        """The pieces of reasoning by the names of their fields."""
        for field in _THOUGHT_FIELDS:
            text = join_parts(getattr(self, field))
            if text:
                yield field, text

    def read_calls(self) -> Iterator[dict[str, Any]]:
        """The pieces of tool calls, as the arguments of `CallJoiner.add`."""
        calls = [self.tool_calls] if isinstance(self.tool_calls, _CallDelta) else self.tool_calls
        for call in filter(None, calls or ()):
            extra = {} if call.extra_content is None else {"extra_content": call.extra_content}
            yield _piece(call.function or _Function(), call.index, call.id or "", extra)
        if self.function_call is not None:
            yield _piece(self.function_call, None, "", {})


class Choice(Wire):
    """One of the answers; a document in place of a stream has a `message`."""

    index: LooseCount = None
    delta: ChunkDelta | None = None
    message: ChunkDelta | None = None
    text: Text | None = None
    finish_reason: Text | None = None
    usage: Any = None
    error: Annotated[dict[str, Any] | Text | None, OrNone] = None

    def find_delta(self) -> ChunkDelta | None:
        """The piece of the message, or the whole message."""
        return self.delta or self.message


class Chunk(Wire):
    """One event of a stream, or a document in its place."""

    id: LooseText = None
    model: LooseText = None
    choices: list[Choice] | None = None
    usage: Any = None
    x_groq: _Document = None
    timings: _Document = None

    def find_usage(self) -> object:
        """The counts, wherever the server has them."""
        if self.usage is not None:
            return self.usage
        if self.x_groq is not None and "usage" in self.x_groq:
            return self.x_groq["usage"]
        if self.timings is not None:
            new, cached = self.timings.get("prompt_n"), self.timings.get("cache_n") or 0
            if isinstance(new, int) and isinstance(cached, int):
                written = self.timings.get("predicted_n")
                return {
                    "input_tokens": new + cached,
                    "output_tokens": written,
                    "cached_tokens": cached,
                }
        return None


def read_part(part: object) -> Iterator[Content]:
    """The text or the reasoning in a part of a message; nothing for other parts."""
    if isinstance(part, str):
        yield Content(replace_surrogates(part))
    elif isinstance(part, dict):
        is_thought = part.get("type") in ("thinking", "reasoning", "reasoning_text")
        keys = ("thinking", "reasoning", "text", "summary", "content") if is_thought else ("text",)
        text = next((found for key in keys if (found := join_parts(part.get(key)))), "")
        if text:
            yield Content(text, is_thought)


def join_parts(value: object) -> str:
    """The text of a value that is a text, a part with a text, or a list of them."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, list):
        return "".join(map(join_parts, value))
    if isinstance(value, dict):
        return join_parts(value.get("text") or value.get("content") or value.get("summary"))
    return ""


def _piece(
    function: _Function, index: int | None, id_: str, extra: dict[str, Any]
) -> dict[str, Any]:
    arguments = function.arguments
    if not isinstance(arguments, str | None):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {
        "index": index,
        "id_": id_,
        "name": function.name or "",
        "arguments": arguments or "",
        "extra": extra,
    }
