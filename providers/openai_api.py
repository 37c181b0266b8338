"""The parts that both of OpenAI's APIs share: the client, its settings, and parts of replies.

A compatible server is reached by its base URL and needs no key. Settings come only from the
given environment; the SDK would read more from the process's environment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2
import openai

from orc.providers.batches.batch_http import BatchClient
from orc.providers.batches.contract import BatchApi
from orc.providers.batches.openai import OpenAIBatches
from orc.providers.contract import (
    NO_QUIRKS,
    OnDelta,
    Reply,
    Request,
    Server,
    Usage,
    ignore_text,
)
from orc.providers.embeddings.openai_embeddings import PATH, EmbeddingsDocument
from orc.providers.embeddings.openai_embeddings import build_body as build_embeddings_body
from orc.providers.errors import PermanentError, ProviderError
from orc.providers.http import encode_body
from orc.providers.openai_body import add_cache_key
from orc.providers.replies.ends import build_refused
from orc.providers.sdk import MODELS_WAIT_S, Peer, build_timeout, read_key
from orc.providers.sdk_errors import Api, api_of
from orc.providers.servers.native import with_own_native

_PLACEHOLDER_KEY = "none"
_OWN_HOST = "openai.com"
# Codes that are not listed are failures of the server.
_CODES_OF_STATUS = {
    400: frozenset(
        "context_length_exceeded exceed_context_size_error content_filter "
        "invalid_request_error invalid_prompt data_residency_mismatch invalid_image "
        "invalid_image_format invalid_base64_image invalid_image_url invalid_image_mode "
        "image_too_large image_too_small image_parse_error image_file_too_large "
        "image_file_not_found unsupported_image_media_type empty_image_file".split()
    ),
    401: {"invalid_api_key", "authentication_error"},
    403: {"permission_error"},
    404: {"model_not_found"},
    429: {"rate_limit_exceeded", "rate_limit_error"},
}


API = Api(
    name="OpenAI",
    default_url="https://api.openai.com/v1",
    url_variable="OPENAI_BASE_URL",
    key_variable="OPENAI_API_KEY",
    statuses={code: status for status, codes in _CODES_OF_STATUS.items() for code in codes},
)


class Account:
    """OpenAI or a compatible server, configured by the environment, or a named server."""

    def __init__(
        self,
        environment: Mapping[str, str],
        base_url: str | None = None,
        *,
        server: Server | None = None,
    ) -> None:
        self.quirks = NO_QUIRKS if server is None else server.quirks
        self.server_name = None if server is None else server.name
        self._organization: str | None = None
        self._project: str | None = None
        self._client: openai.AsyncOpenAI | None = None
        if server is not None:
            self.peer = Peer(api_of(API, server), server.base_url, key=server.key, server=server)
            self._key = server.key or _PLACEHOLDER_KEY
            return
        key = read_key(environment, API.key_variable)
        url = base_url or environment.get(API.url_variable, "").strip() or API.default_url
        self.peer = Peer(API, url, key=key)
        host = self.peer.url.host
        if not key and (host == _OWN_HOST or host.endswith(f".{_OWN_HOST}")):
            raise PermanentError(
                "environment",
                f"{API.key_variable} is not set: set it to an OpenAI key, or set "
                f"{API.url_variable} to the address of a server that needs no key",
            )
        self._key = key or _PLACEHOLDER_KEY
        self._organization = read_key(environment, "OPENAI_ORG_ID") or None
        self._project = read_key(environment, "OPENAI_PROJECT_ID") or None

    async def hear(
        self, path: str, body: Mapping[str, Any], take: Callable[[Any], bool], *, timeout_s: float
    ) -> Mapping[str, str]:
        """Post the body and pass each event to `take`; returns the response's headers."""
        opening = self._open_client().post(
            path,
            content=encode_body(body),
            cast_to=object,
            options={"timeout": build_timeout(timeout_s)},
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        return await self.peer.hear(opening, take)

    async def list_models(self) -> tuple[str, ...]:
        """The names of the models that the account can use, sorted."""
        getting = self._open_client().get(
            "/models", cast_to=httpx2.Response, options={"timeout": build_timeout(MODELS_WAIT_S)}
        )
        return await self.peer.list_models(getting)

    def open_batch_client(self) -> BatchClient:
        """HTTP for batches, with the key of the account."""
        headers = {"authorization": f"Bearer {self._key}"}
        if self._organization:
            headers["openai-organization"] = self._organization
        if self._project:
            headers["openai-project"] = self._project
        return BatchClient(self.peer, headers)

    def _open_client(self) -> openai.AsyncOpenAI:
        http = self.peer.open_http()
        if self._client is None:
            self._client = self._build_client(http)
        return self._client

    def _build_client(self, http: httpx2.AsyncClient) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=self.peer.url,
            http_client=http,
            max_retries=0,
        )
        # The constructor reads these from the process's environment.
        client.organization = self._organization
        client.project = self._project
        client._custom_headers = {}
        # Without this, the SDK starts a thread at the first call to fill a statistics header.
        client._platform = "Unknown"
        return client


