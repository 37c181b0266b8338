"""The HTTP client for the vendors' SDKs, and the reading of their streams.

Both SDKs use httpx2, so this module handles statuses, redirects, compression, timeouts, broken
connections and size limits there, before an SDK sees the response. It requests plain JSON from
the SDKs, because their own models are not validated: fields may be missing or have any type.
The providers build requests and check replies; `orc.providers.sdk_errors` translates failures.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from typing import Any, Protocol

import httpx2
import trio

from orc.ledger.wording import duration_text
from orc.providers.contract import Server
from orc.providers.errors import PermanentError, TransientError
from orc.providers.http import (
    ERROR_BODY_MAX_BYTES,
    is_encoded,
    is_loopback,
    parse_document,
    safe_text,
    secrets_of,
    url_problem,
    verifier_of,
)
from orc.providers.sdk_errors import Api, BrokenOff, Failures
from orc.providers.sdk_wire import PLAIN, BoundedBody, Text, Wire

AFTER_END_WAIT_S = 5.0
ERROR_BODY_WAIT_S = 5.0
MODELS_WAIT_S = 10.0

_END = object()
_HEADER_WORD = re.compile("[!-~]*")


class EventStream(Protocol):
    """The part of an SDK's `AsyncStream[object]` that orc uses."""

    response: httpx2.Response

    async def __anext__(self) -> object:
        """The JSON value of the next event."""

    async def close(self) -> None:
        """Close the response, even if it was not read to its end."""


