"""The messages of an MCP server: cut from its output within bounds, and results as JSON values."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from orc.ledger.digest import clean_json, clean_text
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import count_text, size_text

LINE_BYTES_MAX = 8 * 1024 * 1024
"""The maximum length of a message."""
UNASKED_BYTES_MAX = 64 * 1024 * 1024
"""How much a server may send between two answers: notifications, requests of its own."""
ASKED_MAX = 1000
"""How many requests a server may send to orc. They are all declined."""
_NOISE_LINES_MAX = 100
_SHOWN = 80


class MessageReader:
    """Cuts the output of a server into JSON documents; `noise` gets the lines that are none.

    Lines that are no JSON are passed over before `is_strict`: servers print greetings. Notifications
    are dropped. `feed` raises ValueError, whose message continues "the server ...", if a bound is
    passed. Secrets are masked here: messages about what a server sent quote a part of it, and a part of
    a secret would not be found.
    """

    def __init__(self, noise: Callable[[bytes], None], mask: Mask) -> None:
        self.is_strict = False
        self._noise = noise
        self._mask = mask
        self._rest = bytearray()
        self._unasked = 0
        self._asked = 0
        self._noise_lines = 0

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """The answers and requests that are complete with this piece of the output."""
        self._unasked += len(chunk)
        if self._unasked > UNASKED_BYTES_MAX:
            raise ValueError(f"sent more than {size_text(UNASKED_BYTES_MAX)} without an answer")
        self._rest += chunk
        *lines, rest = self._rest.split(b"\n")
        self._rest = bytearray(rest)
        if max(map(len, (*lines, rest))) > LINE_BYTES_MAX:
            raise ValueError(f"sent a message of more than {size_text(LINE_BYTES_MAX)}")
        found = []
        for line in lines:
            document = self._parse(bytes(line)) if line.strip() else None
            if document is not None and "id" in document:
                self._count(document)
                found.append(document)
        return found

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        document: Any = None
        with suppress(ValueError, RecursionError):
            document = self._mask.value(json.loads(line))
        if isinstance(document, dict) and document.get("jsonrpc") == "2.0":
            return document
        line = self._mask.data(line)
        self._noise(line[:1000] + b"\n")
        self._noise_lines += 1
        if self.is_strict or self._noise_lines > _NOISE_LINES_MAX:
            shown = clean_text(line.decode("utf-8", "replace"))[:_SHOWN]
            raise ValueError(f"sent a line that is not a message of the protocol: {shown!a}")
        return None

    def _count(self, document: dict[str, Any]) -> None:
        if "method" not in document:
            self._unasked = 0
            return
        self._asked += 1
        if self._asked > ASKED_MAX:
            raise ValueError(f"sent more than {count_text(ASKED_MAX, 'request')} of its own")


def as_value(result: Any) -> Any:
    """The result of a tool call as a model gets it: its text, else its structured content.

    Images, sounds and files are named, and not passed on.
    """
    texts = [_text_of(part) for part in result.content]
    if not texts and result.structured_content is not None:
        return clean_json(result.structured_content)
    return clean_text("\n".join(texts))


def _text_of(part: Any) -> str:
    text = getattr(part, "text", None)
    if part.type == "text" and isinstance(text, str):
        return text
    resource = getattr(part, "resource", None)
    text = getattr(resource, "text", None)
    if isinstance(text, str):
        return text
    kind = getattr(part, "mime_type", None) or getattr(resource, "mime_type", None)
    where = getattr(part, "uri", None) or getattr(resource, "uri", None)
    about = " ".join(str(each)[:200] for each in (kind, where) if each)
    return f"[{part.type}{f' {about}' if about else ''}: not passed on]"
