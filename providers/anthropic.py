"""Anthropic's Messages API through the vendor's SDK, always streamed.

`orc.providers.anthropic_body` builds requests, `orc.providers.anthropic_reply` reads replies, and
`orc.providers.sdk` handles connections and failures. Importing the SDK takes seconds, so no other
module imports it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import anthropic
import httpx2
import trio
from anthropic._streaming import ServerSentEvent

from orc.ledger.wording import duration_text
from orc.providers.anthropic_body import PARAMS, Asked, build_asked
from orc.providers.anthropic_reply import Arriving
from orc.providers.batches.anthropic import AnthropicBatches
from orc.providers.batches.batch_http import BatchClient
from orc.providers.batches.contract import BatchApi
from orc.providers.contract import OnDelta, Provider, Reply, Request, Server, ignore_text
from orc.providers.errors import PermanentError, ProviderError, TransientError
from orc.providers.http import encode_body
from orc.providers.sdk import MODELS_WAIT_S, Peer, build_timeout, read_key
from orc.providers.sdk_errors import Api, api_of
from orc.providers.sdk_wire import Text, Wire
from orc.providers.servers.native import with_own_native

PAGES_MAX = 10

_PLACEHOLDER_KEY = "none"
_OWN_HOST = "anthropic.com"
_PAGE_LENGTH = 1000

API = Api(
    name="Anthropic",
    default_url="https://api.anthropic.com",
    url_variable="ANTHROPIC_BASE_URL",
    key_variable="ANTHROPIC_API_KEY",
    # platform.claude.com/docs/en/api/errors
    statuses={
        "invalid_request_error": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "conflict_error": 409,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "api_error": 500,
        "timeout_error": 504,
        "overloaded_error": 529,
    },
)


def build(environment: Mapping[str, str], base_url: str | None = None) -> Provider:
    """Anthropic at `base_url` or `ANTHROPIC_BASE_URL`. Raises PermanentError if a key is required."""
    key = read_key(environment, API.key_variable)
    url = base_url or environment.get(API.url_variable, "").strip() or API.default_url
    peer = Peer(API, url, key=key)
    host = peer.url.host
    if not key and (host == _OWN_HOST or host.endswith(f".{_OWN_HOST}")):
        raise PermanentError(
            "environment",
            f"{API.key_variable} is not set: set it to an Anthropic key, or set "
            f"{API.url_variable} to the address of a server that needs no key",
        )
    return Anthropic(peer, key or _PLACEHOLDER_KEY)


def build_server(server: Server) -> Provider:
    """A named server with this API. Raises PermanentError if its address cannot be used."""
    peer = Peer(api_of(API, server), server.base_url, key=server.key, server=server)
    return Anthropic(peer, server.key or _PLACEHOLDER_KEY, server=server.name)


class _Events(anthropic.AsyncStream[object]):
    """A stream whose events need no names: each has its type in its data too."""

    async def _iter_events(self) -> AsyncIterator[ServerSentEvent]:
        async for event in super()._iter_events():
            if event.event is None and event.data and not event.data.startswith("[DONE]"):
                event = ServerSentEvent(event="unnamed", data=event.data)
            yield event


class Anthropic:
    """The Messages API at one address."""

    name = "anthropic"
    params = PARAMS

    def __init__(self, peer: Peer, key: str, *, server: str | None = None) -> None:
        self._server = server
        self.endpoint = peer.endpoint
        self._peer = peer
        self._key = key
        self._client: anthropic.AsyncAnthropic | None = None

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """See `Provider.send`."""
        asked = self._asked(request)
        arriving = Arriving(request, on_delta, self._peer.failures, by_tool=asked.by_tool)
        opening = self._open_client().post(
            "/v1/messages",
            content=encode_body(asked.body),
            cast_to=object,
            options={"headers": asked.headers, "timeout": build_timeout(request.timeout_s)},
            stream=True,
            stream_cls=_Events,
        )
        try:
            headers = await self._peer.hear(opening, arriving.take)
        except ProviderError as error:
            raise arriving.mark_partial(error) from None
        return arriving.build_reply(headers)

    def open_batches(self) -> BatchApi:
        """See `Batching.open_batches`."""
        headers = {"x-api-key": self._key, "anthropic-version": "2023-06-01"}
        return AnthropicBatches(
            BatchClient(self._peer, headers), build=self._build_body, read=self._read_message
        )

    def _asked(self, request: Request) -> Asked:
        return build_asked(with_own_native(request, api=self.name, server=self._server))

    def _build_body(self, request: Request) -> dict[str, Any]:
        asked = self._asked(request)
        if asked.headers:
            named = ", ".join(sorted(asked.headers))
            raise PermanentError("bad_request", f"a batch has no place for the header {named}")
        return asked.body

    def _read_message(self, document: object, request: Request) -> Reply:
        by_tool = self._asked(request).by_tool
        arriving = Arriving(request, ignore_text, self._peer.failures, by_tool=by_tool)
        try:
            if not arriving.take(self._peer.check_document(document)):
                raise self._peer.failures.build_protocol_error("stopped before its end")
        except ProviderError as error:
            raise arriving.mark_partial(error) from None
        return arriving.build_reply({})

    async def models(self) -> tuple[str, ...]:
        """See `Provider.models`."""
        with trio.move_on_after(MODELS_WAIT_S):
            return tuple(sorted(await self._read_names()))
        raise TransientError(
            "timeout",
            f"{self._peer.failures.api.name} at {self.endpoint} did not list its models within "
            f"{duration_text(MODELS_WAIT_S)}",
        )

    async def identify(self, model: str) -> str | None:
        """See `Provider.identify`: None, because the API reports only a model's name."""
        return None

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._peer.aclose()

    async def _read_names(self) -> list[str]:
        names: list[str] = []
        after: dict[str, object] = {}
        for _ in range(PAGES_MAX):
            getting = self._open_client().get(
                "/v1/models",
                cast_to=httpx2.Response,
                options={
                    "params": {"limit": _PAGE_LENGTH, **after},
                    "timeout": build_timeout(MODELS_WAIT_S),
                },
            )
            page = _Page.parse(await self._peer.get_json(getting), self._peer.failures)
            names += (self._peer.failures.show(model.id) for model in page.data)
            if not page.has_more:
                return names
            after = {"after_id": page.last_id}
        raise self._peer.failures.build_protocol_error(
            f"lists more than {PAGES_MAX} pages of models"
        )

    def _open_client(self) -> anthropic.AsyncAnthropic:
        http = self._peer.open_http()
        if self._client is None:
            self._client = anthropic.AsyncAnthropic(
                api_key=self._key,
                webhook_key="",
                base_url=self._peer.url,
                http_client=http,
                max_retries=0,
                open_telemetry=False,
            )
            # The constructor always reads these from the process's environment.
            self._client._custom_headers = {}
            # Without this, the SDK starts a thread at the first call to fill a statistics header.
            self._client._platform = "Unknown"
        return self._client


class _ListedModel(Wire):
    id: Text


class _Page(Wire):
    data: list[_ListedModel]
    has_more: bool | None = None
    last_id: Text | None = None
