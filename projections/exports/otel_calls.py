"""The spans inside an attempt: model calls, tool calls, and human decisions.

They follow the GenAI semantic conventions that `otel.py` names. A call that was answered from
the ledger is an event of its attempt and not a span, because nothing was sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, field

from orc.ledger.digest import digest_json
from orc.ledger.events import (
    ApprovalDecided,
    ApprovalRequested,
    CacheHit,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Payload,
    StepSwitched,
    ToolCalled,
    ToolReturned,
)
from orc.ledger.kinds import IN_DOUBT, facts_of
from orc.ledger.reader import LedgerReader
from orc.projections.exports.messages import (
    as_json,
    input_messages,
    output_messages,
    tool_definitions,
)
from orc.projections.exports.otlp import CLIENT, INTERNAL, OtlpSpan, Value
from orc.projections.exports.source import ExportSource
from orc.projections.history.definitions import read_or_lost
from orc.projections.tables.job_view import read_calls, read_tools
from orc.projections.tables.rows import AttemptRow, CallRow, StepRow, ToolRow
from orc.providers.catalogue import facts_of as provider_facts

_Attempt = tuple[str, int]
_Call = tuple[str, int, int]

_RESPONSE_IDS = ("chatcmpl-", "resp_", "msg_")
"""The prefixes of reply ids; an id without one is the id that a server gave to the request."""
_NUMBERS = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty")
_COUNTS = ("max_tokens", "seed")


class EventFacts(Struct):
    """The facts about attempts that a job's events have and the tables do not."""

    asked: dict[_Call, LlmRequested] = field(default_factory=dict)
    answered: dict[_Call, LlmResponded | CacheHit] = field(default_factory=dict)
    ended_at: dict[_Call, str] = field(default_factory=dict)
    hits: dict[_Attempt, list[tuple[str, CacheHit]]] = field(default_factory=dict)
    called: dict[str, ToolCalled] = field(default_factory=dict)
    returned: dict[str, tuple[str, ToolReturned]] = field(default_factory=dict)
    questions: dict[_Attempt, tuple[str, ApprovalRequested]] = field(default_factory=dict)
    decisions: dict[_Attempt, tuple[str, ApprovalDecided]] = field(default_factory=dict)
    switched: dict[str, list[tuple[str, StepSwitched]]] = field(default_factory=dict)


def read_event_facts(source: ExportSource) -> EventFacts:
    """The facts, from one pass over the job's events."""
    facts = EventFacts()
    for recorded in source.reader.read_stream(source.job_id):
        at = recorded.recorded_at
        match event := recorded.event:
            case LlmRequested():
                facts.asked[event.step, event.attempt, event.call] = event
            case LlmResponded():
                facts.answered[event.step, event.attempt, event.call] = event
                facts.ended_at[event.step, event.attempt, event.call] = at
            case LlmFailed():
                facts.ended_at[event.step, event.attempt, event.call] = at
            case CacheHit():
                facts.answered[event.step, event.attempt, event.call] = event
                facts.hits.setdefault((event.step, event.attempt), []).append((at, event))
            case ToolCalled():
                facts.called[_tool_id(source.job_id, event)] = event
            case ToolReturned():
                facts.returned[_tool_id(source.job_id, event)] = at, event
            case ApprovalRequested():
                facts.questions[event.step, event.attempt] = at, event
            case ApprovalDecided():
                facts.decisions[event.step, event.attempt] = at, event
            case StepSwitched():
                facts.switched.setdefault(event.step, []).append((at, event))
            case _:
                pass
    return facts


def call_spans(
    source: ExportSource,
    facts: EventFacts,
    step: StepRow,
    attempt: AttemptRow,
    parent: OtlpSpan,
    *,
    content: bool,
) -> Iterator[OtlpSpan]:
    """The calls of the attempt that were sent to a model."""
    if not step.calls and not facts_of(step.kind).calls_model:
        return
    for call in read_calls(source.reader.connection, step.step_id):
        place = (step.name, attempt.attempt, call.call)
        if call.attempt_id == attempt.attempt_id and place in facts.asked:
            yield _call(source.reader, facts, step, call, place, parent, content=content)


