"""A reply of Ollama's chat API as it arrives: JSON lines, of which the last says `done`.

Bytes, lines and waits are bounded, and a stream is a reply only when each line
has the shape of docs/api.md in ollama/ollama and the end mark has come.
Connections, status codes and what is asked belong to `providers.ollama`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, TypeVar, cast

import httpx
import trio

from providers.contract import OnDelta, Reply, Request, Usage
from providers.errors import TransientError
from providers.http import (
    LineCutter,
    parse_error_words,
    parse_json,
    replace_surrogates,
    safe_text,
)

BODY_MAX_BYTES = 64 * 1024 * 1024
LINE_MAX_BYTES = 4 * 1024 * 1024
AFTER_END_WAIT_S = 0.5

_COUNT_MAX = 2**53
_NAME_MAX = 200

_Value = TypeVar("_Value", bool, int, str)


async def read_reply(
    response: httpx.Response, request: Request, on_delta: OnDelta, *, secrets: tuple[str, ...]
) -> Reply:
    """The whole reply, each piece of its text handed to `on_delta` as it comes.

    Raises TransientError for what is not a reply to its end, and what httpx raises
    while the end mark is missing. `secrets` are masked where the server is quoted.
    """
    arriving = _Arriving(on_delta, secrets=secrets)
    async with aclosing(raw_chunks(response)) as chunks:
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
    return arriving.build_reply(asked_model=request.model)


def raw_chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it comes, as the generator that it is: `aclosing` can end it early."""
    return cast(AsyncGenerator[bytes, None], response.aiter_raw())


class _Arriving:
    """A reply as its bytes come in; `end` is the line that says `done`."""

    def __init__(self, on_delta: OnDelta, *, secrets: tuple[str, ...]) -> None:
        self.end: dict[str, Any] | None = None
        self._on_delta = on_delta
        self._secrets = secrets
        self._lines = LineCutter(line_max_bytes=LINE_MAX_BYTES, body_max_bytes=BODY_MAX_BYTES)
        self._pieces: list[str] = []

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

    def build_reply(self, *, asked_model: str) -> Reply:
        assert self.end is not None, "the caller waits for the end mark"
        reason = _field(self.end, "done_reason", of=str, default="") or "stop"
        if reason in ("load", "unload"):
            raise _protocol_error(f"says that it did no more than {reason} the model")
        model = _field(self.end, "model", of=str, default="") or asked_model
        return Reply(
            text="".join(self._pieces),
            model=safe_text(model, length_max=_NAME_MAX),
            finish_reason=safe_text(reason, length_max=_NAME_MAX),
            usage=Usage(
                input_tokens=_parse_count(self.end, "prompt_eval_count"),
                output_tokens=_parse_count(self.end, "eval_count"),
            ),
        )

    def _take_line(self, line: bytes) -> None:
        if not line.strip():
            return
        if self.end is not None:
            raise _protocol_error("goes on after its end mark")
        document, text = _parse_line(line)
        if document.get("error") is not None:
            words = parse_error_words(text, secrets=self._secrets)
            raise TransientError("server_error", f"Ollama failed in mid-reply: {words}")
        done = _field(document, "done", of=bool, default=False)
        piece = _parse_piece(document, done=done)
        if piece:
            self._pieces.append(piece)
            self._on_delta(piece)
        if done:
            self.end = document


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


def _parse_piece(document: dict[str, Any], *, done: bool) -> str:
    message = document.get("message")
    if message is None and done:
        return ""
    if not isinstance(message, dict):
        raise _protocol_error("has a line without a message")
    if message.get("tool_calls"):
        raise _protocol_error("calls a tool, and none was offered")
    # `thinking` is a draft of the model's, counted in its usage and no part of its answer.
    content = message.get("content")
    if not isinstance(content, str):
        raise _protocol_error("has a message whose content is no text")
    return replace_surrogates(content)


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
