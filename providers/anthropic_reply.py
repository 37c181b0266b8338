"""Assembles a reply of Anthropic's Messages API from its events.

Content blocks are rebuilt in the form in which they must be sent back, even if their type is
unknown. A reply is complete when `message_stop` has arrived. Pings and events of other types are
ignored (platform.claude.com/docs/en/build-with-claude/streaming).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec.structs import replace

from orc.providers.anthropic_body import build_input
from orc.providers.contract import OnDelta, Reply, Request, ToolCall, Usage
from orc.providers.errors import ProviderError
from orc.providers.http import replace_surrogates
from orc.providers.replies.ends import build_refused, classify, read_end
from orc.providers.replies.lenient import LooseCount, LooseText, OrNone, read_count
from orc.providers.replies.reasoning import ThinkSplitter
from orc.providers.replies.tool_calls import give_ids, read_arguments
from orc.providers.replies.usage import Counts, find_cost, mark_partial, read_cost
from orc.providers.sdk_errors import Failures
from orc.providers.sdk_wire import Text, Wire

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


class Arriving:
    """Assembles a reply from events; with `by_tool`, its text is the input of ANSWER_TOOL."""

    def __init__(
        self, request: Request, on_delta: OnDelta, failures: Failures, *, by_tool: bool
    ) -> None:
        self._request = request
        self._on_delta = on_delta
        self._failures = failures
        self._by_tool = by_tool
        self._text = ThinkSplitter(on_delta)
        self._message: _StartedMessage | None = None
        self._counts: dict[str, Any] = {}
        self._has_end_count = False
        self._blocks: list[_Block] = []
        self._by_index: dict[int, _Block] = {}
        self._stop = _Stop()
        self._is_whole = False

    def take(self, event: Any) -> bool:
        """Add an event; returns whether the reply is complete. Raises ProviderError."""
        kind = _StreamEvent.parse(event, self._failures).type
        if kind == "error":
            raise self._failures.build_event_error(event)
        if kind == "message":
            return self._take_document(event)
        is_in_order = (self._message is None) == (kind == "message_start") and not self._is_whole
        if kind in _EVENTS and not is_in_order:
            raise self._failures.build_protocol_error(f"has the event {kind} in the wrong order")
        match kind:
            case "message_start":
                self._message = _StartedMessage.parse(event.get("message") or {}, self._failures)
                self._count(self._message.usage)
            case "content_block_start":
                self._start_block(_BlockStart.parse(event, self._failures))
            case "content_block_delta":
                self._continue_block(_BlockDelta.parse(event, self._failures))
            case "message_delta":
                end = _MessageDelta.parse(event, self._failures)
                self._count(end.usage, is_end=True)
                self._stop = end.delta if end.delta.stop_reason else self._stop
            case "message_stop":
                self._is_whole = True
        return self._is_whole

    def mark_partial(self, error: ProviderError) -> ProviderError:
        """The error of a reply that broke off, with what was counted before."""
        return mark_partial(error, self._read_counts(), has_begun=self._message is not None)

    def build_reply(self, headers: Mapping[str, str]) -> Reply:
        """The complete reply; `headers` are those of the response.

        Raises ProviderError if it cannot be used or is a refusal.
        """
        assert self._message is not None, "the caller waits until the reply is complete"
        counts = self._read_counts()
        usage = counts.usage()
        is_cut = classify(self._stop.stop_reason or "") == "length"
        for block in self._blocks:
            block.finish(is_cut=is_cut and block is self._blocks[-1])
        calls = [block for block in self._blocks if block.kind == "tool_use"]
        text, tagged = self._text.finish()
        thoughts = [block.join("thinking") for block in self._blocks if block.kind == "thinking"]
        finish_reason = self._read_finish_reason(
            usage if counts.is_known else None, has_text=bool(text.strip()), has_calls=bool(calls)
        )
        reply = Reply(
            text=text,
            model=self._failures.show(self._message.model or "") or self._request.model,
            finish_reason=finish_reason,
            usage=usage,
            request_id=self._failures.show(headers.get("request-id", "")) or None,
            reasoning="\n".join(filter(None, (*map(str.strip, thoughts), tagged))),
            is_counted=counts.is_known,
            cost_nano_usd=find_cost(counts, headers),
        )
        if calls and self._by_tool:
            # The call becomes the reply's text. It is not sent back, because it gets no result.
            reason = "stop" if reply.finish_reason == "tool_calls" else reply.finish_reason
            return replace(reply, text=calls[0].write_arguments(), finish_reason=reason)
        if all(block.kind == "text" for block in self._blocks):
            return reply
        given = self._build_calls(calls)
        native = [block.rebuild() for block in self._blocks if block.can_go_back()]
        return replace(reply, tool_calls=given, native=native)

    def _take_document(self, document: dict[str, Any]) -> bool:
        """Read a whole message in place of a stream."""
        self._message = _StartedMessage.parse(document, self._failures)
        self._count(self._message.usage, is_end=True)
        contents = _Document.parse(document, self._failures).content or []
        if isinstance(contents, str):
            contents = [{"type": "text", "text": contents}]
        for index, content in enumerate(contents):
            self._start_block(_BlockStart(index=index, content_block=content))
        self._stop = _Stop.parse(document, self._failures)
        self._is_whole = True
        return True

    def _count(self, counts: dict[str, Any] | None, *, is_end: bool = False) -> None:
        if counts is not None:
            self._counts |= {name: count for name, count in counts.items() if count is not None}
            self._has_end_count |= is_end and counts.get("output_tokens") is not None

    def _read_counts(self) -> Counts:
        """The counts. `input_tokens` of the API excludes tokens read from or written to its cache."""
        found = {name: read_count(count) for name, count in self._counts.items()}
        details = self._counts.get("output_tokens_details")
        reasoning = read_count(details.get("thinking_tokens")) if isinstance(details, dict) else 0
        cached = found.get("cache_read_input_tokens") or 0
        cache_write = found.get("cache_creation_input_tokens") or 0
        read, written = found.get("input_tokens"), found.get("output_tokens")
        if read is not None:
            read += cache_write + cached
        if not self._has_end_count and self._is_whole:
            # The first event only begins to count the output.
            written = None
        if not read:
            read, written = None, written or None
        reasoning = min(reasoning or 0, written or 0)
        cost = read_cost(self._counts)
        return Counts(read, written, cached, reasoning, cost, cache_write)

    def _start_block(self, start: _BlockStart) -> None:
        if len(self._blocks) >= BLOCKS_MAX:
            raise self._failures.build_protocol_error(f"has more than {BLOCKS_MAX} content blocks")
        kind = _StreamEvent.parse(start.content_block, self._failures).type
        # A block of an unknown type is not read, only sent back.
        read = start.content_block if kind in _FIELDS else {"type": kind}
        block = _Block(start.content_block, _Started.parse(read, self._failures))
        self._blocks.append(block)
        if start.index is not None:
            self._by_index[start.index] = block
        if kind == "text":
            self._say(block.join("text"))
        elif kind == "tool_use" and self._by_tool and block.arguments:
            self._report(block.write_arguments())

    def _continue_block(self, event: _BlockDelta) -> None:
        # An index that no block has been started with belongs to the last one.
        last = self._blocks[-1] if self._blocks else None
        block = last if event.index is None else self._by_index.get(event.index, last)
        if block is None:
            raise self._failures.build_protocol_error("continues a content block before its start")
        if not block.add(event.delta):
            raise self._failures.build_protocol_error(f"has an invalid {event.delta.type}")
        if block.kind == "text":
            self._say(event.delta.text)
        elif block.kind == "tool_use" and self._by_tool:
            self._report(event.delta.partial_json)

    def _say(self, piece: str | None) -> None:
        if piece:
            self._text.feed(piece)

    def _report(self, piece: str | None) -> None:
        if piece:
            self._on_delta(piece)

    def _read_finish_reason(self, usage: Usage | None, *, has_text: bool, has_calls: bool) -> str:
        reason = self._failures.show(self._stop.stop_reason or "")
        if not reason:
            error = self._failures.build_protocol_error("has no stop reason")
            raise self.mark_partial(error)
        if reason == "refusal":
            details = self._stop.stop_details or _StopDetails()
            why = ": ".join(filter(None, (details.category, details.explanation)))
            words = f" ({self._failures.show(why)})" if why else ""
            message = f"{self._failures.api.name}'s model refused to answer{words}"
            raise build_refused(message, usage)
        return read_end(
            self._failures.api.name, reason, usage=usage, has_text=has_text, has_calls=has_calls
        )

    def _build_calls(self, blocks: list[_Block]) -> tuple[ToolCall, ...]:
        """The tool calls. Their ids and names are recorded and must therefore be safe to show."""
        calls: list[ToolCall] = []
        for block in blocks:
            name = self._failures.show(block.name)
            if not name:
                error = self._failures.build_protocol_error("calls a tool without a name")
                raise self.mark_partial(error)
            calls.append(ToolCall(id=block.id, name=name, arguments=block.arguments))
        given = give_ids(calls, self._request.messages, self._failures.show)
        for block, call in zip(blocks, given, strict=True):
            block.id, block.name = call["id"], call["name"]
        return given


class _Block:
    """A content block: its start event and the deltas that have arrived for it."""

    def __init__(self, started: dict[str, Any], read: _Started) -> None:
        self.kind, self.id, self.name = read.type, read.id or "", read.name or ""
        self.arguments: dict[str, Any] | str = read_arguments(read.input)
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
        if piece is not None:
            self._pieces[name].append(piece)
        is_there = name in delta.model_fields_set
        return is_there and name in _FIELDS.get(self.kind, _DELTAS.values())

    def finish(self, *, is_cut: bool) -> None:
        """Parse a call's input. It stays a text if it is not a JSON object or was cut off."""
        written = self.join("partial_json")
        if not written.strip():
            self.arguments = "" if is_cut and not self.arguments else self.arguments
            return
        self.arguments = read_arguments(written)

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
        if self.kind == "tool_use":
            rebuilt |= {"id": self.id, "name": self.name}
        if self._pieces["partial_json"] or self.kind == "tool_use":
            rebuilt["input"] = build_input(self.arguments)
        if self._pieces["citation"]:
            rebuilt["citations"] = self._pieces["citation"]
        return rebuilt


class _StreamEvent(Wire):
    type: str


_Counts = Annotated[dict[str, Any] | None, OrNone]
"""Running totals; an absent field has not changed."""


class _StartedMessage(Wire):
    model: LooseText = None
    usage: _Counts = None


class _Document(Wire):
    content: list[dict[str, Any]] | Text | None


class _Texts(_StreamEvent):
    text: Text | None = None
    thinking: Text | None = None
    signature: Text | None = None


class _Started(_Texts):
    id: LooseText = None
    name: LooseText = None
    input: Any = None
    citations: Annotated[list[Any] | None, OrNone] = None


class _BlockStart(Wire):
    index: LooseCount = None
    content_block: dict[str, Any]


class _ContentDelta(_Texts):
    citation: Annotated[dict[str, Any] | None, OrNone] = None
    partial_json: Text | None = None


class _BlockDelta(Wire):
    index: LooseCount = None
    delta: _ContentDelta


class _StopDetails(Wire):
    category: LooseText = None
    explanation: LooseText = None


class _Stop(Wire):
    stop_reason: Text | None = None
    stop_details: Annotated[_StopDetails | None, OrNone] = None


class _MessageDelta(Wire):
    delta: _Stop = _Stop()
    usage: _Counts = None