def tool_spans(
    source: ExportSource,
    facts: EventFacts,
    step: StepRow,
    attempt: AttemptRow,
    parent: OtlpSpan,
    *,
    content: bool,
) -> Iterator[OtlpSpan]:
    """The tools that the attempt called for its model."""
    if not facts_of(step.kind).calls_model:
        return
    for tool in read_tools(source.reader.connection, step.step_id):
        if tool.attempt_id == attempt.attempt_id and tool.tool_call_id in facts.called:
            yield _tool(source.reader, facts, step, tool, parent, content=content)


def decision_span(
    facts: EventFacts, step: StepRow, attempt: AttemptRow, parent: OtlpSpan, *, content: bool
) -> OtlpSpan | None:
    """The wait for human review, if the attempt asked for it; it ends with the attempt at the latest."""
    found = facts.questions.get((step.name, attempt.attempt))
    if found is None:
        return None
    asked_at, question = found
    decided_at, decided = facts.decisions.get((step.name, attempt.attempt), (parent.end_at, None))
    span = OtlpSpan(
        key=(step.job_id, "decision", step.name, attempt.attempt),
        name="human_decision",
        begin_at=asked_at,
        end_at=decided_at,
        is_open=decided is None and parent.is_open,
        parent=parent.span_id,
        attributes={
            "orc.job": step.job_id,
            "orc.step": step.name,
            "orc.decision.options": question.options,
            "orc.decision.option": None if decided is None else decided.option,
            "orc.decision.by": None if decided is None else decided.by,
            "orc.unfinished": True if decided is None else None,
        },
    )
    if content:
        span.attributes["orc.decision.message"] = question.message
        span.attributes["orc.decision.comment"] = None if decided is None else decided.comment
    return span


def _call(
    reader: LedgerReader, facts: EventFacts, step: StepRow, call: CallRow, place: _Call,
    parent: OtlpSpan, *, content: bool,
) -> OtlpSpan:  # fmt: skip
    asked, answered = facts.asked[place], facts.answered.get(place)
    request, lost = _read(reader, asked.request)
    span = OtlpSpan(
        key=(step.job_id, "call", *place),
        name=f"{asked.operation or 'chat'} {asked.model}",
        # Without an address, the provider runs in this process or replays recorded replies.
        kind=CLIENT if asked.endpoint else INTERNAL,
        begin_at=call.requested_at or parent.begin_at,
        end_at=facts.ended_at.get(place, parent.end_at),
        is_open=place not in facts.ended_at and parent.is_open,
        parent=parent.span_id,
    )
    span.attributes = {
        **target_attributes(asked),
        **_parameters(request),
        **_outcome(call, answered),
        "orc.job": step.job_id,
        "orc.step": step.name,
        "orc.attempt": place[1],
        "orc.call": place[2],
        "orc.status": call.status,
        "orc.cost_usd": call.cost_usd,
        "orc.request_sha256": asked.request_sha256,
    }
    if call.status in ("failed", IN_DOUBT):
        span.error = call.failure_kind or call.status.replace(" ", "_")
        span.message = call.failure
    if content:
        reply, reply_lost = _read(reader, None if answered is None else answered.reply)
        span.attributes |= _texts(request, reply, call.finish_reason)
        lost = lost or reply_lost
    span.attributes["orc.lost"] = lost
    return span


def target_attributes(asked: LlmRequested) -> dict[str, Value]:
    """What was called, by the names that spans and metrics share."""
    return {
        "gen_ai.operation.name": asked.operation or "chat",
        "gen_ai.provider.name": provider_facts(asked.provider).telemetry_name or asked.provider,
        "gen_ai.request.model": asked.model,
        **_server(asked.endpoint),
    }


def _outcome(call: CallRow, answered: LlmResponded | CacheHit | None) -> dict[str, Value]:
    found: dict[str, Value] = {
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": call.cached_tokens or None,
        "gen_ai.usage.cache_creation.input_tokens": call.cache_write_tokens or None,
        "gen_ai.usage.reasoning.output_tokens": call.reasoning_tokens or None,
    }
    if not isinstance(answered, LlmResponded):
        return found
    request_id = answered.request_id
    is_reply = request_id is not None and request_id.startswith(_RESPONSE_IDS)
    return {
        "gen_ai.response.model": answered.model,
        "gen_ai.response.finish_reasons": [answered.finish_reason],
        "gen_ai.response.id": request_id if is_reply else None,
        **found,
        "orc.request_id": request_id,
    }


