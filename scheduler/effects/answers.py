"""Replies as the ledger stores them, and the answers that are read from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from orc.ledger.digest import clean_json, clean_text
from orc.providers import Reply, ToolCall
from orc.providers.embeddings.vectors import pack_vectors
from orc.providers.reply_bounds import NAME_CHARS_MAX


class Answer(Struct, frozen=True):
    """A reply from the ledger or the provider, with the number and digest of its call."""

    call: int
    request_sha256: str
    text: str
    finish_reason: str
    tool_calls: tuple[ToolCall, ...]
    native: Any
    reasoning: str = ""
    vectors: Any = None


def name_of(text: str) -> str:
    """A name from a server, as long as it may be."""
    return clean_text(text)[:NAME_CHARS_MAX]


def reply_content(reply: Reply) -> dict[str, Any]:
    """The reply as the ledger stores it: `text`, and the other parts if they are present."""
    content: dict[str, Any] = {"text": clean_text(reply.text)}
    if reply.reasoning:
        content["reasoning"] = clean_text(reply.reasoning)
    if reply.tool_calls:
        content["tool_calls"] = clean_json(reply.tool_calls)
    if reply.native is not None:
        content["native"] = clean_json(reply.native)
    if reply.vectors is not None:
        content["vectors"] = pack_vectors(reply.vectors)
    return content


def answer_of(
    call: int, request_sha256: str, reply: Mapping[str, Any], finish_reason: str
) -> Answer:
    """The answer that a stored reply is."""
    return Answer(
        call=call,
        request_sha256=request_sha256,
        text=str(reply["text"]),
        finish_reason=finish_reason,
        tool_calls=tuple(reply.get("tool_calls", ())),
        native=reply.get("native"),
        reasoning=str(reply.get("reasoning") or ""),
        vectors=reply.get("vectors"),
    )
