"""Limits the size of responses to the vendors' SDKs, and checks the shape of their JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Self, cast

import httpx2
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from orc.ledger.wording import count_text, key_path, size_text
from orc.providers.http import LineCutter, replace_surrogates, safe_text
from orc.providers.sdk_errors import Failures

BODY_MAX_BYTES = 64 * 1024 * 1024
LINE_MAX_BYTES = 4 * 1024 * 1024
EVENT_MAX_BYTES = 4 * 1024 * 1024
EVENT_MAX_LINES = 1000
LONG_DOCUMENT_MAX_BYTES = 256 * 1024 * 1024
_LONG_DOCUMENT = "/embeddings"

PLAIN = "orc.plain"
"""The extension of a request whose response is no stream of events, whatever its method. Its value is
the most bytes of the response, whose lines may then have any length; 0 for the usual limits."""

_BLANK = b"\xef\xbb\xbf \t\r\n"
_BLANK_MAX_BYTES = 64 * 1024


class BoundedBody(httpx2.AsyncByteStream):
    """A response body with size limits. It translates failures before an SDK can hide them."""

    def __init__(self, response: httpx2.Response, failures: Failures) -> None:
        self._stream = cast(httpx2.AsyncByteStream, response.stream)
        self._request = response.request
        self._failures = failures

    async def __aiter__(self) -> AsyncIterator[bytes]:
        plain: int | None = self._request.extensions.get(PLAIN)
        is_post = self._request.method == "POST" and plain is None
        async with aclosing(cast(AsyncGenerator[bytes, None], aiter(self._stream))) as chunks:
            begun = await self._read_start(chunks) if is_post else b""
            if begun.lstrip(_BLANK)[:1] in (b"{", b"["):
                # A document in place of a stream: the answer of a server that does not stream, or
                # the report of a failure.
                yield await self._read_document(begun, chunks)
                return
            # The response to every POST is an event stream, whatever its content type says.
            bounds = _EventBounds() if is_post else _SizeBound(plain) if plain else _Bounds()
            # Without a byte order mark, with which no reader finds the first event.
            chunk: bytes | None = begun.lstrip(_BLANK)
            while chunk is not None:
                self._feed(bounds, chunk)
                if chunk:
                    yield chunk
                chunk = await self._read(chunks)

    async def _read_start(self, chunks: AsyncGenerator[bytes, None]) -> bytes:
        """The first chunks, until one has more than space."""
        begun = b""
        while not begun.strip(_BLANK) and len(begun) < _BLANK_MAX_BYTES:
            chunk = await self._read(chunks)
            if chunk is None:
                break
            begun += chunk
        return begun

    async def _read_document(self, begun: bytes, chunks: AsyncGenerator[bytes, None]) -> bytes:
        """The whole document as one event. Its line feeds have no meaning in JSON."""
        # Vectors are one long line.
        is_long = self._request.url.path.endswith(_LONG_DOCUMENT)
        bounds = _Bounds(LONG_DOCUMENT_MAX_BYTES if is_long else LINE_MAX_BYTES)
        body = bytearray()
        chunk: bytes | None = begun
        while chunk is not None:
            self._feed(bounds, chunk)
            body += chunk
            chunk = await self._read(chunks)
        line = bytes(body).strip(_BLANK).replace(b"\r", b" ").replace(b"\n", b" ")
        return b"event: message_document\ndata: " + line + b"\n\n"

    def _feed(self, bounds: _Bounds | _SizeBound, chunk: bytes) -> None:
        try:
            bounds.feed(chunk)
        except ValueError as error:
            raise self._failures.build_protocol_error(str(error)) from None

    async def aclose(self) -> None:
        """Close the response, even if it was not read to its end."""
        await self._stream.aclose()

    async def _read(self, chunks: AsyncGenerator[bytes, None]) -> bytes | None:
        try:
            return await anext(chunks, None)
        except Exception as error:
            raise self._failures.build_broken_off(error, self._request) from None


class _SizeBound:
    """Raises ValueError if the body is too long."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = self._left = bytes_max

    def feed(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise ValueError(f"is longer than {size_text(self._bytes_max)}")


class _Bounds:
    """Raises ValueError if the body or a line of it is too long."""

    def __init__(self, line_max_bytes: int = LINE_MAX_BYTES) -> None:
        self._lines = LineCutter(
            line_max_bytes=line_max_bytes, body_max_bytes=max(line_max_bytes, BODY_MAX_BYTES)
        )

    def feed(self, chunk: bytes) -> None:
        self._lines.feed(chunk)


class _EventBounds(_Bounds):
    """Raises ValueError also if an event is too long, because the time that an SDK takes to parse
    an event can grow with the product of its lines and bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._event_lines = 0
        self._event_bytes = 0

    def feed(self, chunk: bytes) -> None:
        for line in self._lines.feed(chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")):
            self._event_lines = self._event_lines + 1 if line else 0
            self._event_bytes = self._event_bytes + len(line) if line else 0
            if self._event_lines > EVENT_MAX_LINES or self._event_bytes > EVENT_MAX_BYTES:
                lines = count_text(EVENT_MAX_LINES, "line")
                raise ValueError(
                    f"has an event of more than {lines} or {size_text(EVENT_MAX_BYTES)}"
                )


def _clean(value: Any) -> Any:
    return replace_surrogates(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_clean)]
"""A text from the server, without lone surrogates, which JSON can hold and UTF-8 cannot."""


class Wire(BaseModel):
    """Base of the JSON objects from a server. Unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    @classmethod
    def parse(cls, document: object, failures: Failures) -> Self:
        """The parsed object. Raises TransientError (protocol) if it has the wrong shape."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = safe_text(key_path(first["loc"]), length_max=80) or "event"
            is_object = first["type"] in ("model_type", "dict_type")
            why = "Input should be an object" if is_object else first["msg"]
            raise failures.build_protocol_error(f"has an invalid {place}: {why}") from None
