"""The provider `replay`, which answers from recorded replies, offline.

`parse_replies` parses the content of a file of recorded replies. The caller finds and reads the
file, and stores it in the ledger.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, get_args

import trio
from msgspec import Struct

from orc.ledger.wording import count_text, duration_text
from orc.providers.contract import OnDelta, Reply, Request, ToolCall, Usage, Vectors
from orc.providers.embeddings.vectors import describe_vectors, texts_of, unpack_vectors
from orc.providers.errors import (
    PermanentError,
    PermanentKind,
    ProviderError,
    TransientError,
    TransientKind,
)
from orc.providers.http import LONGER
from orc.providers.replies.ends import read_end
from orc.providers.request_key import prompt_values

_CHUNKS = 8
_TEXT_KEYS = ("text", "reasoning", "provider", "model", "finish_reason", "request")
_REPLY_KEYS = {*_TEXT_KEYS, "vectors", "tool_calls", "native", "usage", "latency_s", "error"}
_CALL_KEYS = {"id", "name", "arguments"}
_ERROR_KEYS = {"kind", "message", "retry_after_s"}
_TRANSIENT = get_args(TransientKind)
_PERMANENT = get_args(PermanentKind)
# One `*` a part, so that a pattern matches in linear time.
_PART = r"(?:[A-Za-z0-9_-]+|[A-Za-z0-9_-]*\*[A-Za-z0-9_-]*)"
_PATTERN = re.compile(rf"{_PART}(?:\[{_PART}\]|#{_PART}|/{_PART})*")
_ANY_PART = r"[^\[\]#/]+"


class RepliesError(ValueError):
    """The file of recorded replies is not valid; the message says where."""


class RecordedReply(Struct, frozen=True):
    """One recorded outcome of a call: a text, tool calls, vectors or an error, after `latency_s` s.

    The default `finish_reason` is `tool_calls` if there are tool calls, otherwise `stop`.
    `request` is the SHA-256 of the recorded prompt; if it is set, a call with another prompt is
    refused. `provider` is the provider that was recorded, for readers of the file.
    """

    text: str
    latency_s: float = 0.0
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    request: str | None = None
    error: Mapping[str, Any] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    native: Any = None
    provider: str | None = None
    reasoning: str = ""
    vectors: Vectors | None = None


class RecordedReplies(Struct, frozen=True, dict=True):
    """The content of a file of recorded replies: lists of replies by step id or pattern.

    In a pattern, `*` stands for a name, a key or a number: `notes[*]`, `draft#*/write`. A step gets
    the list of its own id. If there is none, it gets the list of the pattern with the most
    characters besides `*`, the first in alphabetical order of several; else the list `default`.
    """

    by_step: Mapping[str, tuple[RecordedReply, ...]]
    default: tuple[RecordedReply, ...] = ()

    @cached_property
    def _patterns(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        patterns = [name for name in self.by_step if "*" in name]
        patterns.sort(key=lambda name: (name.count("*") - len(name), name))
        return tuple(
            (name, re.compile(re.escape(name).replace(r"\*", _ANY_PART))) for name in patterns
        )

    def find(self, step: str, ordinal: int) -> RecordedReply:
        """The reply to a call of the step; `ordinal` counts its calls from 1.

        The replies of a step's own list are used once each. The last reply of a pattern or of
        `default` also answers all later calls. Raises PermanentError.
        """
        own = self.by_step.get(step)
        if own is not None:
            if ordinal <= len(own):
                return own[ordinal - 1]
            raise PermanentError(
                "environment",
                f"no recorded reply for call {ordinal} of step {step!r}; the file has {len(own)} "
                "for this step",
            )
        matching = next((name for name, found in self._patterns if found.fullmatch(step)), None)
        shared = self.default if matching is None else self.by_step[matching]
        if shared:
            return shared[min(ordinal, len(shared)) - 1]
        known = ", ".join(sorted(self.by_step)[:10]) or "none"
        raise PermanentError(
            "environment",
            f"no recorded reply for step {step!r}; the file has replies for: {known}; add one for "
            f"{_pattern_of(step)!r}, or a `default` for all other steps",
        )


def _pattern_of(step: str) -> str:
    """The step's id with `*` for each item and round."""
    return re.sub(r"\[[^\]]*\]", "[*]", re.sub(r"#\d+", "#*", step))


