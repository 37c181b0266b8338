"""Reads the request and the reply of a call to a model, as texts for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from orc.ledger.events import CacheHit, LlmRequested, LlmResponded, Payload
from orc.ledger.reader import LedgerReader
from orc.projections.history.definitions import read_or_lost
from orc.projections.tables.rows import CallRow


class Turn(Struct, frozen=True):
    """One message of a conversation: its role, its text, and the tools that it asks for."""

    role: str
    text: str
    tool_calls: tuple[tuple[str, str], ...] = ()
    """The calls of tools that the model asks for: each a name, and arguments as JSON text."""
    tool: str | None = None
    """The tool whose result the message is."""
    reasoning: str = ""
    """What the model said that it thought, as far as the provider returns it."""


class Exchange(Struct, frozen=True):
    """A call: the system text, the turns that were sent, the parameters, and the reply.

    `reply` is None if the call has no reply. `lost` is the reason why the request or the reply
    cannot be read.
    """

    system: str | None = None
    turns: tuple[Turn, ...] = ()
    params: Mapping[str, Any] | None = None
    tools: tuple[str, ...] = ()
    reply: Turn | None = None
    lost: str | None = None


def read_exchange(reader: LedgerReader, call: CallRow) -> Exchange:
    """The texts of a call. If bytes were removed or are damaged, `lost` says so."""
    request, request_lost = _read(reader, _find_request(reader, call))
    answer, answer_lost = _read(reader, _find_reply(reader, call))
    reply = (
        _turn({"role": "assistant", "content": answer.get("text"), **answer}) if answer else None
    )
    return Exchange(
        system=request.get("system"),
        turns=tuple(_turn(message) for message in request.get("messages", ())),
        params=request.get("params") or {},
        tools=tuple(tool["name"] for tool in request.get("tools", ())),
        reply=reply,
        lost=request_lost or answer_lost,
    )


def content_text(content: Any) -> str:
    """The text of a message. An image or a PDF document becomes a note of its type."""
    if not isinstance(content, list):
        return str(content or "")
    return "\n".join(map(_part_text, content))


def _part_text(part: Mapping[str, Any]) -> str:
    if part["type"] == "text":
        return str(part["text"])
    if part["type"] == "document":
        head = f"[{part.get('media_type')}, {part.get('name')}]"
        return f"{head}\n{part['text']}" if "text" in part else head
    return f"[{part.get('media_type', part['type'])}, {len(part.get('data', ''))} characters of base64]"


def _turn(message: Mapping[str, Any]) -> Turn:
    tool_calls = tuple(
        (call["name"], _arguments(call["arguments"])) for call in message.get("tool_calls") or ()
    )
    return Turn(
        message["role"],
        content_text(message.get("content")),
        tool_calls,
        message.get("name"),
        str(message.get("reasoning") or "") or _reasoning(message.get("native")),
    )


def _reasoning(native: Any) -> str:
    """The thoughts in what the provider wants to get back: of Ollama, Anthropic or OpenAI."""
    if isinstance(native, Mapping) and isinstance(native.get("message"), Mapping):
        fields = native["message"]
        return str(fields.get("reasoning_content") or fields.get("reasoning") or "")
    if isinstance(native, Mapping):
        return str(native.get("thinking") or "")
    parts: list[str] = []
    for block in native if isinstance(native, list) else ():
        match block:
            case {"type": "thinking", "thinking": str(text)}:
                parts.append(text)
            case {"type": "reasoning", "summary": [*summaries]}:
                parts += [str(one["text"]) for one in summaries if "text" in one]
            case _:
                pass
    return "\n\n".join(parts)


def _arguments(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False, indent=2)


def _read(reader: LedgerReader, payload: Payload | None) -> tuple[dict[str, Any], str | None]:
    value, lost = read_or_lost(reader, payload)
    return value or {}, lost


def _find_request(reader: LedgerReader, call: CallRow) -> Payload | None:
    job_id, version = call.job_id, call.request_version
    if version is None:
        # A recorded reply answered the call: an equal request was sent before, in this or another job.
        row = reader.connection.execute(
            "SELECT job_id, request_version FROM llm_calls WHERE request_sha256 = ? "
            "AND request_version IS NOT NULL ORDER BY job_id = ? DESC LIMIT 1",
            (call.request_sha256, job_id),
        ).fetchone()
        if row is None:
            return None
        job_id, version = row
    event = reader.read_event(job_id, version).event
    return event.request if isinstance(event, LlmRequested) else None


def _find_reply(reader: LedgerReader, call: CallRow) -> Payload | None:
    if call.reply_version is not None:
        event = reader.read_event(call.job_id, call.reply_version).event
        return event.reply if isinstance(event, LlmResponded) else None
    if call.status != "from ledger":
        return None
    row = reader.connection.execute(
        "SELECT version FROM events WHERE job_id = ? AND type = 'cache.hit' "
        "AND job_id || '/' || step || '/' || attempt || '/' || json_extract(data, '$.call') = ?",
        (call.job_id, call.call_id),
    ).fetchone()
    hit = None if row is None else reader.read_event(call.job_id, row[0]).event
    if not isinstance(hit, CacheHit):
        return None
    if hit.reply is not None:
        return hit.reply
    first = reader.read_event(call.job_id, hit.version).event
    return first.reply if isinstance(first, LlmResponded) else None