class ArrivingReply(Protocol):
    """A reply that arrives in events, or in one document in their place."""

    def take(self, event: object) -> bool:
        """Add an event; returns whether the reply is complete."""

    def mark_partial(self, error: ProviderError) -> ProviderError:
        """The error of a reply that broke off, with what was counted before."""

    def build_reply(self, headers: Mapping[str, str]) -> Reply:
        """The complete reply; `headers` are those of the response."""


class AccountProvider(ABC):
    """The methods of a provider that are the same for both APIs.

    An API has a name and a path, builds its requests, and reads its replies.
    """

    name: str
    path: str

    def __init__(self, account: Account) -> None:
        self._quirks = account.quirks
        self.endpoint = account.peer.endpoint
        host = urlsplit(self.endpoint).hostname or ""
        self._is_vendors_own = host.endswith((".openai.com", ".openai.azure.com"))
        self._account = account
        self._failures = account.peer.failures

    @abstractmethod
    def build_body(self, request: Request) -> dict[str, Any]:
        """The body of a request that asks for a stream, where the server streams."""

    @abstractmethod
    def begin_reply(self, request: Request, on_delta: OnDelta) -> ArrivingReply:
        """The empty reply to a request."""

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """See `Provider.send`."""
        request = self._with_own_native(request)
        body = self.build_body(request)
        add_cache_key(body, request, is_vendors_own=self._is_vendors_own)
        arriving = self.begin_reply(request, on_delta)
        try:
            # A server that does not stream answers with one document, which is heard as one event.
            headers = await self._account.hear(
                self.path, body, arriving.take, timeout_s=request.timeout_s
            )
        except ProviderError as error:
            raise arriving.mark_partial(error) from None
        return arriving.build_reply(headers)

    def open_batches(self) -> BatchApi:
        """See `Batching.open_batches`."""
        return OpenAIBatches(
            self._account.open_batch_client(),
            self.path,
            build=lambda request: self.build_body(self._with_own_native(request)),
            read=self._read_document,
        )

    def _with_own_native(self, request: Request) -> Request:
        return with_own_native(request, api=self.name, server=self._account.server_name)

    def _read_document(self, document: object, request: Request) -> Reply:
        arriving = self.begin_reply(request, ignore_text)
        try:
            if not arriving.take(self._account.peer.check_document(document)):
                raise self._failures.build_protocol_error("stopped before its end")
        except ProviderError as error:
            raise arriving.mark_partial(error) from None
        return arriving.build_reply({})

    async def embed(self, request: Request) -> Reply:
        """See `Embedder.embed`."""
        body = build_embeddings_body(request, is_vendors_own=self._is_vendors_own)
        document = EmbeddingsDocument(self._failures)
        headers = await self._account.hear(PATH, body, document.take, timeout_s=request.timeout_s)
        return document.build_reply(request, headers)

    async def models(self) -> tuple[str, ...]:
        """See `Provider.models`."""
        return await self._account.list_models()

    async def identify(self, model: str) -> str | None:
        """See `Provider.identify`: None, because the APIs report only a model's name."""
        return None

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._account.peer.aclose()


def build_refusal(who: str, words: str, usage: Usage | None) -> PermanentError:
    """The error for a refusal by the model or by a filter; `words` must be safe to record."""
    said = words or "a content filter stopped it"
    return build_refused(f"{who} refused to answer: {said}", usage)
