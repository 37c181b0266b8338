"""How texts are divided over the requests for their vectors, and the files that get the vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

VECTOR_FILES = (".npy", ".json")
"""The forms of the files, by the ends of their names."""
TEXT_BYTES_MAX = 300_000
"""How much text a request has, unless one text has more. OpenAI takes 300,000 tokens in a request,
and a token is at least a byte."""


def vector_file_problem(path: str) -> str:
    """Why the file cannot hold vectors, by its name; empty if it can."""
    if path.lower().endswith(VECTOR_FILES):
        return ""
    ends = " or ".join(VECTOR_FILES)
    return f"vectors are written to a file whose name ends with {ends}; got {path[:200]!a}"


def split_texts(texts: Iterable[str], *, per_request: int) -> Iterator[tuple[str, ...]]:
    """The texts of each request, in order."""
    batch: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode("utf-8", "replace"))
        if batch and (len(batch) == per_request or size + length > TEXT_BYTES_MAX):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield tuple(batch)
