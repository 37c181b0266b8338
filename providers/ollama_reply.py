"""Reads a reply of Ollama's chat API: a stream of JSON lines, of which the last has `done`.

Bytes, lines and waits have limits. Each line must have the shape that docs/api.md in
ollama/ollama describes, and the reply is complete only with its end mark.
`orc.providers.ollama_server` handles connections and status codes, and
`orc.providers.ollama_body` builds requests.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, TypeVar, cast

import httpx
import trio

from orc.ledger.wording import size_text
from orc.providers.contract import OnDelta, Reply, Request, ToolCall, Usage
from orc.providers.errors import PermanentError, ProviderError, TransientError
from orc.providers.http import (
    LineCutter,
    parse_error_words,
    parse_json,
    replace_surrogates,
    safe_text,
)
from orc.providers.reply_bounds import CALLS_MAX, NAME_CHARS_MAX, TOKENS_MAX

BODY_MAX_BYTES = 64 * 1024 * 1024
LINE_MAX_BYTES = 4 * 1024 * 1024
AFTER_END_WAIT_S = 0.5


_Value = TypeVar("_Value", bool, int, str)


async def read_reply(
    response: httpx.Response, request: Request, on_delta: OnDelta, *, secrets: tuple[str, ...]
) -> Reply:
    """The complete reply; each piece of its text is passed to `on_delta` when it arrives.

    Raises ProviderError for an invalid or incomplete reply, and what httpx raises before the
    end mark. `secrets` are masked in quoted texts of the server.
    """
    arriving = _ArrivingLines(request, on_delta, secrets=secrets)
    async with raw_chunks(response) as chunks:
        async for chunk in chunks:
            arriving.take(chunk)
            if arriving.end is not None:
                break
        arriving.finish_line()
        if arriving.end is None:
            raise _protocol_error("stopped before its end mark")
        # Read to the end, so that the next call can use this connection. The reply is complete
        # already, so a timeout or a broken connection no longer matters.
        with suppress(httpx.RequestError), trio.move_on_after(AFTER_END_WAIT_S):
            async for chunk in chunks:
                arriving.take(chunk)
            arriving.finish_line()
    return arriving.build_reply()


async def read_body(response: httpx.Response, *, max_bytes: int) -> bytes:
    """The whole body. Raises TransientError if it is too long, and what httpx raises."""
    body = bytearray()
    async with raw_chunks(response) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > max_bytes:
                raise _protocol_error(f"is longer than {size_text(max_bytes)}")
    return bytes(body)


def raw_chunks(response: httpx.Response) -> aclosing[AsyncGenerator[bytes, None]]:
    """The body's chunks. The context manager closes the stream if the caller stops early."""
    return aclosing(cast(AsyncGenerator[bytes, None], response.aiter_raw()))


def is_too_long(words: str) -> bool:
    """Whether an error message means that the prompt does not fit the model's context.

    Ollama has no error code for this. The messages of its engines contain "exceed" with
    "context length" or "context size".
    """
    return "exceed" in words and ("context length" in words or "context size" in words)


