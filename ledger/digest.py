"""SHA-256 digests, the hash chain of streams, and canonical JSON: pure functions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NewType

Digest = NewType("Digest", str)
"""A SHA-256 in 64 lower-case hexadecimal digits (FIPS 180-4)."""

_NULL = b"\xff" * 8
_NULL_TEXT = _NULL.decode("latin-1")
_LENGTH_TEXTS = tuple(size.to_bytes(8, "big").decode("latin-1") for size in range(2048))
"""The lengths of most columns, each byte as a character."""
_LENGTHS = tuple(size.to_bytes(8, "big") for size in range(1024))
"""The lengths of most columns, as bytes."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

# One encoder object, because json.dumps() with these arguments builds a new one in each call.
_encoder = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def _build_encode() -> Callable[[Any], str]:
    """The encoder's `encode`, without the C object that it makes in each call, which takes longer
    than the encoding of a small value."""
    build = getattr(json.encoder, "c_make_encoder", None)
    if build is None:
        return _encoder.encode
    quote = json.encoder.encode_basestring
    # No objects are remembered (None), since they would stay there after an error: a value that
    # contains itself raises RecursionError.
    try:
        encode = build(None, _encoder.default, quote, None, ":", ",", True, False, False)
    except TypeError:  # it is no public function: another version may want other arguments
        return _encoder.encode
    return lambda value: "".join(encode(value, 0))


_encode = _build_encode()


def digest_bytes(content: bytes) -> Digest:
    """The SHA-256 of the bytes."""
    return Digest(hashlib.sha256(content).hexdigest())


def digest_json(value: Any) -> Digest:
    """The SHA-256 of a value's canonical JSON."""
    return digest_bytes(canonical_json(value).encode())


def chain_hash(previous: str, columns: Iterable[str | bytes | int | None]) -> str:
    """The SHA-256 over the previous hash and the event's stored columns, in hexadecimal.

    Each column is preceded by its length in bytes, as eight bytes, big-endian. NULL is
    encoded as eight bytes of 0xff. `previous` is "" for the first event.
    """
    parts = [bytes.fromhex(previous)]
    for column in columns:
        if type(column) is str:
            content = column.encode()
        elif column is None:
            parts.append(_NULL)
            continue
        else:
            content = column if isinstance(column, bytes) else str(column).encode()
        size = len(content)
        parts.append(_LENGTHS[size] if size < len(_LENGTHS) else size.to_bytes(8, "big"))
        parts.append(content)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def event_hash(
    previous: str,
    columns: tuple[str, int, str, str | None, int | None, str, str],
) -> str:
    """What `chain_hash` gives for columns of these types, in two thirds of the time; see its form.

    A text in ASCII has as many bytes as characters. The columns are joined as texts, with each byte of
    the lengths as a character of Latin-1, and are encoded at once.
    """
    job_id, version, kind, step, attempt, recorded_at, data = columns
    others = f"{job_id}{kind}{step}{recorded_at}"
    size = len(data)
    if not (data.isascii() and others.isascii() and size < len(_LENGTH_TEXTS) > len(others)):
        return chain_hash(previous, columns)
    order, number = str(version), str(attempt)
    place = _NULL_TEXT if step is None else f"{_LENGTH_TEXTS[len(step)]}{step}"
    count = _NULL_TEXT if attempt is None else f"{_LENGTH_TEXTS[len(number)]}{number}"
    text = (
        f"{_LENGTH_TEXTS[len(job_id)]}{job_id}{_LENGTH_TEXTS[len(order)]}{order}{_LENGTH_TEXTS[len(kind)]}{kind}{place}"
        f"{count}{_LENGTH_TEXTS[len(recorded_at)]}{recorded_at}{_LENGTH_TEXTS[size]}{data}"
    )
    return hashlib.sha256(bytes.fromhex(previous) + text.encode("latin-1")).hexdigest()


def canonical_json(value: Any) -> str:
    """The canonical JSON text of a value: keys sorted, no spaces, Unicode unescaped.

    Raises ValueError for NaN and infinities, TypeError for values that JSON cannot hold,
    RecursionError for one that contains itself.
    """
    return _encode(value)


def clean_text(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD, so that it encodes as UTF-8.

    JSON escapes and undecodable command output can put lone surrogates into a `str`.
    """
    if text.isascii():
        return text
    return _LONE_SURROGATE.sub("\ufffd", text)


def clean_json(value: Any) -> Any:
    """The JSON value with every text in it cleaned, keys included."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(str(key)): clean_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(item) for item in value]
    return value
