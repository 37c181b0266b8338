"""The hash chain of a stream: each event's hash is over the one before it, and over what is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_NULL = b"\xff" * 8


def chain_hash(previous: str, columns: Iterable[str | bytes | int | None]) -> str:
    """The hash of an event: SHA-256 over the previous hash and the stored columns.

    Each column goes in with its length before it, eight bytes, big-endian; a
    null as eight bytes of 0xff.
    """
    parts = [bytes.fromhex(previous)]
    for column in columns:
        if column is None:
            parts.append(_NULL)
        else:
            content = column if isinstance(column, bytes) else str(column).encode()
            parts += (len(content).to_bytes(8, "big"), content)
    return hashlib.sha256(b"".join(parts)).hexdigest()