class Peer:
    """An API at one address. Its key and a password in its URL never appear in messages.

    `url` has no credentials; `endpoint` is the same address, safe to show. A named `server` may have
    further headers and a query; they are added to each request, and only to those to this address.
    """

    def __init__(
        self, api: Api, base_url: str, *, key: str = "", server: Server | None = None
    ) -> None:
        url = _parse_base_url(base_url, api)
        self._server = server
        path = safe_text(url.path.rstrip("/"))
        self.url = url.copy_with(userinfo=b"")
        self.endpoint = f"{url.scheme}://{url.netloc.decode('ascii')}{path}"
        self._auth = (url.username, url.password) if url.userinfo else None
        hidden = () if server is None else server.secrets
        self.failures = Failures(api, self.endpoint, (key, *hidden, *secrets_of(url)))
        self._http: httpx2.AsyncClient | None = None
        self._closed = False

    def open_http(self) -> httpx2.AsyncClient:
        """The HTTP client. It is created at the first call, because that is slow."""
        if self._closed:
            raise PermanentError("environment", f"the provider of {self.endpoint} is closed")
        if self._http is None:
            self._http = self._build_http()
        return self._http

    async def aclose(self) -> None:
        """Close the connections for good."""
        self._closed = True
        if self._http is not None:
            await self._http.aclose()

    async def hear(
        self, opening: Awaitable[EventStream], take: Callable[[Any], bool]
    ) -> httpx2.Headers:
        """Pass each event of a stream to `take`; returns the response's headers.

        `take` returns whether the reply is complete. Later events are passed on, too, for at
        most AFTER_END_WAIT_S; a timeout or a broken connection then no longer matters. Raises
        ProviderError, and what `take` raises.
        """
        with self.translating():
            stream = await opening
        try:
            is_complete = False
            while not is_complete:
                event = await self._next(stream)
                if event is _END:
                    raise self.failures.build_protocol_error("stopped before its end")
                is_complete = take(self.check_document(event))
            with suppress(BrokenOff), trio.move_on_after(AFTER_END_WAIT_S):
                while (event := await self._next(stream)) is not _END:
                    take(event)
        finally:
            await stream.close()
        return stream.response.headers

    def check_document(self, event: object) -> object:
        """The event or document. Raises ProviderError if it reports a failure, whatever the status."""
        if isinstance(event, list) and len(event) == 1:
            event = event[0]
        if isinstance(event, dict) and event.get("error") and not event.get("choices"):
            is_other = event.get("object") == "response" or "response" in event
            if not is_other and event.get("type") in (None, "error"):
                raise self.failures.build_event_error(event)
        return event

    async def get_json(self, getting: Awaitable[httpx2.Response]) -> Any:
        """The JSON value of a response that is not a stream."""
        with self.translating():
            return parse_document((await getting).content.decode("utf-8"))

    async def list_models(self, getting: Awaitable[httpx2.Response]) -> tuple[str, ...]:
        """The sorted ids in a response `{"data": [{"id": ...}, ...]}`, within MODELS_WAIT_S."""
        with trio.move_on_after(MODELS_WAIT_S):
            models = _Models.parse(await self.get_json(getting), self.failures).data
            return tuple(sorted(self.failures.show(model.id) for model in models))
        raise TransientError(
            "timeout",
            f"{self.endpoint} did not list its models within {duration_text(MODELS_WAIT_S)}; try again",
        )

    def _build_http(self) -> httpx2.AsyncClient:
        try:
            # The scheduler limits the number of concurrent calls. A limit here would make calls
            # wait in a pool, and that wait would count as a timeout of the server. Calls to
            # this machine use no proxy.
            return httpx2.AsyncClient(
                auth=self._auth,
                event_hooks={"request": [self._complete], "response": [self._check]},
                follow_redirects=False,
                headers={"accept-encoding": "identity"},
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
                trust_env=not is_loopback(self.url.host),
                verify=verifier_of(self.url.scheme, self.url.host),
            )
        except (ImportError, OSError, ValueError, httpx2.InvalidURL):
            raise PermanentError(
                "environment",
                "the proxy or the certificates in the environment cannot be used; check "
                "HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE",
            ) from None

    async def _next(self, stream: EventStream) -> object:
        with self.translating():
            try:
                return await stream.__anext__()
            except StopAsyncIteration:
                return _END

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Translate every exception of the block to ProviderError."""
        try:
            yield
        except Exception as error:
            raise self.failures.translate(error) from None

    async def _complete(self, request: httpx2.Request) -> None:
        """A request hook: adds the headers and the query of a named server."""
        server, url = self._server, request.url
        if server is None:
            return
        if (url.scheme, url.host, url.port) != (self.url.scheme, self.url.host, self.url.port):
            raise PermanentError("bad_request", f"the request does not go to {self.endpoint}")
        if not server.key:
            # The SDKs always send one; a server without a key gets none.
            for name in ("authorization", "x-api-key"):
                request.headers.pop(name, None)
        request.headers.update(server.headers)
        if server.query:
            request.url = url.copy_merge_params(server.query)

    async def _check(self, response: httpx2.Response) -> None:
        """A response hook. It must raise here, because afterwards httpx2 parses `Location` even
        without following it, and an SDK reads the whole body of a failed response."""
        failures, status, headers = self.failures, response.status_code, response.headers
        if 300 <= status < 400:
            raise failures.build_redirect_error(status, headers.get("location", ""))
        if status >= 400:
            body = await _read_error_body(response)
            is_batch = PLAIN in response.request.extensions
            raise failures.build_status_error(status, headers, body, is_batch=is_batch)
        if is_encoded(headers):
            raise failures.build_protocol_error("is compressed, although the request forbids that")
        if "html" in headers.get("content-type", "").lower():
            raise failures.build_protocol_error(
                f"is an HTML page; is {failures.api.url_variable} the address of its API?"
            )
        response.stream = BoundedBody(response, failures)


class _Model(Wire):
    id: Text


class _Models(Wire):
    data: list[_Model]


def read_key(environment: Mapping[str, str], variable: str) -> str:
    """The key or id in the variable; empty if it is not set.

    Raises PermanentError if a header cannot hold it.
    """
    key = environment.get(variable, "").strip()
    if not _HEADER_WORD.fullmatch(key):
        raise PermanentError(
            "environment",
            f"{variable} contains a character that a header cannot hold; set it again",
        )
    return key


def build_timeout(timeout_s: float) -> httpx2.Timeout:
    """The timeout of one call; waiting for a free connection has no limit."""
    return httpx2.Timeout(timeout_s, pool=None)


async def _read_error_body(response: httpx2.Response) -> str:
    """The start of the body, read without failing: it may be late, cut off or endless."""
    body = bytearray()
    if not is_encoded(response.headers):
        with suppress(Exception), trio.move_on_after(ERROR_BODY_WAIT_S):
            async with aclosing(response.aiter_raw()) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) >= ERROR_BODY_MAX_BYTES:
                        break
    return body[:ERROR_BODY_MAX_BYTES].decode("utf-8", "replace")


def _parse_base_url(text: str, api: Api) -> httpx2.URL:
    """The checked URL. Raises PermanentError if no connection can be made to it."""
    try:
        url = httpx2.URL(text.strip())
        why = url_problem(url)
    except (httpx2.InvalidURL, ValueError):
        why = "it is not a valid URL"
    if why:
        raise PermanentError(
            "environment", f"{api.url_variable} must look like {api.default_url}, but {why}"
        )
    return url
