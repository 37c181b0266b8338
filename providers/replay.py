"""The provider `replay`, which answers from recorded replies, offline.

`parse_replies` parses the content of a file of recorded replies. The caller finds and reads the
file, and stores it in the ledger.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import trio

from orc.providers.contract import OnDelta, Reply, Request, ToolCall, Usage
from orc.providers.errors import (
    PermanentError,
    PermanentKind,
    ProviderError,
    TransientError,
    TransientKind,
)
from orc.providers.request_key import prompt_values

_CHUNKS = 8
_TEXT_KEYS = ("text", "provider", "model", "finish_reason", "request")
_REPLY_KEYS = {*_TEXT_KEYS, "tool_calls", "native", "usage", "latency_s", "error"}
_CALL_KEYS = {"id", "name", "arguments"}
_ERROR_KEYS = {"kind", "message", "retry_after_s"}
_TRANSIENT = get_args(TransientKind)
_PERMANENT = get_args(PermanentKind)


class RepliesError(ValueError):
    """The file of recorded replies is not valid; the message says where."""


@dataclass(frozen=True, slots=True)
class RecordedReply:
    """One recorded outcome of a call: a text, tool calls, or an error, after `latency_s` seconds.

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
        replies: Mapping[str, tuple[RecordedReply, ...]],
        *,
        digest: Callable[[dict[str, Any]], str],
    ) -> None:
        self._replies = replies
        self._digest = digest

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """See `Provider.send`. A missing reply or one to another prompt is a PermanentError."""
        recorded = self._find(request)
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
            await trio.sleep(recorded.latency_s)
            raise _as_error(recorded.error, usage=recorded.usage)
        size = max(1, -(-len(recorded.text) // _CHUNKS))
        pieces = [recorded.text[i : i + size] for i in range(0, len(recorded.text), size)] or [""]
        for piece in pieces:
            await trio.sleep(recorded.latency_s / len(pieces))
            on_delta(piece)
        return Reply(
            text=recorded.text,
            model=recorded.model or request.model,
            finish_reason=recorded.finish_reason
            or ("tool_calls" if recorded.tool_calls else "stop"),
            usage=recorded.usage or Usage(),
            tool_calls=recorded.tool_calls,
            native=recorded.native,
        )

    async def models(self) -> tuple[str, ...]:
        """An empty list, because a recording does not list models."""
        return ()

    async def identify(self, model: str) -> str | None:
        """None, because recorded replies do not change with a model."""
        return None

    async def aclose(self) -> None:
        """Nothing to close."""

    def _find(self, request: Request) -> RecordedReply:
        of_step = self._replies.get(request.step)
        if of_step is None:
            known = ", ".join(sorted(self._replies)[:10]) or "none"
            raise PermanentError(
                "environment",
                f"no recorded reply for step {request.step!r}; the file has replies for: {known}",
            )
        if request.ordinal > len(of_step):
            raise PermanentError(
                "environment",
                f"no recorded reply for call {request.ordinal} of step {request.step!r}; the file "
                f"has {len(of_step)} for this step",
            )
        return of_step[request.ordinal - 1]


def parse_replies(document: Any) -> dict[str, tuple[RecordedReply, ...]]:
    """The recorded replies in a file's content: `{"replies": {step: [reply, ...]}}`.

    Raises RepliesError.
    """
    if not isinstance(document, dict) or not isinstance(document.get("replies"), dict):
        raise RepliesError("it must have a key `replies` that maps step ids to lists of replies")
    unknown = sorted(set(document) - {"replies", "version"})
    if unknown:
        raise RepliesError(f"unknown key {unknown[0]!r}; the file has `version` and `replies`")
    found: dict[str, tuple[RecordedReply, ...]] = {}
    for step, entries in document["replies"].items():
        if not isinstance(entries, list):
            raise RepliesError(f"replies.{step} must be a list")
        found[str(step)] = tuple(
            _parse_reply(entry, where=f"replies.{step}[{index}]")
            for index, entry in enumerate(entries)
        )
    return found


def _parse_reply(entry: Any, *, where: str) -> RecordedReply:
    if isinstance(entry, str):
        return RecordedReply(text=entry)
    if not isinstance(entry, dict):
        raise RepliesError(f"{where} must be a text or a mapping")
    unknown = sorted(set(entry) - _REPLY_KEYS)
    if unknown:
        raise RepliesError(f"{where}: unknown key {unknown[0]!r}; known: {sorted(_REPLY_KEYS)}")
    error = entry.get("error")
    if (error is None) == ("text" not in entry and "tool_calls" not in entry):
        raise RepliesError(f"{where} must have `error`, or else `text` or `tool_calls` or both")
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
    )


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
    names = Usage.__dataclass_fields__
    if not isinstance(usage, dict) or not all(
        name in names and type(count) is int and count >= 0 for name, count in usage.items()
    ):
        raise RepliesError(f"{where}.usage must map {', '.join(names)} to whole numbers")
    return Usage(**usage)


def _as_error(error: Mapping[str, Any], *, usage: Usage | None) -> ProviderError:
    kind = error["kind"]
    message = str(error.get("message", f"recorded failure: {kind}"))
    if kind in _TRANSIENT:
        return TransientError(kind, message, retry_after_s=error.get("retry_after_s"), usage=usage)
    return PermanentError(kind, message, usage=usage)
