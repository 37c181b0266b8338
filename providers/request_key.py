"""What makes two requests equal: the values whose digests are the keys of replies.

A recorded reply can name the digest of its prompt. A reply of the ledger is found by the digest
of the whole request (`scheduler/effects/calls.py`, `projections/caches/replies.py`). The key of a
command's or a function's result is in `scheduler/result_key.py`.
"""

from __future__ import annotations

from typing import Any

from orc.providers.contract import Message, Request


def prompt_values(request: Request) -> dict[str, Any]:
    """The prompt, independent of the target: messages, system text, tools and output format."""
    values: dict[str, Any] = {
        "messages": [_without_native(message) for message in request.messages],
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
        "messages": list(request.messages),
        "provider": provider,
        "model": request.model,
        "params": dict(request.params),
    }
    if request.options:
        values["options"] = dict(request.options)
    if request.repetition > 1:
        values["repetition"] = request.repetition
    return values


def _without_native(message: Message) -> Message:
    if "native" not in message:
        return message
    kept = message.copy()
    del kept["native"]
    return kept
