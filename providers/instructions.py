"""Asking for JSON in words, where an API has no means to ask for it, or wants it said as well."""

from __future__ import annotations

import json

from orc.providers.contract import Request

_WISH = "Answer with one JSON value and nothing else."


def instruct(system: str | None, request: Request) -> str | None:
    """The system text with the wish for JSON that the request has, and its schema; else as it is."""
    if request.output_schema is not None:
        schema = json.dumps(request.output_schema, ensure_ascii=False)
        wish = f"{_WISH} It must fit this JSON Schema:\n{schema}"
    elif request.json_output:
        wish = _WISH
    else:
        return system
    return f"{system}\n\n{wish}" if system else wish


def speaks_of_json(request: Request) -> bool:
    """Whether the word stands anywhere in the texts of the request."""
    texts = [request.system or ""]
    for message in request.messages:
        content = message.get("content", "")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts += [str(part.get("text", "")) for part in parts]
    return any("json" in text.lower() for text in texts)
