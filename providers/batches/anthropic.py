"""Anthropic's message batches: the requests are in the submission, the results in one file.

The API has no metadata. A batch whose submission was not answered is therefore looked for by the
time of its creation, and known for sure only by the custom ids in its results
(platform.claude.com/docs/en/build-with-claude/batch-processing).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from orc.providers.batches.batch_http import UPLOAD_TIMEOUT_S, BatchClient
from orc.providers.batches.contract import BatchLimits, BatchState, Ending, TakeEntry
from orc.providers.batches.results import ResultLines, check_entry, find_first_id
from orc.providers.contract import Reply, Request
from orc.providers.errors import ProviderError, TransientError
from orc.providers.http import encode_body
from orc.providers.replies.lenient import LooseCount, LooseText, OrNone
from orc.providers.sdk_wire import Text, Wire

LIMITS = BatchLimits(requests_max=100_000, bytes_max=256 * 1000 * 1000)
PAGE_LENGTH = 100
PAGES_MAX = 50
SKEW_S = 3600.0
"""How wrong the clocks of the server and of this machine may be."""

_PATH = "/v1/messages/batches"

BuildBody = Callable[[Request], dict[str, Any]]
ReadMessage = Callable[[Any, Request], Reply]


class AnthropicBatches:
    """See `BatchApi`."""

    limits = LIMITS

    def __init__(self, client: BatchClient, *, build: BuildBody, read: ReadMessage) -> None:
        self._client = client
        self._failures = client.failures
        self._build = build
        self._read_message = read

    def encode(self, custom_id: str, request: Request) -> bytes:
        """See `BatchApi.encode`."""
        params = {name: value for name, value in self._build(request).items() if name != "stream"}
        entry = encode_body({"custom_id": custom_id, "params": params})
        return check_entry(entry, self.limits.bytes_max)

    async def submit(self, name: str, entries: Sequence[bytes]) -> BatchState:
        """See `BatchApi.submit`. The name is in the custom ids."""
        content = b'{"requests": [' + b", ".join(entries) + b"]}"
        return self._state(await self._client.post(_PATH, content, timeout_s=UPLOAD_TIMEOUT_S))

    async def look(self, server_id: str) -> BatchState:
        """See `BatchApi.look`."""
        return self._state(await self._client.get(f"{_PATH}/{quote(server_id, safe='')}"))

    async def find(self, name: str, *, since: float) -> list[BatchState]:
        """See `BatchApi.find`: all batches that were created since then, without a name."""
        found: list[BatchState] = []
        params: dict[str, str | int] = {"limit": PAGE_LENGTH}
        for _ in range(PAGES_MAX):
            page = _MessagePage.parse(await self._client.get(_PATH, params), self._failures)
            for listed in page.data:
                created = _seconds(listed)
                if created is not None and created < since - SKEW_S:
                    # The newest are first.
                    return found
                try:
                    found.append(self._state(listed))
                except ProviderError:
                    continue  # The listing of something else: that of a batch can be read.
            if not page.has_more or not page.last_id:
                return found
            params["after_id"] = page.last_id
        raise self._failures.build_protocol_error(f"lists more than {PAGES_MAX} pages of batches")

    async def first_id(self, state: BatchState) -> str | None:
        """See `BatchApi.first_id`."""
        return await find_first_id(self._client, map(self._results_path, state.results))

    async def read(
        self, state: BatchState, requests: Mapping[str, Request], take: TakeEntry
    ) -> None:
        """See `BatchApi.read`."""
        lines = ResultLines(requests, take, self._read_entry, self._failures)
        for server_id in state.results:
            await self._client.read_lines(self._results_path(server_id), lines.take)

    async def cancel(self, server_id: str) -> None:
        """See `BatchApi.cancel`."""
        await self._client.post(f"{_PATH}/{quote(server_id, safe='')}/cancel", b"{}")

    def _read_entry(self, found: dict[str, Any], request: Request) -> Reply:
        result = _MessageEntry.parse(found, self._failures).result
        match result.type:
            case "succeeded":
                return self._read_message(result.message, request)
            case "expired":
                raise TransientError(
                    "timeout", "the batch expired before the request's turn", unsent=True
                )
            case "canceled" | "cancelled":
                raise TransientError(
                    "connection", "the batch was cancelled before the request's turn", unsent=True
                )
            case "errored":
                raise self._build_error(result.error)
        raise self._failures.build_protocol_error("has a result of an unknown type")

    def _build_error(self, error: object) -> ProviderError:
        while isinstance(error, dict) and isinstance(error.get("error"), dict):
            error = error["error"]
        if isinstance(error, dict) and error.get("type") == "invalid_request":
            error = {**error, "type": "invalid_request_error"}
        return self._failures.build_event_error({"type": "error", "error": error})

    def _state(self, document: object) -> BatchState:
        batch = _MessageBatch.parse(document, self._failures)
        counts = batch.request_counts or _MessageCounts()
        answered, errored = counts.succeeded or 0, counts.errored or 0
        expired, canceled = counts.expired or 0, counts.canceled or 0
        ending: Ending | None = None
        if batch.processing_status.lower() == "ended":
            ending = "completed"
            if batch.cancel_initiated_at is not None:
                ending = "cancelled"
            elif expired:
                ending = "expired"
        return BatchState(
            server_id=batch.id,
            ending=ending,
            answered=answered,
            failed=errored,
            total=answered + errored + expired + canceled + (counts.processing or 0),
            # The address of the results is not followed: the key goes to no other place.
            results=(batch.id,) if ending is not None else (),
            is_named=False,
        )

    def _results_path(self, server_id: str) -> str:
        return f"{_PATH}/{quote(server_id, safe='')}/results"


def _seconds(listed: object) -> float | None:
    """When the batch of a listing was created; None if it does not say so."""
    created_at = listed.get("created_at") if isinstance(listed, dict) else None
    try:
        return datetime.fromisoformat(str(created_at)).timestamp()
    except (ValueError, OverflowError):
        return None


class _MessageCounts(Wire):
    processing: LooseCount = None
    succeeded: LooseCount = None
    errored: LooseCount = None
    canceled: LooseCount = None
    expired: LooseCount = None


class _MessageBatch(Wire):
    id: Text
    processing_status: Text
    request_counts: Annotated[_MessageCounts | None, OrNone] = None
    cancel_initiated_at: LooseText = None


class _MessagePage(Wire):
    data: list[Any]
    has_more: bool | None = None
    last_id: LooseText = None


class _MessageResult(Wire):
    type: Text
    message: Any = None
    error: Any = None


class _MessageEntry(Wire):
    result: _MessageResult
