"""The hash chain of a stream: an event's hash covers the previous hash and the stored columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_NULL = b"\xff" * 8


def chain_hash(previous: str, columns: Iterable[str | bytes | int | None]) -> str:
    """The SHA-256 over the previous hash and the event's stored columns, in hexadecimal.

    Each column is preceded by its length in bytes, as eight bytes, big-endian. NULL is
    encoded as eight bytes of 0xff. `previous` is "" for the first event.
    """
    parts = [bytes.fromhex(previous)]
    for column in columns:
        if column is None:
            parts.append(_NULL)
        else:
            content = column if isinstance(column, bytes) else str(column).encode()
            parts += (len(content).to_bytes(8, "big"), content)
    return hashlib.sha256(b"".join(parts)).hexdigest()
