"""OpenAI's batches: a file of requests is uploaded, and files of results are read.

Servers that follow this API are meant too. A batch is found again by its metadata, which has the
name that the sender gave it (platform.openai.com/docs/guides/batch).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

from orc.providers.batches.batch_http import BatchClient
from orc.providers.batches.contract import BatchLimits, BatchState, Ending, TakeEntry
from orc.providers.batches.results import ResultLines, check_entry, find_first_id
from orc.providers.contract import Reply, Request
from orc.providers.errors import ProviderError, TransientError
from orc.providers.http import encode_body
from orc.providers.replies.lenient import LooseCount, LooseText, OrNone
from orc.providers.sdk_errors import Failures
from orc.providers.sdk_wire import Text, Wire

NAME_KEY = "orc_batch"
"""The key of the metadata with the name of the batch."""
LIMITS = BatchLimits(requests_max=50_000, bytes_max=100 * 1000 * 1000)
"""The file may have 50,000 requests; 100 MB is the smaller of the published sizes."""
PAGE_LENGTH = 100
PAGES_MAX = 50
SKEW_S = 3600.0
"""How wrong the clocks of the server and of this machine may be."""

_ENDINGS: dict[str, Ending] = {
    "completed": "completed",
    "failed": "failed",
    "expired": "expired",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}

_LATER = frozenset({"token_limit_exceeded", "rate_limit_exceeded"})
"""Why a batch is refused that may be accepted when others have ended."""

BuildBody = Callable[[Request], dict[str, Any]]
ReadBody = Callable[[Any, Request], Reply]


class OpenAIBatches:
    """See `BatchApi`. `path` is that of the API whose requests the batches have."""

    limits = LIMITS

    def __init__(self, client: BatchClient, path: str, *, build: BuildBody, read: ReadBody) -> None:
        self._client = client
        self._failures: Failures = client.failures
        self._path = path
        self._build = build
        self._read_body = read

    def encode(self, custom_id: str, request: Request) -> bytes:
        """See `BatchApi.encode`."""
        body = {name: value for name, value in self._build(request).items() if name not in _STREAM}
        entry = {"custom_id": custom_id, "method": "POST", "url": f"/v1{self._path}", "body": body}
        return check_entry(encode_body(entry), self.limits.bytes_max)

    async def submit(self, name: str, entries: Sequence[bytes]) -> BatchState:
        """See `BatchApi.submit`."""
        content = b"\n".join(entries) + b"\n"
        try:
            uploaded = await self._client.upload(
                "/files", f"{name}.jsonl", content, {"purpose": "batch"}
            )
            file = _UploadedFile.parse(uploaded, self._failures)
        except ProviderError as error:
            # Without a batch, an uploaded file asks the model nothing.
            error.unsent = True
            raise
        wanted = {
            "input_file_id": file.id,
            "endpoint": f"/v1{self._path}",
            "completion_window": "24h",
            "metadata": {NAME_KEY: name},
        }
        return self._state(await self._client.post("/batches", encode_body(wanted)))

    async def look(self, server_id: str) -> BatchState:
        """See `BatchApi.look`."""
        return self._state(await self._client.get(f"/batches/{quote(server_id, safe='')}"))

    async def find(self, name: str, *, since: float) -> list[BatchState]:
        """See `BatchApi.find`: by the metadata, the newest batches first."""
        params: dict[str, str | int] = {"limit": PAGE_LENGTH}
        for _ in range(PAGES_MAX):
            page = _FilePage.parse(await self._client.get("/batches", params), self._failures)
            for listed in page.listed:
                metadata = listed.get("metadata")
                if isinstance(metadata, dict) and metadata.get(NAME_KEY) == name:
                    return [self._state(listed)]
            created = [at for one in page.listed if isinstance(at := one.get("created_at"), int)]
            last = page.listed[-1].get("id") if page.listed else None
            if not page.has_more or not isinstance(last, str):
                return []
            if created and min(created) < since - SKEW_S:
                return []
            params["after"] = last
        raise self._failures.build_protocol_error(f"lists more than {PAGES_MAX} pages of batches")

    async def first_id(self, state: BatchState) -> str | None:
        """See `BatchApi.first_id`."""
        return await find_first_id(self._client, map(self._file_path, state.results))

    async def read(
        self, state: BatchState, requests: Mapping[str, Request], take: TakeEntry
    ) -> None:
        """See `BatchApi.read`: replies and errors are in two files."""
        lines = ResultLines(requests, take, self._read_entry, self._failures)
        for file_id in state.results:
            await self._client.read_lines(self._file_path(file_id), lines.take)

    async def cancel(self, server_id: str) -> None:
        """See `BatchApi.cancel`."""
        await self._client.post(f"/batches/{quote(server_id, safe='')}/cancel", b"{}")

    def _read_entry(self, found: dict[str, Any], request: Request) -> Reply:
        entry = _FileEntry.parse(found, self._failures)
        if entry.response is None or entry.response.status_code is None:
            raise self._build_error(entry.error or {})
        status = entry.response.status_code
        if status != 200:
            body = json.dumps(entry.response.body)
            raise self._failures.build_status_error(status, {}, body)
        return self._read_body(entry.response.body, request)

    def _build_error(self, error: Mapping[str, Any]) -> ProviderError:
        code = error.get("code")
        if code == "batch_expired":
            return TransientError(
                "timeout", "the batch expired before the request's turn", unsent=True
            )
        if code in ("batch_cancelled", "batch_canceled"):
            return TransientError(
                "connection", "the batch was cancelled before the request's turn", unsent=True
            )
        return self._failures.build_event_error({"error": dict(error)})

    def _state(self, document: object) -> BatchState:
        batch = _FileBatch.parse(document, self._failures)
        counts = batch.request_counts or _FileCounts()
        ending = _ENDINGS.get(batch.status.lower())
        words = [
            self._failures.show(one.words()) for one in (batch.errors or _FileErrors()).data or ()
        ]
        return BatchState(
            server_id=batch.id,
            ending=ending,
            answered=counts.completed or 0,
            failed=counts.failed or 0,
            total=counts.total or 0,
            message="; ".join(words[:3]),
            may_retry=any(one.code in _LATER for one in (batch.errors or _FileErrors()).data or ()),
            results=tuple(filter(None, (batch.output_file_id, batch.error_file_id))),
        )

    def _file_path(self, file_id: str) -> str:
        return f"/files/{quote(file_id, safe='')}/content"


_STREAM = ("stream", "stream_options")


class _UploadedFile(Wire):
    id: Text


class _FileCounts(Wire):
    total: LooseCount = None
    completed: LooseCount = None
    failed: LooseCount = None


class _FileError(Wire):
    code: LooseText = None
    message: LooseText = None

    def words(self) -> str:
        return ": ".join(filter(None, (self.code, self.message)))


class _FileErrors(Wire):
    data: list[_FileError] | None = None


class _FileBatch(Wire):
    id: Text
    status: Text
    request_counts: Annotated[_FileCounts | None, OrNone] = None
    errors: Annotated[_FileErrors | None, OrNone] = None
    output_file_id: LooseText = None
    error_file_id: LooseText = None


class _FilePage(Wire):
    data: list[Any]
    has_more: bool | None = None

    @property
    def listed(self) -> list[dict[str, Any]]:
        return [one for one in self.data if isinstance(one, dict)]


class _FileResponse(Wire):
    status_code: LooseCount = None
    body: Any = None


class _FileEntry(Wire):
    response: Annotated[_FileResponse | None, OrNone] = None
    error: Annotated[dict[str, Any] | None, OrNone] = None
