"""What makes two requests equal: the values whose digests are the keys of replies.

A recorded reply can name the digest of its prompt. A reply of the ledger is found by the digest
of the whole request (`scheduler/effects/calls.py`, `projections/caches/replies.py`). The key of a
command's or a function's result is in `scheduler/result_key.py`.
"""

from __future__ import annotations

from typing import Any, cast

from orc.providers.contract import Message, Part, Request


def prompt_values(request: Request) -> dict[str, Any]:
    """The prompt, independent of the target: messages, system text, tools and output format."""
    values: dict[str, Any] = {
        "messages": [_without_native(_recorded(message)) for message in request.messages],
        "system": request.system,
        "json_output": request.json_output,
    }
    if request.operation != "chat":
        values["operation"] = request.operation
    if request.output_schema is not None:
        values["output_schema"] = dict(request.output_schema)
    if request.tools:
        values["tools"] = list(request.tools)
    return values


def request_values(request: Request, provider: str) -> dict[str, Any]:
    """The whole request as JSON values: the prompt, the target and the parameters."""
    values = {
        **prompt_values(request),
        "messages": [_recorded(message) for message in request.messages],
        "provider": provider,
        "model": request.model,
        "params": dict(request.params),
    }
    if request.options:
        values["options"] = dict(request.options)
    if request.repetition > 1:
        values["repetition"] = request.repetition
    return values


def attached_bytes(request: Request) -> int:
    """The size of the documents that are sent, and recorded by their digests only."""
    contents = (message.get("content", "") for message in request.messages)
    parts = (part for content in contents if not isinstance(content, str) for part in content)
    return sum(
        len(part.get("data", ""))
        for part in parts
        if part["type"] == "document" and _is_by_digest(part)
    )


def _recorded(message: Message) -> Message:
    """The message with the digests of documents in place of their bytes, which the ledger has."""
    content = message.get("content", "")
    if isinstance(content, str) or not any(map(_is_by_digest, content)):
        return message
    kept = message.copy()
    kept["content"] = [
        cast(Part, {key: value for key, value in part.items() if key != "data"})
        if _is_by_digest(part)
        else part
        for part in content
    ]
    return kept


def _is_by_digest(part: Any) -> bool:
    return isinstance(part, dict) and part["type"] == "document" and "sha256" in part


def _without_native(message: Message) -> Message:
    if "native" not in message:
        return message
    kept = message.copy()
    del kept["native"]
    return kept