class Replay:
    """A provider that answers the n-th call of a step with the step's n-th recorded reply.

    It supports every parameter, because the recorded provider may have used it.
    """

    name = "replay"
    params = frozenset(
        "temperature top_p top_k min_p max_tokens stop seed presence_penalty frequency_penalty "
        "repeat_penalty reasoning_effort num_ctx num_thread num_predict keep_alive".split()
    )
    endpoint = ""

    def __init__(
        self,
        replies: RecordedReplies,
        *,
        digest: Callable[[dict[str, Any]], str],
    ) -> None:
        self._replies = replies
        self._digest = digest

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """See `Provider.send`. A missing reply or one to another prompt is a PermanentError."""
        recorded = await self._find(request)
        if recorded.vectors is not None:
            raise PermanentError(
                "bad_request",
                f"the recorded reply to call {request.ordinal} of step {request.step!r} has "
                f"{describe_vectors(recorded.vectors)}, and the request needs a text; record it again, "
                "or give it a key `text`",
            )
        size = max(1, -(-len(recorded.text) // _CHUNKS))
        pieces = [recorded.text[i : i + size] for i in range(0, len(recorded.text), size)] or [""]
        for piece in pieces:
            await _be_silent(recorded.latency_s / len(pieces), request.timeout_s)
            on_delta(piece)
        return Reply(
            text=recorded.text,
            model=recorded.model or request.model,
            finish_reason=read_end(
                "the recorded model",
                recorded.finish_reason or "stop",
                usage=recorded.usage,
                has_text=bool(recorded.text.strip()),
                has_calls=bool(recorded.tool_calls),
            ),
            usage=recorded.usage or Usage(),
            tool_calls=recorded.tool_calls,
            native=recorded.native,
            reasoning=recorded.reasoning,
            is_counted=recorded.usage is not None,
        )

    async def embed(self, request: Request) -> Reply:
        """See `Embedder.embed`; missing vectors are a PermanentError, too."""
        recorded = await self._find(request)
        vectors, count = recorded.vectors, len(texts_of(request))
        if vectors is None or vectors.count != count:
            has = "a text" if vectors is None else describe_vectors(vectors)
            raise PermanentError(
                "bad_request",
                f"the recorded reply to call {request.ordinal} of step {request.step!r} has {has}, "
                f"and the request needs {count_text(count, 'vector')}; record it again, or change "
                "its key `vectors`",
            )
        await _be_silent(recorded.latency_s, request.timeout_s)
        return Reply(
            text=describe_vectors(vectors),
            model=recorded.model or request.model,
            finish_reason="stop",
            usage=recorded.usage or Usage(),
            is_counted=recorded.usage is not None,
            vectors=vectors,
        )

    async def _find(self, request: Request) -> RecordedReply:
        """The reply to the request. Raises ProviderError, also if the reply is a recorded failure."""
        recorded = self._replies.find(request.step, request.ordinal)
        if (
            recorded.request is not None
            and self._digest(prompt_values(request)) != recorded.request
        ):
            raise PermanentError(
                "bad_request",
                f"the recorded reply to call {request.ordinal} of step {request.step!r} belongs to "
                f"another request: it was recorded for {recorded.request[:12]}..., and this "
                f"request is {self._digest(prompt_values(request))[:12]}...; record it again, or remove "
                "its key `request`",
            )
        if recorded.error is not None:
            await _be_silent(recorded.latency_s, request.timeout_s)
            raise _as_error(recorded.error, usage=recorded.usage)
        return recorded

    async def models(self) -> tuple[str, ...]:
        """An empty list, because a recording does not list models."""
        return ()

    async def identify(self, model: str) -> str | None:
        """None, because recorded replies do not change with a model."""
        return None

    async def aclose(self) -> None:
        """Nothing to close."""


def parse_replies(document: Any) -> RecordedReplies:
    """The recorded replies in a file: `{"replies": {step: [reply, ...]}}`, a `default`, or both.

    Raises RepliesError.
    """
    given = document if isinstance(document, dict) else {}
    replies = given.get("replies", {} if "default" in given else None)
    if not isinstance(replies, dict):
        raise RepliesError(
            "it must have a key `replies` that maps step ids to lists of replies, or a `default`"
        )
    unknown = sorted(map(str, set(document) - {"replies", "default", "version"}))
    if unknown:
        raise RepliesError(
            f"unknown key {unknown[0]!r}; the file has `version`, `replies` and `default`"
        )
    by_step = {str(name): _parse_list(name, entries) for name, entries in replies.items()}
    if "default" not in document:
        return RecordedReplies(by_step)
    return RecordedReplies(by_step, _parse_shared(document["default"], where="default"))


def _parse_list(name: Any, entries: Any) -> tuple[RecordedReply, ...]:
    where = f"replies.{name}"
    if "*" not in str(name):
        return _parse_entries(entries, where=where)
    if not _PATTERN.fullmatch(str(name)):
        raise RepliesError(
            f"{where} is not a pattern of step ids, such as notes[*], draft#*/write or "
            "summary[de-*]: `*` stands for a name, a key or a number, or once for a part of it"
        )
    return _parse_shared(entries, where=where)


def _parse_shared(entries: Any, *, where: str) -> tuple[RecordedReply, ...]:
    found = _parse_entries(entries, where=where)
    if not found:
        raise RepliesError(f"{where} must have at least one reply")
    return found


def _parse_entries(entries: Any, *, where: str) -> tuple[RecordedReply, ...]:
    if not isinstance(entries, list):
        raise RepliesError(f"{where} must be a list")
    return tuple(
        _parse_reply(entry, where=f"{where}[{index}]") for index, entry in enumerate(entries)
    )


def _parse_reply(entry: Any, *, where: str) -> RecordedReply:
    if isinstance(entry, str):
        return RecordedReply(text=entry)
    if not isinstance(entry, dict):
        raise RepliesError(f"{where} must be a text or a mapping")
    unknown = sorted(set(entry) - _REPLY_KEYS)
    if unknown:
        raise RepliesError(f"{where}: unknown key {unknown[0]!r}; known: {sorted(_REPLY_KEYS)}")
    error = entry.get("error")
    if (error is None) == entry.keys().isdisjoint(("text", "tool_calls", "vectors")):
        raise RepliesError(
            f"{where} must have `error`, or else `text` or `tool_calls` or both, or `vectors`"
        )
    if error is not None:
        _check_error(error, where=where)
    latency_s = entry.get("latency_s", 0.0)
    if not _is_duration(latency_s):
        raise RepliesError(f"{where}.latency_s must be a number of seconds")
    _check_texts(entry, _TEXT_KEYS, where=where)
    if not _is_json(entry.get("native")):
        raise RepliesError(f"{where}.native must be a JSON value")
    return RecordedReply(
        text=entry.get("text", ""),
        latency_s=float(latency_s),
        model=entry.get("model"),
        finish_reason=entry.get("finish_reason"),
        usage=_parse_usage(entry.get("usage"), where=where),
        request=entry.get("request"),
        error=error,
        tool_calls=_parse_calls(entry.get("tool_calls", []), where=f"{where}.tool_calls"),
        native=entry.get("native"),
        provider=entry.get("provider"),
        reasoning=entry.get("reasoning", ""),
        vectors=_parse_vectors(entry, where=where),
    )


def _parse_vectors(entry: Mapping[str, Any], *, where: str) -> Vectors | None:
    if "vectors" not in entry:
        return None
    try:
        return unpack_vectors(entry["vectors"])
    except ValueError as error:
        raise RepliesError(f"{where}.vectors {error}") from None


def _check_texts(entry: Mapping[str, Any], keys: Iterable[str], *, where: str) -> None:
    for key in keys:
        if key in entry and not isinstance(entry[key], str):
            raise RepliesError(f"{where}.{key} must be a text")


def _parse_calls(calls: Any, *, where: str) -> tuple[ToolCall, ...]:
    if not isinstance(calls, list):
        raise RepliesError(f"{where} must be a list")
    return tuple(_parse_call(call, where=f"{where}[{i}]") for i, call in enumerate(calls))


def _parse_call(call: Any, *, where: str) -> ToolCall:
    if not isinstance(call, dict) or set(call) != _CALL_KEYS:
        raise RepliesError(f"{where} must map {', '.join(sorted(_CALL_KEYS))}, and nothing else")
    _check_texts(call, ("id", "name"), where=where)
    arguments = call["arguments"]
    if not isinstance(arguments, dict | str) or not _is_json(arguments):
        raise RepliesError(f"{where}.arguments must be a mapping of JSON values, or a text")
    return ToolCall(id=call["id"], name=call["name"], arguments=arguments)


def _is_json(value: Any) -> bool:
    """Whether JSON can hold the value unchanged. YAML also has dates, and keys of other types."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (ValueError, TypeError, RecursionError):
        return False


def _check_error(error: Any, *, where: str) -> None:
    kinds = (*_TRANSIENT, *_PERMANENT)
    if not isinstance(error, dict) or error.get("kind") not in kinds:
        raise RepliesError(f"{where}.error must have a `kind`, one of {', '.join(kinds)}")
    unknown = sorted(set(error) - _ERROR_KEYS)
    if unknown:
        raise RepliesError(f"{where}.error: unknown key {unknown[0]!r}")
    if error.get("retry_after_s") is not None and not _is_duration(error["retry_after_s"]):
        raise RepliesError(f"{where}.error.retry_after_s must be a number of seconds")


def _is_duration(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < math.inf


def _parse_usage(usage: Any, *, where: str) -> Usage | None:
    if usage is None:
        return None
    names = Usage.__struct_fields__
    if not isinstance(usage, dict) or not all(
        name in names and type(count) is int and count >= 0 for name, count in usage.items()
    ):
        raise RepliesError(f"{where}.usage must map {', '.join(names)} to whole numbers")
    return Usage(**usage)


async def _be_silent(seconds: float, timeout_s: float) -> None:
    """Wait as the recorded server did. Raises TransientError if that is longer than allowed."""
    await trio.sleep(min(seconds, timeout_s))
    if seconds > timeout_s:
        waited = duration_text(timeout_s)
        raise TransientError("timeout", f"the recorded reply sent nothing for {waited}; {LONGER}")


def _as_error(error: Mapping[str, Any], *, usage: Usage | None) -> ProviderError:
    kind = error["kind"]
    message = str(error.get("message", f"recorded failure: {kind}"))
    if kind in _TRANSIENT:
        return TransientError(kind, message, retry_after_s=error.get("retry_after_s"), usage=usage)
    return PermanentError(kind, message, usage=usage)
