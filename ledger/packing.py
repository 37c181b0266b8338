"""Converts values to payloads: small values inline, larger ones as the digest of a blob.

`store.py` stores the blob with the event or before it.
"""

from __future__ import annotations

import json
from typing import Any

from orc.ledger.bounds import BLOB_BYTES_MAX, Unstorable, check_value
from orc.ledger.digest import canonical_json, digest_bytes
from orc.ledger.events import Payload
from orc.ledger.wording import count_text, size_text

INLINE_BYTES_MAX = 1024
"""Values with longer JSON are stored as blobs, so that event rows stay small."""


def pack(value: Any) -> tuple[Payload, bytes | None]:
    """The payload of a JSON value, and the blob to store with it, if the payload needs one.

    Raises Unstorable, a ValueError, if the value is over a bound or is not JSON, and ValueError
    for a text that UTF-8 cannot hold.
    """
    check_value(value)
    if isinstance(value, str):
        content = within_limit(value.encode())
        if len(content) <= INLINE_BYTES_MAX:
            return Payload(value=value), None
        return Payload(sha256=digest_bytes(content), size_bytes=len(content), text=True), content
    if value is None or isinstance(value, (int, float)):
        return Payload(value=value), None
    content = within_limit(canonical_json(value).encode())
    if len(content) <= INLINE_BYTES_MAX:
        # Parse it back, so that the keys have the order that a reader of the ledger gets:
        # templates must render the same text from both.
        return Payload(value=json.loads(content)), None
    return Payload(sha256=digest_bytes(content), size_bytes=len(content)), content


def pack_bytes(content: bytes) -> tuple[Payload, bytes | None]:
    """The text payload of bytes such as a log, and its blob; reading returns the same bytes."""
    if len(content) <= INLINE_BYTES_MAX and is_text(content):
        return Payload(value=content.decode()), None
    return Payload(sha256=digest_bytes(content), size_bytes=len(content), text=True), content


def within_limit(content: bytes) -> bytes:
    """Return the bytes. Raises Unstorable if they are larger than a blob may be."""
    if len(content) > BLOB_BYTES_MAX:
        size = count_text(len(content), "byte")
        raise Unstorable(f"a blob of {size} is over the limit of {size_text(BLOB_BYTES_MAX)}")
    return content


def is_text(content: bytes) -> bool:
    """Whether the bytes are UTF-8 without NUL, so that Datasette can show them as text."""
    try:
        return b"\0" not in content and (content.isascii() or bool(content.decode()))
    except UnicodeDecodeError:
        return False
