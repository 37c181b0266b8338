"""A reply of Ollama's chat API as it arrives: JSON lines, of which the last says `done`.

Bytes, lines and waits are bounded, and a stream is a reply only when each line
has the shape of docs/api.md in ollama/ollama and the end mark has come.
Connections and status codes belong to `orc.providers.ollama_server`, what is asked
to `orc.providers.ollama_body`.
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

BODY_MAX_BYTES = 64 * 1024 * 1024
LINE_MAX_BYTES = 4 * 1024 * 1024
AFTER_END_WAIT_S = 0.5

_CALLS_MAX = 1000
_COUNT_MAX = 2**53
_NAME_MAX = 200

_Value = TypeVar("_Value", bool, int, str)


async def read_reply(
    response: httpx.Response, request: Request, on_delta: OnDelta, *, secrets: tuple[str, ...]
) -> Reply:
    """The whole reply, each piece of its text handed to `on_delta` as it comes.

    Raises ProviderError for what is not a reply to its end, and what httpx raises
    while the end mark is missing. `secrets` are masked where the server is quoted.
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
        # Reading on to the end lets the next call have this connection. The reply
        # is complete: neither silence nor a cut can spoil it any more.
        with suppress(httpx.RequestError), trio.move_on_after(AFTER_END_WAIT_S):
            async for chunk in chunks:
                arriving.take(chunk)
            arriving.finish_line()
    return arriving.build_reply()


async def read_body(response: httpx.Response, *, max_bytes: int) -> bytes:
    """The whole body; raises TransientError past the bound, and what httpx raises."""
    body = bytearray()
    async with raw_chunks(response) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > max_bytes:
                raise _protocol_error(f"is longer than {size_text(max_bytes)}")
    return bytes(body)


def raw_chunks(response: httpx.Response) -> aclosing[AsyncGenerator[bytes, None]]:
    """The body's chunks as they come; they are closed where the caller ends early."""
    return aclosing(cast(AsyncGenerator[bytes, None], response.aiter_raw()))


def is_too_long(words: str) -> bool:
    """Whether a failure's words say that the prompt does not fit the model's context.

    Ollama has no code for it; its engines say that it "exceeds" the "context
    length", or the "context size".
    """
    return "exceed" in words and ("context length" in words or "context size" in words)


class _ArrivingLines:
    """A reply as its bytes come in; `end` is the line that says `done`."""

    def __init__(self, request: Request, on_delta: OnDelta, *, secrets: tuple[str, ...]) -> None:
        self.end: dict[str, Any] | None = None
        self._request = request
        self._on_delta = on_delta
        self._secrets = secrets
        self._lines = LineCutter(line_max_bytes=LINE_MAX_BYTES, body_max_bytes=BODY_MAX_BYTES)
        self._pieces: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[ToolCall] = []
        self._earlier_calls = sum(len(said.get("tool_calls", ())) for said in request.messages)

    def take(self, chunk: bytes) -> None:
        """Adds what has arrived; raises TransientError where it does not belong in a reply."""
        try:
            lines = self._lines.feed(chunk)
        except ValueError as error:
            raise _protocol_error(str(error)) from error
        for line in lines:
            self._take_line(line)

    def finish_line(self) -> None:
        """Takes the line that has begun for a whole one."""
        self._take_line(self._lines.cut())

    def build_reply(self) -> Reply:
        assert self.end is not None, "the caller waits for the end mark"
        reason = _field(self.end, "done_reason", of=str, default="") or "stop"
        if reason in ("load", "unload"):
            raise _protocol_error(f"says that it did no more than {reason} the model")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        model = _field(self.end, "model", of=str, default="") or self._request.model
        native = None
        if self._calls and self._thoughts:
            # A model that thinks before it calls a tool is to find its thoughts again.
            native = {"thinking": "".join(self._thoughts)}
        return Reply(
            text="".join(self._pieces),
            model=safe_text(model, length_max=_NAME_MAX),
            finish_reason=safe_text(reason, length_max=_NAME_MAX),
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
            raise _protocol_error("goes on after its end mark")
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
            # A draft of the model's, counted in its usage and no part of its answer.
            self._thoughts.append(replace_surrogates(thought))
        content = message.get("content")
        if content is None and calls:
            return
        if not isinstance(content, str):
            raise _protocol_error("has a message whose content is no text")
        if content:
            self._pieces.append(replace_surrogates(content))
            self._on_delta(self._pieces[-1])

    def _take_calls(self, calls: Any) -> None:
        if not self._request.tools:
            raise _protocol_error("calls a tool, and none was offered")
        if not isinstance(calls, list) or len(self._calls) + len(calls) > _CALLS_MAX:
            raise _protocol_error(f"has calls that are no list of at most {_CALLS_MAX}")
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
    message = f"Ollama failed in mid-reply: {words}"
    if is_too_long(words):
        return PermanentError("context_length", message)
    return TransientError("server_error", message)


def _parse_call(call: Any, *, default_id: str) -> ToolCall:
    """A call, with an id of ours where there is none: not every server gives one."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise _protocol_error("has a tool call without a function")
    name = safe_text(_field(function, "name", of=str, default=""), length_max=_NAME_MAX)
    if not name:
        raise _protocol_error("has a tool call without a name")
    given_id = safe_text(_field(call, "id", of=str, default=""), length_max=_NAME_MAX)
    arguments = _parse_arguments(function.get("arguments"))
    return ToolCall(id=given_id or default_id, name=name, arguments=arguments)


def _parse_arguments(arguments: Any) -> dict[str, Any] | str:
    """An object. A text is OpenAI's way, and that of servers that imitate both."""
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
    raise _protocol_error("has a tool call whose arguments are no object")


def _parse_count(document: dict[str, Any], key: str) -> int:
    count = _field(document, key, of=int, default=0)
    if isinstance(count, bool) or not 0 <= count <= _COUNT_MAX:
        raise _protocol_error(f"has a {key} that is no number of tokens")
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
