"""The one way out of a server with a ledger: no response controls a terminal or a browser.

Datasette's templates escape markup, but print control characters and marks that reorder text as
they are, in many places: facets, titles, labels, errors. So each response is escaped here once more.
Downloads, scripts and style sheets are not changed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Any

from orc.ledger.wording import visible
from orc.projections.pages.requests import Asgi

_HEADER_BYTE = re.compile(rb"[^\x20-\x7e]")
_JSON_KEPT = "\n\r\t"


def made_safe(app: Asgi, applies: Callable[[], bool]) -> Asgi:
    """The app with safe headers and texts in its responses, while `applies` returns True."""

    async def safe(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not applies():
            await app(scope, receive, send)
            return
        body: _Text | None = None

        async def send_safe(message: dict[str, Any]) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                headers = [(bytes(n), _safe_header(v)) for n, v in message.get("headers", ())]
                escape = _escape_of(headers, scope)
                if escape is not None:
                    body = _Text(escape)
                    headers = [(n, v) for n, v in headers if n.lower() != b"content-length"]
                message = {**message, "headers": headers}
            elif message["type"] == "http.response.body" and body is not None:
                more = bool(message.get("more_body"))
                message = {**message, "body": body.next(message.get("body", b""), is_last=not more)}
            await send(message)

        await app(scope, receive, send_safe)

    return safe


def safe_text(text: str) -> str:
    """The text with escapes for all but printable characters, tabs and the ends of lines."""
    return "\r\n".join(
        "\n".join(visible(line, kept="\t") for line in part.split("\n"))
        for part in text.split("\r\n")
    )


def safe_html(text: str) -> str:
    """The same for HTML, in which every line ends with a line feed."""
    return safe_text(text.replace("\r\n", "\n"))


def safe_json(text: str) -> str:
    """The same JSON value, with escapes of JSON."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(
        character if character.isprintable() or character in _JSON_KEPT else _json_escape(character)
        for character in text
    )


class _Text:
    """The body of a response, escaped piece by piece."""

    def __init__(self, escape: Callable[[str], str]) -> None:
        self._escape = escape
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def next(self, piece: bytes, *, is_last: bool) -> bytes:
        """The escaped piece; its end may be held back for the next one."""
        text = self._held + self._decoder.decode(piece, is_last)
        self._held = ""
        if text.endswith("\r") and not is_last:
            text, self._held = text[:-1], "\r"
        return self._escape(text).encode()


def _escape_of(
    headers: list[tuple[bytes, bytes]], scope: dict[str, Any]
) -> Callable[[str], str] | None:
    given = {name.lower(): value for name, value in headers}
    media_type = given.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if b"content-encoding" in given:
        return None
    if media_type in (b"text/html", b"application/xhtml+xml", b"image/svg+xml"):
        return safe_html
    # Datasette calls lines of JSON plain text.
    is_lines = media_type == b"text/plain" and b"_nl=" in scope.get("query_string", b"")
    if media_type.endswith(b"json") or is_lines:
        return safe_json
    return safe_text if media_type in (b"text/plain", b"text/csv", b"") else None


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _safe_header(value: bytes) -> bytes:
    return _HEADER_BYTE.sub(lambda found: b"%%%02X" % found[0][0], bytes(value))
