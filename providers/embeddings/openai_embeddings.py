"""OpenAI's API for embeddings, and that of every compatible server.

The vendor's own server sends base64, which is a third of the size; others do not all know the field,
so that they are asked for lists of numbers. Both forms are read from every server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from orc.providers.contract import Reply, Request, Usage, Vectors
from orc.providers.embeddings.vectors import describe_vectors, read_vectors, texts_of
from orc.providers.errors import PermanentError
from orc.providers.replies.lenient import LooseCount, LooseText
from orc.providers.replies.usage import Counts, find_cost, read_counts
from orc.providers.sdk_errors import Failures
from orc.providers.sdk_wire import Wire

PATH = "/embeddings"


class _Embedding(Wire):
    index: LooseCount = None
    embedding: Any


class _Embeddings(Wire):
    data: list[_Embedding]
    model: LooseText = None
    id: LooseText = None
    usage: Any = None


def build_body(request: Request, *, is_vendors_own: bool) -> dict[str, Any]:
    """The body of the request."""
    body: dict[str, Any] = {"model": request.model, "input": texts_of(request), **request.params}
    if is_vendors_own:
        body["encoding_format"] = "base64"
    return body


class EmbeddingsDocument:
    """Takes the one document of the reply."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._document: _Embeddings | None = None

    def take(self, document: object) -> bool:
        """Keep the document; it is the whole reply."""
        self._document = _Embeddings.parse(document, self._failures)
        return True

    def build_reply(self, request: Request, headers: Mapping[str, str]) -> Reply:
        """The reply. Raises ProviderError for vectors that cannot be used."""
        found = self._document
        assert found is not None
        counts = read_input_counts(found.usage)
        vectors = self._read(_in_order(found.data), request, counts)
        show = self._failures.show
        return Reply(
            text=describe_vectors(vectors),
            model=show(found.model or request.model),
            finish_reason="stop",
            usage=counts.usage(),
            request_id=show(headers.get("x-request-id", "") or found.id or "") or None,
            is_counted=counts.is_known,
            cost_nano_usd=find_cost(counts, headers),
            vectors=vectors,
        )

    def _read(self, rows: list[object], request: Request, counts: Counts) -> Vectors:
        usage = counts.usage() if counts.is_known else None
        try:
            vectors = read_vectors(rows, count=len(texts_of(request)))
        except ValueError as error:
            broken = self._failures.build_protocol_error(str(error))
            broken.usage = usage
            raise broken from None
        check_dimensions(vectors, request, self._failures.api.name, usage)
        return vectors


def read_input_counts(document: object) -> Counts:
    """The counts of a request for vectors, which has no output."""
    counts = read_counts(document)
    return counts if counts.input_tokens is None else replace(counts, output_tokens=0)


def check_dimensions(vectors: Vectors, request: Request, who: str, usage: Usage | None) -> None:
    """Raise PermanentError if the vectors do not have the length that was asked for."""
    asked = request.params.get("dimensions")
    if asked is not None and vectors.count and vectors.dimensions != asked:
        raise PermanentError(
            "bad_request",
            f"{who} returned vectors of {vectors.dimensions} numbers and not of {asked}: the model "
            "does not shorten them; remove `dimensions`, or name another model",
            usage=usage,
        )


def _in_order(data: list[_Embedding]) -> list[object]:
    """The vectors in the order of the texts: by their indexes, if each has its own.

    Some servers count from 1.
    """
    by_index = {each.index: each.embedding for each in data if each.index is not None}
    if len(by_index) == len(data):
        return [by_index[index] for index in sorted(by_index)]
    return [each.embedding for each in data]
