"""Ollama's API for embeddings: one POST to /api/embed."""

from __future__ import annotations

import json
from typing import Any

from orc.providers.contract import Reply, Request
from orc.providers.embeddings.openai_embeddings import check_dimensions, read_input_counts
from orc.providers.embeddings.vectors import describe_vectors, read_vectors, texts_of
from orc.providers.errors import TransientError
from orc.providers.http import parse_document, parse_error_words, safe_text
from orc.providers.ollama_reply import build_document_error
from orc.providers.reply_bounds import NAME_CHARS_MAX

PATH = "/api/embed"
BODY_MAX_BYTES = 256 * 1024 * 1024


def build_body(request: Request) -> bytes:
    """The body of the request. A text that is too long for the model is refused, and not cut."""
    body = {
        "model": request.model,
        "input": texts_of(request),
        "truncate": False,
        **request.params,
    }
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def read_reply(body: bytes, request: Request, *, who: str, secrets: tuple[str, ...]) -> Reply:
    """The reply. Raises ProviderError for vectors that cannot be used."""
    document = _parse(body, who, secrets)
    counts = read_input_counts(document)
    usage = counts.usage() if counts.is_known else None
    try:
        rows = document.get("embeddings")
        if not isinstance(rows, list):
            raise ValueError("has no `embeddings`")
        vectors = read_vectors(rows, count=len(texts_of(request)))
    except ValueError as error:
        raise TransientError("protocol", f"{who}'s reply {error}", usage=usage) from None
    check_dimensions(vectors, request, who, usage)
    model = document.get("model")
    named = model if isinstance(model, str) and model else request.model
    return Reply(
        text=describe_vectors(vectors),
        model=safe_text(named, length_max=NAME_CHARS_MAX, secrets=secrets),
        finish_reason="stop",
        usage=counts.usage(),
        is_counted=counts.is_known,
        cost_nano_usd=counts.cost_nano_usd,
        vectors=vectors,
    )


def _parse(body: bytes, who: str, secrets: tuple[str, ...]) -> dict[str, Any]:
    try:
        document = parse_document(body.decode("utf-8"))
    except ValueError:
        raise TransientError("protocol", f"{who}'s reply is not JSON") from None
    if not isinstance(document, dict):
        raise TransientError("protocol", f"{who}'s reply is not a JSON object")
    if document.get("error"):
        words = parse_error_words(body[:4096].decode("utf-8", "replace"), secrets=secrets)
        raise build_document_error(who, document, words)
    return document