class _ArrivingLines:
    """Assembles a reply from its bytes; `end` is the line with `done`."""

    def __init__(self, request: Request, on_delta: OnDelta, *, secrets: tuple[str, ...]) -> None:
        self.end: dict[str, Any] | None = None
        self._request = request
        self._on_delta = on_delta
        self._secrets = secrets
        self._lines = LineCutter(line_max_bytes=LINE_MAX_BYTES, body_max_bytes=BODY_MAX_BYTES)
        self._pieces: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[ToolCall] = []
        self._earlier_calls = sum(len(turn.get("tool_calls", ())) for turn in request.messages)

    def take(self, chunk: bytes) -> None:
        """Add a chunk. Raises TransientError if it is not valid in a reply."""
        try:
            lines = self._lines.feed(chunk)
        except ValueError as error:
            raise _protocol_error(str(error)) from error
        for line in lines:
            self._take_line(line)

    def finish_line(self) -> None:
        """Read the rest as a line, even without a line feed."""
        self._take_line(self._lines.cut())

    def build_reply(self) -> Reply:
        assert self.end is not None, "the caller waits for the end mark"
        reason = _field(self.end, "done_reason", of=str, default="") or "stop"
        if reason in ("load", "unload"):
            raise _protocol_error(f"has no answer: Ollama only did {reason!r} of the model")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        model = _field(self.end, "model", of=str, default="") or self._request.model
        native = None
        if self._calls and self._thoughts:
            # A model needs its thinking back together with the results of its tool calls.
            native = {"thinking": "".join(self._thoughts)}
        return Reply(
            text="".join(self._pieces),
            model=safe_text(model, length_max=NAME_CHARS_MAX),
            finish_reason=safe_text(reason, length_max=NAME_CHARS_MAX),
            usage=Usage(
                input_tokens=_parse_count(self.end, "prompt_eval_count"),
                output_tokens=_parse_count(self.end, "eval_count"),
            ),
            tool_calls=tuple(self._calls),
            native=native,
        )

    def _take_line(self, line: bytes) -> None:
        if not line.strip():
            return
        if self.end is not None:
            raise _protocol_error("continues after its end mark")
        document, text = _parse_line(line)
        if document.get("error") is not None:
            raise _build_error(parse_error_words(text, secrets=self._secrets))
        done = _field(document, "done", of=bool, default=False)
        message = document.get("message")
        if message is not None or not done:
            self._take_message(message)
        if done:
            self.end = document

    def _take_message(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise _protocol_error("has a line without a message")
        calls = message.get("tool_calls")
        if calls:
            self._take_calls(calls)
        thought = message.get("thinking")
        if thought and isinstance(thought, str):
            # Thinking counts in the usage and is not part of the answer.
            self._thoughts.append(replace_surrogates(thought))
        content = message.get("content")
        if content is None and calls:
            return
        if not isinstance(content, str):
            raise _protocol_error("has a message whose content is not a text")
        if content:
            self._pieces.append(replace_surrogates(content))
            self._on_delta(self._pieces[-1])

    def _take_calls(self, calls: Any) -> None:
        if not self._request.tools:
            raise _protocol_error("calls a tool, but the request has no tools")
        if not isinstance(calls, list) or len(self._calls) + len(calls) > CALLS_MAX:
            raise _protocol_error(f"has a `tool_calls` that is not a list of at most {CALLS_MAX}")
        for call in calls:
            number = self._earlier_calls + len(self._calls)
            self._calls.append(_parse_call(call, default_id=f"call_{number}"))


def _parse_line(line: bytes) -> tuple[dict[str, Any], str]:
    try:
        text = line.decode("utf-8")
        document = parse_json(text)
    except UnicodeDecodeError as error:
        raise _protocol_error("is not UTF-8") from error
    except ValueError as error:
        raise _protocol_error(f"has a line that is not JSON: {safe_text(str(error))}") from error
    if not isinstance(document, dict):
        raise _protocol_error("has a line that is not an object")
    return document, text


def _build_error(words: str) -> ProviderError:
    message = f"Ollama failed during its reply: {words}"
    if is_too_long(words):
        return PermanentError("context_length", message)
    return TransientError("server_error", message)


def _parse_call(call: Any, *, default_id: str) -> ToolCall:
    """A tool call. `default_id` is used if the server sends no id."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise _protocol_error("has a tool call without a function")
    name = safe_text(_field(function, "name", of=str, default=""), length_max=NAME_CHARS_MAX)
    if not name:
        raise _protocol_error("has a tool call without a name")
    given_id = safe_text(_field(call, "id", of=str, default=""), length_max=NAME_CHARS_MAX)
    arguments = _parse_arguments(function.get("arguments"))
    return ToolCall(id=given_id or default_id, name=name, arguments=arguments)


def _parse_arguments(arguments: Any) -> dict[str, Any] | str:
    """The arguments. Servers that imitate both Ollama and OpenAI send them as JSON text."""
    match arguments:
        case None:
            return {}
        case dict():
            return arguments
        case str():
            try:
                parsed = parse_json(arguments)
            except ValueError:
                parsed = None
            return parsed if isinstance(parsed, dict) else replace_surrogates(arguments)
    raise _protocol_error("has a tool call whose arguments are not an object")


def _parse_count(document: dict[str, Any], key: str) -> int:
    count = _field(document, key, of=int, default=0)
    if isinstance(count, bool) or not 0 <= count <= TOKENS_MAX:
        raise _protocol_error(f"has a {key} that is not a number of tokens")
    return count


def _field(document: dict[str, Any], key: str, *, of: type[_Value], default: _Value) -> _Value:
    value = document.get(key)
    if value is None:
        return default
    if not isinstance(value, of):
        raise _protocol_error(f"has a {key} of the wrong type")
    return value


def _protocol_error(what: str) -> TransientError:
    return TransientError("protocol", f"Ollama's reply {what}")
