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
from orc.providers.contract import OnDelta, Reply, Request, ToolCall
from orc.providers.errors import ProviderError, TransientError
from orc.providers.http import (
    LineCutter,
    build_judged_error,
    parse_document,
    parse_error_words,
    replace_surrogates,
    safe_text,
)
from orc.providers.replies.chat import join_parts
from orc.providers.replies.ends import read_end
from orc.providers.replies.failures import find_meaning, find_wait
from orc.providers.replies.lenient import read_count, read_word
from orc.providers.replies.reasoning import ThinkSplitter
from orc.providers.replies.tool_calls import give_ids, read_arguments
from orc.providers.replies.usage import Counts, mark_partial, read_counts
from orc.providers.reply_bounds import CALLS_MAX, NAME_CHARS_MAX

BODY_MAX_BYTES = 64 * 1024 * 1024
LINE_MAX_BYTES = 4 * 1024 * 1024
AFTER_END_WAIT_S = 0.5


class BadReply(Exception):
    """The reply is not what the API describes; the text continues the sentence "Ollama's reply ..."."""

    def of(self, who: str) -> TransientError:
        """The error of a call to this server."""
        return TransientError("protocol", f"{who}'s reply {self}")


_Value = TypeVar("_Value", bool, int, str)


async def read_reply(
    response: httpx.Response,
    request: Request,
    on_delta: OnDelta,
    *,
    who: str,
    secrets: tuple[str, ...],
) -> Reply:
    """The complete reply; each piece of its text is passed to `on_delta` when it arrives.

    Raises ProviderError for an invalid or incomplete reply, and what httpx raises before the
    end mark. `who` is the server's name in messages. `secrets` are masked in quoted texts of the server.
    """
    arriving = _ArrivingLines(request, on_delta, who=who, secrets=secrets)
    try:
        await _read_lines(response, arriving)
        reason = arriving.read_reason()
    except BadReply as bad:
        raise arriving.mark_partial(bad.of(who)) from bad.__cause__
    except ProviderError as error:
        raise arriving.mark_partial(error) from error.__cause__
    return arriving.build_reply(reason)


async def _read_lines(response: httpx.Response, arriving: _ArrivingLines) -> None:
    async with raw_chunks(response) as chunks:
        async for chunk in chunks:
            arriving.take(chunk)
            if arriving.end is not None:
                break
        arriving.finish_body()
        if arriving.end is None:
            raise BadReply("stopped before its end mark")
        # Read to the end, so that the next call can use this connection. The reply is complete
        # already, so a timeout or a broken connection no longer matters.
        with suppress(httpx.RequestError), trio.move_on_after(AFTER_END_WAIT_S):
            async for chunk in chunks:
                arriving.take(chunk)
            arriving.finish_line()


async def read_body(response: httpx.Response, *, who: str, max_bytes: int) -> bytes:
    """The whole body. Raises TransientError if it is too long, and what httpx raises."""
    body = bytearray()
    async with raw_chunks(response) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > max_bytes:
                raise BadReply(f"is longer than {size_text(max_bytes)}").of(who)
    return bytes(body)


def raw_chunks(response: httpx.Response) -> aclosing[AsyncGenerator[bytes, None]]:
    """The body's chunks. The context manager closes the stream if the caller stops early."""
    return aclosing(cast(AsyncGenerator[bytes, None], response.aiter_raw()))


