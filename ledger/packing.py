"""Values as events hold them: small ones inline, others as the digest of a blob.

What is made here is stored by `store.py`, the blob with or before the event.
"""

from __future__ import annotations

import json
from typing import Any

from orc.ledger.digest import canonical_json, digest_bytes
from orc.ledger.events import Payload
from orc.ledger.wording import count_text, size_text

INLINE_BYTES_MAX = 1024
"""Values whose JSON is longer than this become blobs, so that event rows stay small."""

BLOB_BYTES_MAX = 256 * 1024 * 1024


def pack(value: Any) -> tuple[Payload, bytes | None]:
    """A JSON value as a payload, and the blob that has to be stored with it, if any.

    Raises ValueError for what JSON cannot hold and for more than a blob may have.
    """
    if isinstance(value, str):
        content = within_limit(value.encode())
        if len(content) <= INLINE_BYTES_MAX:
            return Payload(value=value), None
        return Payload(sha256=digest_bytes(content), size_bytes=len(content), text=True), content
    if value is None or isinstance(value, bool | int | float):
        return Payload(value=value), None
    content = within_limit(canonical_json(value).encode())
    if len(content) <= INLINE_BYTES_MAX:
        # As a reader will find it, keys in their stored order: texts made of it must not differ.
        return Payload(value=json.loads(content)), None
    return Payload(sha256=digest_bytes(content), size_bytes=len(content)), content


def pack_bytes(content: bytes) -> tuple[Payload, bytes | None]:
    """Bytes, such as a log, as a text payload that gives them back unchanged."""
    if len(content) <= INLINE_BYTES_MAX and is_text(content):
        return Payload(value=content.decode()), None
    return Payload(sha256=digest_bytes(content), size_bytes=len(content), text=True), content


def within_limit(content: bytes) -> bytes:
    """The bytes again. Raises ValueError for more than a blob may have."""
    if len(content) > BLOB_BYTES_MAX:
        size = count_text(len(content), "byte")
        raise ValueError(f"a blob of {size} is over the limit of {size_text(BLOB_BYTES_MAX)}")
    return content


def is_text(content: bytes) -> bool:
    """Whether it is UTF-8 without NUL, so that Datasette can show it."""
    try:
        return b"\0" not in content and (content.isascii() or bool(content.decode()))
    except UnicodeDecodeError:
        return False
