"""Conversations in the form of the GenAI semantic conventions: messages that consist of parts.

The shapes are those of `gen-ai-input-messages.json`, `gen-ai-output-messages.json` and
`gen-ai-tool-definitions.json`, of the version that `otel.py` names.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from orc.ledger.digest import clean_json, digest_bytes

_FINISH = {"tool_calls": "tool_call"}
"""The conventions' names of finish reasons for which orc has another name."""


def as_json(value: Any) -> str:
    """A value as JSON text for an attribute."""
    return json.dumps(clean_json(value), ensure_ascii=False)


def input_messages(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of a request, in order, without the system text."""
    return [
        {"role": message["role"], "parts": _parts(message)}
        for message in request.get("messages", ())
    ]


def output_messages(reply: Mapping[str, Any], finish_reason: str | None) -> list[dict[str, Any]]:
    """The message of a reply, as a list of one."""
    answer = {"role": "assistant", "content": reply.get("text"), **reply}
    reason = _FINISH.get(finish_reason or "", finish_reason or "stop")
    return [{"role": "assistant", "parts": _parts(answer), "finish_reason": reason}]


def tool_definitions(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tools in a request."""
    return [{"type": "function", **tool} for tool in request.get("tools", ())]


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        answered = {"type": "tool_call_response", "id": message.get("tool_call_id")}
        return [{**answered, "response": content}]
    parts = [_part(part) for part in content] if isinstance(content, list) else []
    if isinstance(content, str) and content:
        parts.append({"type": "text", "content": content})
    for call in message.get("tool_calls") or ():
        asked = {key: call.get(key) for key in ("id", "name", "arguments")}
        parts.append({"type": "tool_call", **asked})
    return parts


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"type": "text", "content": part.get("text")}
    if part.get("type") == "document":
        kind = {"modality": "document", "mime_type": part.get("media_type")}
        if "text" in part:
            return {**kind, "type": "text", "content": part["text"]}
        return {**kind, "type": "uri", "uri": f"sha256:{part.get('sha256')}"}
    # A trace does not contain images; the ledger has their bytes under this digest.
    try:
        digest = digest_bytes(base64.b64decode(part.get("data") or ""))
    except ValueError:
        digest = digest_bytes(str(part.get("data")).encode())
    kind = {"type": "uri", "modality": "image", "mime_type": part.get("media_type")}
    return {**kind, "uri": f"sha256:{digest}"}
