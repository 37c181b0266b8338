"""Computes vectors of texts: one recorded call after the other, and then the files.

A step has one call in flight, as everywhere: budgets, doubts and the order of recorded replies rest
on it. Calls at the same time are those of the items of a fan-out. A single call is left to
`calls.py`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import count_text, number_text, size_text
from orc.providers import Message, Provider, Vectors
from orc.providers.embeddings.vectors import unpack_vectors
from orc.scheduler.core.commands import Failed
from orc.scheduler.core.vector_files import VECTOR_FILES, split_texts
from orc.scheduler.effects.answers import Answer
from orc.scheduler.effects.aside import aside
from orc.scheduler.effects.calls import Caller
from orc.scheduler.effects.contract import (
    Journal,
    PromptRequest,
    ReplyCache,
    Result,
    Stopwatch,
)
from orc.scheduler.effects.time_limit import CallFailed, TimeLimit

VECTORS_BYTES_MAX = 256 * 1024 * 1024
"""The maximum size of the vectors of one step."""
NO_TEXTS = "there are no texts, so that no vector was computed"
_NUMBER_BYTES = 4
_NPY_HEADER_BYTES = 128


class EmbedRequest(Struct, frozen=True):
    """Compute a vector for each of the texts.

    `ask` is the request to the model without its texts, and what is known of earlier calls. `files`
    are the paths of the files that get the vectors.
    """

    ask: PromptRequest
    texts: tuple[str, ...]
    per_request: int
    files: tuple[str, ...]

    def __repr__(self) -> str:
        return f"EmbedRequest(ask={self.ask!r}, files={self.files!r})"


async def perform_embed(
    request: EmbedRequest,
    *,
    provider: Provider,
    journal: Journal,
    cache: ReplyCache | None = None,
    mask: Mask,
) -> Result:
    """The vectors as the contents of the files. Calls whose replies are in the ledger are not sent."""
    limit_s = request.ask.attempt_timeout_s
    caller = Caller(
        request.ask,
        provider=provider,
        journal=journal,
        cache=cache,
        on_delta=_show_nothing,
        time_limit=TimeLimit(math.inf if limit_s is None else limit_s),
        mask=mask,
    )
    watch = Stopwatch()
    try:
        vectors = await _ask_for_all(request, caller, watch)
    except CallFailed as error:
        return Result(failed=error.failed)
    encode = partial(_encode_all, request.files, vectors)
    contents: Mapping[str, bytes] = await aside(encode, len(vectors.data))
    value = {
        "model": request.ask.request.model,
        "count": vectors.count,
        "dimensions": vectors.dimensions,
    }
    return Result(value=value, contents=contents, warning=None if request.texts else NO_TEXTS)


def encode_vectors(vectors: Vectors, path: str) -> bytes:
    """The vectors in the form that the name of the file says."""
    suffix = path[path.rindex(".") :].lower()
    return _FORMS[suffix](vectors)


async def _ask_for_all(request: EmbedRequest, caller: Caller, watch: Stopwatch) -> Vectors:
    found: list[bytes] = []
    dimensions = 0
    for texts in split_texts(request.texts, per_request=request.per_request):
        parts: Message = {
            "role": "user",
            "content": [{"type": "text", "text": text} for text in texts],
        }
        answer = await caller.ask(replace(request.ask.request, messages=(parts,)))
        vectors = await _read(answer, len(texts), watch)
        if found and vectors.dimensions != dimensions:
            raise _unfit(
                f"the vectors of call {answer.call} have {number_text(vectors.dimensions)} numbers, "
                f"and those before have {number_text(dimensions)}",
                watch,
            )
        dimensions = vectors.dimensions
        size = dimensions * _NUMBER_BYTES * len(request.texts)
        if size > VECTORS_BYTES_MAX:
            raise _unfit(
                f"the vectors of {count_text(len(request.texts), 'text')} would have more than "
                f"{size_text(VECTORS_BYTES_MAX)}; divide the texts over the items of a fan-out: "
                "for_each: ${{ ... | batch(10000) }}",
                watch,
                is_final=True,
            )
        found.append(vectors.data)
    return Vectors(b"".join(found), dimensions)


async def _read(answer: Answer, count: int, watch: Stopwatch) -> Vectors:
    """The vectors of a reply. One from a cache or from the ledger is no more trusted than others."""
    size = len(str(answer.vectors.get("data", ""))) if isinstance(answer.vectors, Mapping) else 0
    try:
        vectors: Vectors = await aside(partial(unpack_vectors, answer.vectors), size)
    except ValueError as error:
        raise _unfit(f"the reply to call {answer.call} {error}", watch) from None
    if vectors.count != count:
        raise _unfit(
            f"the reply to call {answer.call} has {count_text(vectors.count, 'vector')} for "
            f"{count_text(count, 'text')}",
            watch,
        )
    return vectors


def _unfit(message: str, watch: Stopwatch, *, is_final: bool = False) -> CallFailed:
    return CallFailed(
        Failed(
            kind="protocol",
            message=message,
            duration_s=watch.elapsed(),
            on_content=not is_final,
            final=is_final,
        )
    )


def _encode_all(paths: tuple[str, ...], vectors: Vectors) -> dict[str, bytes]:
    return {path: encode_vectors(vectors, path) for path in paths}


def _to_npy(vectors: Vectors) -> bytes:
    """NumPy's format, version 1.0: a matrix with a row for each vector.

    https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    shape = f"({vectors.count}, {vectors.dimensions})"
    about = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    magic = b"\x93NUMPY\x01\x00"
    length = _NPY_HEADER_BYTES - len(magic) - 2
    header = about.ljust(length - 1).encode("ascii") + b"\n"
    return magic + struct.pack("<H", length) + header + vectors.data


def _to_json(vectors: Vectors) -> bytes:
    """A list of lists. Nine digits tell every 32-bit number apart."""
    size = vectors.dimensions * _NUMBER_BYTES
    numbers = struct.Struct(f"<{vectors.dimensions}f")
    rows = (
        ",".join(f"{number:.9g}" for number in numbers.unpack_from(vectors.data, place))
        for place in range(0, len(vectors.data), size or 1)
    )
    return f"[{','.join(f'[{row}]' for row in rows)}]\n".encode("ascii")


_FORMS = dict(zip(VECTOR_FILES, (_to_npy, _to_json), strict=True))


def _show_nothing(step: str, text: str) -> None:
    """Vectors are not shown while they arrive."""
