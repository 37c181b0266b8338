"""Says in words what an API has no field for: that the answer be JSON, what a document says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from orc.providers.contract import DocumentPart, Request

_INSTRUCTION = "Answer with one JSON value and nothing else."


def instruct(system: str | None, request: Request) -> str | None:
    """The system text, followed by an instruction to answer in JSON if the request requires it."""
    if request.output_schema is not None:
        schema = json.dumps(request.output_schema, ensure_ascii=False)
        instruction = f"{_INSTRUCTION} It must match this JSON Schema:\n{schema}"
    elif request.json_output:
        instruction = _INSTRUCTION
    else:
        return system
    return f"{system}\n\n{instruction}" if system else instruction


def document_words(part: DocumentPart) -> str | None:
    """The document as a text with its name, for APIs without documents; None if it is no text."""
    text = part.get("text")
    return None if text is None else f"Document {json.dumps(part['name'])}:\n\n{text}"


def join_texts(content: Any, refuse: Callable[[Any], Exception]) -> str:
    """The text of a content that can hold only texts. Raises `refuse(part)` for any other part."""
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        words = part["text"] if part["type"] == "text" else None
        if part["type"] == "document":
            words = document_words(part)
        if words is None:
            raise refuse(part)
        texts.append(words)
    return "\n".join(texts)


def speaks_of_json(request: Request) -> bool:
    """Whether the word "JSON" occurs in any text of the request."""
    texts = [request.system or ""]
    for message in request.messages:
        content = message.get("content", "")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts += [str(part.get("text", "")) for part in parts]
    return any("json" in text.lower() for text in texts)
