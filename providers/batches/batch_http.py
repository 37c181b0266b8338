"""HTTP for batches: documents and result files, over the same client as other calls of a provider.

The vendors' SDKs are not used here: what they offer for batches hides sizes, and holds whole result
files in memory. `orc.providers.sdk` limits and checks what arrives.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx2

from orc.providers.http import parse_document
from orc.providers.sdk import Peer, build_timeout
from orc.providers.sdk_wire import PLAIN

CALL_TIMEOUT_S = 60.0
"""How long the server may be silent."""
UPLOAD_TIMEOUT_S = 300.0
LINE_MAX_BYTES = 8 * 1024 * 1024
"""The longest line of results that is read. A longer one is left out, as if it were missing."""
RESULTS_MAX_BYTES = 2 * 1024**3
"""The most bytes of results that are read."""


class BatchClient:
    """Requests to the address of a provider, with its key."""

    def __init__(self, peer: Peer, headers: Mapping[str, str]) -> None:
        self.failures = peer.failures
        self._peer = peer
        self._headers = headers

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON document at the path. Raises ProviderError."""
        return await self._document("GET", path, params=params or None)

    async def post(self, path: str, content: bytes, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """The JSON document that answers the posted one. Raises ProviderError."""
        return await self._document(
            "POST",
            path,
            timeout_s=timeout_s,
            content=content,
            headers={"content-type": "application/json"},
        )

    async def upload(self, path: str, name: str, content: bytes, fields: Mapping[str, str]) -> Any:
        """The JSON document that answers an uploaded file. Raises ProviderError."""
        files = {"file": (name, content, "application/jsonl")}
        return await self._document(
            "POST", path, timeout_s=UPLOAD_TIMEOUT_S, data=dict(fields), files=files
        )

    async def read_lines(self, path: str, take: Callable[[bytes], bool]) -> None:
        """Pass each line of a file to `take`, until that returns False. Raises ProviderError.

        Lines that are too long are left out.
        """
        async with self._open("GET", path, bytes_max=RESULTS_MAX_BYTES) as response:
            lines = _Lines()
            async with aclosing(response.aiter_raw()) as chunks:
                async for chunk in chunks:
                    for line in lines.feed(chunk):
                        if not take(line):
                            return
            rest = lines.rest()
            if rest:
                take(rest)

    async def _document(
        self, method: str, path: str, *, timeout_s: float = CALL_TIMEOUT_S, **sent: Any
    ) -> Any:
        async with self._open(method, path, timeout_s=timeout_s, **sent) as response:
            content = await response.aread()
            try:
                return parse_document(content.decode("utf-8"))
            except ValueError as error:
                raise self.failures.translate(error) from None

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float = CALL_TIMEOUT_S,
        bytes_max: int | None = None,
        headers: Mapping[str, str] | None = None,
        **sent: Any,
    ) -> AsyncIterator[httpx2.Response]:
        with self._peer.translating():
            http = self._peer.open_http()
            request = http.build_request(
                method,
                f"{str(self._peer.url).rstrip('/')}{path}",
                headers={**self._headers, **(headers or {})},
                timeout=build_timeout(timeout_s),
                extensions={PLAIN: bytes_max or 0},
                **sent,
            )
            response = await http.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()


class _Lines:
    """Cuts chunks into lines, and drops those that are too long."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._is_long = False

    def feed(self, chunk: bytes) -> list[bytes]:
        found = []
        *ends, rest = chunk.split(b"\n")
        for part in ends:
            self._keep(part)
            line = self.rest()
            if line:
                found.append(line)
        self._keep(rest)
        return found

    def rest(self) -> bytes:
        """The current line; empty if it is too long."""
        line = b"" if self._is_long else bytes(self._kept).strip()
        self._kept.clear()
        self._is_long = False
        return line

    def _keep(self, part: bytes) -> None:
        if self._is_long or len(self._kept) + len(part) > LINE_MAX_BYTES:
            self._is_long = True
            self._kept.clear()
        else:
            self._kept += part