def _parameters(request: Mapping[str, Any]) -> dict[str, Value]:
    """The parameters for which the conventions have a name, with the conventions' types."""
    params = request.get("params") or {}
    found: dict[str, Value] = {}
    for name in (*_NUMBERS, *_COUNTS):
        value = params.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            continue
        found[f"gen_ai.request.{name}"] = int(value) if name in _COUNTS else float(value)
    dimensions = params.get("dimensions")
    if request.get("operation") == "embeddings" and type(dimensions) is int:
        found["gen_ai.embeddings.dimension.count"] = dimensions
    stop = params.get("stop")
    if stop:
        texts = [stop] if isinstance(stop, str) else stop
        found["gen_ai.request.stop_sequences"] = [str(text) for text in texts]
    if request.get("json_output") or request.get("output_schema"):
        found["gen_ai.output.type"] = "json"
    return found


def _texts(
    request: Mapping[str, Any], reply: Mapping[str, Any], finish_reason: str | None
) -> dict[str, Value]:
    found: dict[str, Value] = {}
    if request.get("system"):
        system = [{"type": "text", "content": request["system"]}]
        found["gen_ai.system_instructions"] = as_json(system)
    if request:
        found["gen_ai.input.messages"] = as_json(input_messages(request))
    if request.get("tools"):
        found["gen_ai.tool.definitions"] = as_json(tool_definitions(request))
    if reply:
        found["gen_ai.output.messages"] = as_json(output_messages(reply, finish_reason))
    return found


def _server(endpoint: str | None) -> dict[str, Value]:
    if not endpoint:
        return {}
    try:
        address = urlsplit(endpoint)
        port = address.port or {"https": 443, "http": 80}.get(address.scheme)
    except ValueError:
        return {}
    return {"server.address": address.hostname, "server.port": port}


def _tool(
    reader: LedgerReader,
    facts: EventFacts,
    step: StepRow,
    tool: ToolRow,
    parent: OtlpSpan,
    *,
    content: bool,
) -> OtlpSpan:
    called = facts.called[tool.tool_call_id]
    ended_at, returned = facts.returned.get(tool.tool_call_id, (parent.end_at, None))
    span = OtlpSpan(
        key=(step.job_id, "tool", tool.tool_call_id),
        name=f"execute_tool {tool.tool}",
        begin_at=tool.called_at,
        end_at=ended_at,
        is_open=returned is None and parent.is_open,
        parent=parent.span_id,
        attributes={
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool.tool,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": _tool_call_id(reader, facts, called),
            "orc.job": step.job_id,
            "orc.step": step.name,
            "orc.call": called.call,
            "orc.status": tool.status,
        },
    )
    if tool.status in ("error", IN_DOUBT):
        span.error = "tool_error" if tool.status == "error" else "in_doubt"
    if content:
        for name, payload in (
            ("arguments", called.arguments),
            ("result", None if returned is None else returned.result),
        ):
            value, lost = read_or_lost(reader, payload)
            if payload is not None and lost is None:
                span.attributes[f"gen_ai.tool.call.{name}"] = as_json(value)
            elif lost is not None:
                span.attributes["orc.lost"] = lost
    return span


def _tool_call_id(reader: LedgerReader, facts: EventFacts, called: ToolCalled) -> str | None:
    """The id that the model gave to the tool call in its reply; found by the key of the call."""
    answered = facts.answered.get((called.step, called.attempt, called.call))
    if answered is None:
        return None
    reply, _ = _read(reader, answered.reply)
    for index, call in enumerate(reply.get("tool_calls") or ()):
        identity = {"after": answered.request_sha256, "index": index}
        identity |= {"tool": call.get("name"), "arguments": call.get("arguments")}
        if digest_json(identity) == called.key:
            found = call.get("id")
            return found if isinstance(found, str) else None
    return None


def _tool_id(job_id: str, event: ToolCalled | ToolReturned) -> str:
    return f"{job_id}/{event.step}/{event.attempt}/{event.call}/{event.key[:16]}"


def _read(reader: LedgerReader, payload: Payload | None) -> tuple[dict[str, Any], str | None]:
    value, lost = read_or_lost(reader, payload)
    return (value if isinstance(value, dict) else {}), lost
