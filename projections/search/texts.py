"""The texts of an event that can be searched: prompts, replies, outputs, logs and decisions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from orc.ledger.events import (
    ApprovalDecided,
    ApprovalRequested,
    CacheHit,
    HookEnded,
    JobNoted,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Payload,
    Recorded,
    ScoreRecorded,
    StepFailed,
    StepReused,
    StepSucceeded,
    ToolCalled,
    ToolReturned,
)
from orc.ledger.kinds import facts_of
from orc.ledger.reader import LedgerReader
from orc.projections.history.exchange import content_text
from orc.projections.search.query import plain_text

KINDS = ("prompt", "reply", "tool", "output", "log", "failure", "decision", "note")
"""The kinds of texts; `tool` is the arguments or the result of a call of a tool, `note` what was
written about a job, or to explain a score."""

SEARCHED_TYPES = (
    "llm.requested",
    "llm.responded",
    "llm.failed",
    "cache.hit",
    "tool.called",
    "tool.returned",
    "step.succeeded",
    "step.failed",
    "step.reused",
    "approval.requested",
    "approval.decided",
    "score.recorded",
    "job.noted",
    "hook.ended",
)
"""The types of events that can have such texts."""

PAYLOAD_BYTES_MAX = 8_000_000
TEXT_CHARS_MAX = 1_000_000
"""Larger payloads are not searched, and of longer texts only the beginning is."""


def texts_of(reader: LedgerReader, recorded: Recorded) -> Iterator[tuple[str, str]]:
    """The texts of an event, each with its kind; an event has at most one text of a kind.

    Raises LedgerError if bytes were removed or are damaged.
    """
    for what, text in _texts(reader, recorded):
        if text.strip():
            yield what, plain_text(text[:TEXT_CHARS_MAX])


def _texts(reader: LedgerReader, recorded: Recorded) -> Iterator[tuple[str, str]]:
    event = recorded.event
    match event:
        case LlmRequested():
            yield "prompt", _asked(_read(reader, event.request), first=event.call == 1)
        case LlmResponded() | CacheHit():
            yield "reply", _answered(_read(reader, event.reply))
        case ToolCalled():
            yield "tool", f"{event.tool} {_as_text(_read(reader, event.arguments))}"
        case ToolReturned():
            yield "tool", _as_text(_read(reader, event.result))
        case StepSucceeded():
            output = ""
            kind = _kind(reader.connection, recorded.job_id, event.step)
            if facts_of(kind).has_own_output:
                output = _as_text(_read(reader, event.output))
                yield "output", output
            log = _as_text(_read(reader, event.log))
            if log.strip() != output.strip():
                yield "log", log
        case StepReused():
            yield "output", _as_text(_read(reader, event.output))
        case StepFailed():
            yield "failure", event.message
            yield "log", _as_text(_read(reader, event.log))
        case LlmFailed():
            yield "failure", event.message
        case ScoreRecorded() if event.why is not None:
            yield "note", f"{event.name} {_as_text(_read(reader, event.why))}"
        case JobNoted():
            yield "note", _as_text(_read(reader, event.text))
        case HookEnded():
            yield "failure", event.message or ""
            yield "log", _as_text(_read(reader, event.log))
        case ApprovalRequested():
            yield "decision", event.message
        case ApprovalDecided():
            yield "decision", f"{event.option} {event.comment or ''} {event.by or ''}"


def _read(reader: LedgerReader, payload: Payload | None) -> Any:
    if payload is None or (payload.size_bytes or 0) > PAYLOAD_BYTES_MAX:
        return None
    return reader.read_payload(payload)


def _asked(request: Any, *, first: bool) -> str:
    """The new texts of a request: a later call of an attempt repeats the earlier messages."""
    if not isinstance(request, dict):
        return ""
    messages = request.get("messages") or []
    texts = [request.get("system")] if first else []
    if not first:
        replies = [n for n, message in enumerate(messages) if message.get("role") == "assistant"]
        messages = messages[replies[-1] + 1 :] if replies else messages
    texts += [content_text(m.get("content")) for m in messages if m.get("role") != "tool"]
    return "\n\n".join(text for text in texts if text)


def _answered(reply: Any) -> str:
    return str(reply.get("text") or "") if isinstance(reply, dict) else ""


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _kind(connection: sqlite3.Connection, job_id: str, step: str) -> str | None:
    row = connection.execute(
        "SELECT kind FROM steps WHERE step_id = ?", (f"{job_id}/{step}",)
    ).fetchone()
    return None if row is None else row[0]