class _ArrivingLines:
    """Assembles a reply from its bytes; `end` is the line with `done`."""

    def __init__(
        self, request: Request, on_delta: OnDelta, *, who: str, secrets: tuple[str, ...]
    ) -> None:
        self.end: dict[str, Any] | None = None
        self._request = request
        self._who = who
        self._secrets = secrets
        self._lines = LineCutter(line_max_bytes=LINE_MAX_BYTES, body_max_bytes=BODY_MAX_BYTES)
        self._text = ThinkSplitter(on_delta)
        self._has_begun = False
        self._broken_start = b""
        self._counts = Counts()
        self._thoughts: list[str] = []
        self._calls: list[ToolCall] = []

    def take(self, chunk: bytes) -> None:
        """Add a chunk. Raises BadReply if it is not valid in a reply."""
        try:
            lines = self._lines.feed(chunk)
        except ValueError as error:
            raise BadReply(str(error)) from error
        for line in lines:
            self._take_line(line)

    def finish_line(self) -> None:
        """Read the rest as a line, even without a line feed."""
        self._take_line(self._lines.cut())

    def finish_body(self) -> None:
        """Read the rest; a body of one document over several lines is read now."""
        line = self._lines.cut()
        if self._broken_start:
            line, self._broken_start = self._broken_start + line, b""
            self._has_begun = True
        self._take_line(line)

    def mark_partial(self, error: ProviderError) -> ProviderError:
        """The error of a reply that broke off, with what was counted before."""
        return mark_partial(error, self._counts, has_begun=self._has_begun)

    def read_reason(self) -> str:
        """Why the reply ended. Raises BadReply if it is none."""
        assert self.end is not None, "the caller waits for the end mark"
        reason = _field(self.end, "done_reason", of=str, default="") or "stop"
        if reason in ("load", "unload"):
            raise BadReply(f"has no answer: {self._who} only did {reason!r} of the model")
        return reason

    def build_reply(self, reason: str) -> Reply:
        """The complete reply. Raises ProviderError if it failed or is a refusal."""
        assert self.end is not None, "the caller waits for the end mark"
        usage = self._counts.usage()
        text, tagged = self._text.finish()
        calls = give_ids(
            self._calls,
            self._request.messages,
            lambda text: safe_text(text, length_max=NAME_CHARS_MAX, secrets=self._secrets),
        )
        model = read_word(self.end.get("model")) or self._request.model
        native = None
        if calls and self._thoughts:
            # A model needs its thinking back together with the results of its tool calls.
            native = {"thinking": "".join(self._thoughts)}
        return Reply(
            text=text,
            model=safe_text(model, length_max=NAME_CHARS_MAX),
            finish_reason=read_end(
                self._who,
                safe_text(reason, length_max=NAME_CHARS_MAX),
                usage=usage if self._counts.is_known else None,
                has_text=bool(text.strip()),
                has_calls=bool(calls),
            ),
            usage=usage,
            tool_calls=calls,
            native=native,
            reasoning="\n".join(filter(None, ("".join(self._thoughts).strip(), tagged))),
            is_counted=self._counts.is_known,
            cost_nano_usd=self._counts.cost_nano_usd,
        )

    def _take_line(self, line: bytes) -> None:
        if not line.strip():
            return
        if self.end is not None:
            raise BadReply("continues after its end mark")
        if self._broken_start:
            self._broken_start += line + b"\n"
            return
        try:
            document, text = _parse_line(line)
        except BadReply:
            if self._has_begun or not line.lstrip().startswith((b"{", b"[")):
                raise
            # Perhaps the first line of a document that has several.
            self._broken_start = line + b"\n"
            return
        if document.get("error"):
            words = parse_error_words(text, secrets=self._secrets)
            raise build_document_error(self._who, document, words)
        self._has_begun = True
        counts = read_counts(document)
        self._counts = self._counts if counts.is_empty else counts
        done = _field(document, "done", of=bool, default=False)
        message = document.get("message")
        if message is not None or not done:
            self._take_message(message)
        if done:
            self.end = document

    def _take_message(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise BadReply("has a line without a message")
        calls = message.get("tool_calls")
        if calls:
            self._take_calls(calls)
        for key in ("thinking", "reasoning", "reasoning_content"):
            if thought := join_parts(message.get(key)):
                # Thinking counts in the usage and is not part of the answer.
                self._thoughts.append(thought)
                break
        content = message.get("content")
        if content is None:
            return
        if not isinstance(content, str):
            raise BadReply("has a message whose content is not a text")
        if content:
            self._text.feed(replace_surrogates(content))

    def _take_calls(self, calls: Any) -> None:
        if isinstance(calls, dict):
            calls = [calls]
        if not isinstance(calls, list) or len(self._calls) + len(calls) > CALLS_MAX:
            raise BadReply(f"has a `tool_calls` that is not a list of at most {CALLS_MAX}")
        self._calls += map(_parse_call, (call for call in calls if call is not None))


def _parse_line(line: bytes) -> tuple[dict[str, Any], str]:
    try:
        text = line.decode("utf-8")
        document = parse_document(text)
    except UnicodeDecodeError as error:
        raise BadReply("is not UTF-8") from error
    except ValueError as error:
        raise BadReply(f"has a line that is not JSON: {safe_text(str(error))}") from error
    if not isinstance(document, dict):
        raise BadReply("has a line that is not an object")
    return document, text


def build_document_error(who: str, document: dict[str, Any], words: str) -> ProviderError:
    """The error that a document with `error` reports, under a success status."""
    error = document["error"]
    inner = error if isinstance(error, dict) else {}
    codes = (inner.get("code"), document.get("status_code"), document.get("StatusCode"))
    status = next((code for code in map(read_count, codes) if code and 400 <= code < 600), 500)
    message = f"{who} failed during its reply: {words}"
    meaning = find_meaning(
        code=read_word(inner.get("code")) or "",
        kind=read_word(inner.get("type")) or "",
        words=words,
    )
    return build_judged_error(status, message, meaning, retry_after_s=find_wait(words, status))


def _parse_call(call: Any) -> ToolCall:
    """A tool call; its id is empty if the server sends none."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise BadReply("has a tool call without a function")
    name = safe_text(_field(function, "name", of=str, default=""), length_max=NAME_CHARS_MAX)
    if not name:
        raise BadReply("has a tool call without a name")
    arguments = read_arguments(function.get("arguments"))
    return ToolCall(id=read_word(call.get("id")) or "", name=name, arguments=arguments)


def _field(document: dict[str, Any], key: str, *, of: type[_Value], default: _Value) -> _Value:
    value = document.get(key)
    if value is None:
        return default
    if not isinstance(value, of):
        raise BadReply(f"has a {key} of the wrong type")
    return value
