"""Assembles a reply of Anthropic's Messages API from its events.

Content blocks are rebuilt in the form in which they must be sent back, even if their type is
unknown. A reply is complete when `message_stop` has arrived. Pings and events of other types are
ignored (platform.claude.com/docs/en/build-with-claude/streaming).
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from typing import Any

from orc.providers.anthropic_body import build_input
from orc.providers.contract import OnDelta, Reply, Request, ToolCall, Usage
from orc.providers.errors import PermanentError
from orc.providers.http import parse_json, replace_surrogates
from orc.providers.sdk_errors import Failures
from orc.providers.sdk_wire import Count, Text, Wire

BLOCKS_MAX = 10_000

_EVENTS = set("message_start message_delta message_stop".split()) | set(
    "content_block_start content_block_delta content_block_stop".split()
)
_DELTAS = {
    "text_delta": "text",
    "citations_delta": "citation",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
_FIELDS = {
    "text": {"text", "citation"},
    "thinking": {"thinking", "signature"},
    "tool_use": {"partial_json"},
}
_TEXTS = ("text", "thinking", "signature")
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}


class Arriving:
    """Assembles a reply from events; with `by_tool`, its text is the input of ANSWER_TOOL."""

    def __init__(
        self, request: Request, on_delta: OnDelta, failures: Failures, *, by_tool: bool
    ) -> None:
        self._request = request
        self._on_delta = on_delta
        self._failures = failures
        self._by_tool = by_tool
        self._message: _StartedMessage | None = None
        self._counts: dict[str, Any] = {}
        self._blocks: list[_Block] = []
        self._stop = _Stop()
        self._is_whole = False

    def take(self, event: Any) -> bool:
        """Add an event; returns whether the reply is complete. Raises ProviderError."""
        kind = _StreamEvent.parse(event, self._failures).type
        if kind == "error":
            raise self._failures.build_event_error(event)
        is_in_order = (self._message is None) == (kind == "message_start") and not self._is_whole
        if kind in _EVENTS and not is_in_order:
            raise self._failures.build_protocol_error(f"has the event {kind} in the wrong order")
        match kind:
            case "message_start":
                self._message = _StartedMessage.parse(event.get("message"), self._failures)
                self._count(self._message.usage)
            case "content_block_start":
                self._start_block(_BlockStart.parse(event, self._failures))
            case "content_block_delta":
                self._continue_block(_BlockDelta.parse(event, self._failures))
            case "message_delta":
                end = _MessageDelta.parse(event, self._failures)
                self._count(end.usage)
                self._stop = end.delta if end.delta.stop_reason else self._stop
            case "message_stop":
                self._is_whole = True
        return self._is_whole

    def build_reply(self, request_id: str | None) -> Reply:
        """The complete reply. Raises ProviderError if it cannot be used or is a refusal."""
        assert self._message is not None, "the caller waits until the reply is complete"
        usage = self._build_usage()
        finish_reason = self._read_finish_reason(usage)
        for block in self._blocks:
            block.finish(is_cut=finish_reason == "length" and block is self._blocks[-1])
        calls = [block for block in self._blocks if block.kind == "tool_use"]
        if finish_reason == "tool_calls" and not calls:
            raise self._failures.build_protocol_error("ended with `tool_use` but has no tool call")
        reply = Reply(
            text="".join(block.join("text") for block in self._blocks if block.kind == "text"),
            model=self._failures.show(self._message.model or "") or self._request.model,
            finish_reason="tool_calls" if calls and finish_reason == "stop" else finish_reason,
            usage=usage,
            request_id=request_id,
        )
        if calls and self._by_tool:
            # The call becomes the reply's text. It is not sent back, because it gets no result.
            reason = "stop" if reply.finish_reason == "tool_calls" else reply.finish_reason
            return replace(reply, text=calls[0].write_arguments(), finish_reason=reason)
        if all(block.kind == "text" for block in self._blocks):
            return reply
        native = [block.rebuild() for block in self._blocks if block.can_go_back()]
        return replace(reply, tool_calls=tuple(map(self._build_call, calls)), native=native)

    def _count(self, counts: _Counts | None) -> None:
        if counts is not None:
            self._counts |= counts.model_dump(exclude_none=True)

    def _start_block(self, start: _BlockStart) -> None:
        if start.index != len(self._blocks) or start.index >= BLOCKS_MAX:
            raise self._failures.build_protocol_error("starts a content block with a wrong index")
        kind = _StreamEvent.parse(start.content_block, self._failures).type
        # A block of an unknown type is not read, only sent back.
        read = start.content_block if kind in _FIELDS else {"type": kind}
        block = _Block(start.content_block, _Started.parse(read, self._failures))
        self._blocks.append(block)
        if kind == "tool_use" and not (self._request.tools or self._by_tool):
            raise self._failures.build_protocol_error("calls a tool, but the request has no tools")
        if kind == "text":
            self._report(block.join("text"))
        elif kind == "tool_use" and self._by_tool and block.arguments:
            self._report(block.write_arguments())

    def _continue_block(self, event: _BlockDelta) -> None:
        if event.index >= len(self._blocks):
            raise self._failures.build_protocol_error("continues a content block before its start")
        block = self._blocks[event.index]
        if not block.add(event.delta):
            raise self._failures.build_protocol_error(f"has an invalid {event.delta.type}")
        if block.kind == "text":
            self._report(event.delta.text)
        elif block.kind == "tool_use" and self._by_tool:
            self._report(event.delta.partial_json)

    def _report(self, piece: str | None) -> None:
        if piece:
            self._on_delta(piece)

    def _build_usage(self) -> Usage:
        count = self._counts.get
        cached, written = count("cache_read_input_tokens", 0), count("output_tokens", 0)
        # `input_tokens` of the API excludes tokens read from its cache or written to it.
        read = count("input_tokens", 0) + count("cache_creation_input_tokens", 0) + cached
        reasoning = count("output_tokens_details", {}).get("thinking_tokens", 0)
        return Usage(read, written, cached, min(reasoning, written))

    def _read_finish_reason(self, usage: Usage) -> str:
        reason = self._failures.show(self._stop.stop_reason or "")
        if not reason:
            raise self._failures.build_protocol_error("has no stop reason")
        if reason == "refusal":
            details = self._stop.stop_details or _StopDetails()
            why = ": ".join(filter(None, (details.category, details.explanation)))
            words = f" ({self._failures.show(why)})" if why else ""
            message = f"Anthropic's model refused to answer{words}"
            raise PermanentError("refused", message, usage=usage)
        return _FINISH_REASONS.get(reason, reason)

    def _build_call(self, block: _Block) -> ToolCall:
        """The tool call. Its id and name are recorded and must therefore be safe to show."""
        for name in (block.id, block.name):
            if not name or self._failures.show(name) != name:
                raise self._failures.build_protocol_error(
                    "has a tool call without a valid id and name"
                )
        return ToolCall(id=block.id, name=block.name, arguments=block.arguments)


class _Block:
    """A content block: its start event and the deltas that have arrived for it."""

    def __init__(self, started: dict[str, Any], read: _Started) -> None:
        self.kind, self.id, self.name = read.type, read.id or "", read.name or ""
        self.arguments: dict[str, Any] | str = read.input or {}
        self._started = started
        self._pieces: defaultdict[str, list[Any]] = defaultdict(list)
        self._pieces["citation"] = list(read.citations or ())
        for name in _TEXTS:
            self._pieces[name].append(getattr(read, name) or "")

    def add(self, delta: _ContentDelta) -> bool:
        """Add a delta; returns whether it is valid for this block. Unknown types are ignored."""
        name = _DELTAS.get(delta.type)
        if name is None:
            return True
        piece = getattr(delta, name)
        self._pieces[name].append(piece)
        return piece is not None and name in _FIELDS.get(self.kind, _DELTAS.values())

    def finish(self, *, is_cut: bool) -> None:
        """Parse a call's input. It stays a text if it is not a JSON object or was cut off."""
        written = self.join("partial_json")
        if not written.strip():
            self.arguments = "" if is_cut and not self.arguments else self.arguments
            return
        try:
            arguments = parse_json(written)
        except ValueError:
            arguments = None
        self.arguments = arguments if isinstance(arguments, dict) else written

    def join(self, name: str) -> str:
        """The complete text of one field."""
        return "".join(self._pieces[name])

    def write_arguments(self) -> str:
        """The input as JSON text, in the model's own spelling if it was streamed."""
        if isinstance(self.arguments, str):
            return self.arguments
        written = self.join("partial_json")
        return written or replace_surrogates(json.dumps(self.arguments, ensure_ascii=False))

    def can_go_back(self) -> bool:
        """Whether the API accepts it back: it refuses empty texts and unsigned thinking."""
        required = {"text": "text", "thinking": "signature"}.get(self.kind)
        return required is None or bool(self.join(required))

    def rebuild(self) -> dict[str, Any]:
        """The complete block."""
        rebuilt = self._started | {name: self.join(name) for name in _TEXTS if self.join(name)}
        if self._pieces["partial_json"] or self.arguments:
            rebuilt["input"] = build_input(self.arguments)
        if self._pieces["citation"]:
            rebuilt["citations"] = self._pieces["citation"]
        return rebuilt


class _StreamEvent(Wire):
    type: str


class _OutputDetails(Wire):
    thinking_tokens: Count | None = None


class _Counts(Wire):
    """Running totals; an absent field has not changed."""

    input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    output_tokens: Count | None = None
    output_tokens_details: _OutputDetails | None = None


class _StartedMessage(Wire):
    model: Text | None = None
    usage: _Counts | None = None


class _Texts(_StreamEvent):
    text: Text | None = None
    thinking: Text | None = None
    signature: Text | None = None


class _Started(_Texts):
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    citations: list[Any] | None = None


class _BlockStart(Wire):
    index: Count
    content_block: dict[str, Any]


class _ContentDelta(_Texts):
    citation: dict[str, Any] | None = None
    partial_json: Text | None = None


class _BlockDelta(Wire):
    index: Count
    delta: _ContentDelta


class _StopDetails(Wire):
    category: Text | None = None
    explanation: Text | None = None


class _Stop(Wire):
    stop_reason: Text | None = None
    stop_details: _StopDetails | None = None


class _MessageDelta(Wire):
    delta: _Stop = _Stop()
    usage: _Counts | None = None
