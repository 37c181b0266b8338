"""Checks the vectors of a reply, and packs them for the ledger and for recorded replies.

Vectors are kept as 32-bit floating-point numbers: models compute with no more, and each API sends
these. Adapters get ValueError, whose message continues the sentence "the reply ...".
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from orc.ledger.wording import count_text, number_text
from orc.providers.contract import Request, Vectors

DIMENSIONS_MAX = 100_000
"""The maximum length of a vector."""
_NUMBER_BYTES = 4


def texts_of(request: Request) -> list[str]:
    """The texts of a request for vectors: the parts of its message."""
    parts = [part for message in request.messages for part in message["content"]]
    return [part["text"] for part in parts if not isinstance(part, str) and part["type"] == "text"]


def read_vectors(rows: Sequence[object], *, count: int) -> Vectors:
    """The vectors: each a list of numbers, or base64 of 32-bit numbers. Raises ValueError."""
    if len(rows) != count:
        raise ValueError(f"has {count_text(len(rows), 'vector')} for {count_text(count, 'text')}")
    found = [_read_row(row, place) for place, row in enumerate(rows, start=1)]
    dimensions = len(found[0]) if found else 0
    for place, row in enumerate(found, start=1):
        if len(row) != dimensions:
            raise ValueError(
                f"has vectors of different lengths: vector 1 has {number_text(dimensions)} numbers, "
                f"and vector {place} has {number_text(len(row))}"
            )
    return Vectors(b"".join(map(_little_endian, found)), dimensions)


def pack_vectors(vectors: Vectors) -> dict[str, Any]:
    """The vectors as a JSON value, with the numbers in base64."""
    return {"dimensions": vectors.dimensions, "data": b64encode(vectors.data).decode("ascii")}


def unpack_vectors(document: object) -> Vectors:
    """The inverse of `pack_vectors`; also of a list of lists of numbers. Raises ValueError."""
    if isinstance(document, list):
        return read_vectors(document, count=len(document))
    known = document if isinstance(document, Mapping) else {}
    data, dimensions = known.get("data"), known.get("dimensions")
    if not isinstance(data, str) or type(dimensions) is not int:
        raise ValueError("must have a list of vectors, or `dimensions` and `data`")
    content = _from_base64(data)
    size = dimensions * _NUMBER_BYTES
    if not 0 <= dimensions <= DIMENSIONS_MAX or (len(content) % size if size else content):
        raise ValueError(f"has data that is not vectors of {number_text(dimensions)} numbers")
    _check_finite(_numbers(content), "the data have")
    return Vectors(content, dimensions)


def describe_vectors(vectors: Vectors) -> str:
    """The vectors in a few words, in place of a text."""
    each = count_text(vectors.dimensions, "number")
    return f"{count_text(vectors.count, 'vector')} of {each}"


def _read_row(row: object, place: int) -> array[float]:
    if isinstance(row, str):
        content = _from_base64(row)
        if len(content) % _NUMBER_BYTES:
            raise ValueError(f"has a vector {place} whose base64 has no whole numbers")
        numbers = _numbers(content)
    elif isinstance(row, list) and {*map(type, row)} <= {int, float}:
        try:
            numbers = array("f", row)
        except OverflowError:
            raise ValueError(f"has a vector {place} with a number that is too large") from None
    else:
        raise ValueError(f"has a vector {place} that is not a list of numbers")
    if not 0 < len(numbers) <= DIMENSIONS_MAX:
        raise ValueError(f"has a vector {place} of {count_text(len(numbers), 'number')}")
    _check_finite(numbers, f"vector {place} has")
    return numbers


def _check_finite(numbers: array[float], who: str) -> None:
    if not all(map(isfinite, numbers)):
        raise ValueError(f"cannot be used: {who} a number that is infinite, too large or NaN")


def _from_base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError):
        raise ValueError("has a vector that is neither a list of numbers nor base64") from None


def _numbers(content: bytes) -> array[float]:
    numbers = array("f")
    numbers.frombytes(content)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _little_endian(numbers: array[float]) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
