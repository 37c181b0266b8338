"""Connections to an Ollama server through httpx, and the translation of their failures.

The server is not trusted: redirects are refused, and so is compression, because a small gzip body
can expand to any size. `orc.providers.ollama_reply` reads the bodies.
"""

from __future__ import annotations

import math
import shlex
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import httpx
import trio

from orc.ledger.wording import duration_text
from orc.providers.catalogue import REGISTRY
from orc.providers.contract import Server
from orc.providers.errors import PermanentError, ProviderError, TransientError
from orc.providers.http import (
    ERROR_BODY_MAX_BYTES,
    LONGER,
    build_judged_error,
    describe_failure,
    find_causes,
    is_absent,
    is_encoded,
    is_loopback,
    is_not_ready,
    parse_error_words,
    parse_retry_after,
    safe_text,
    secrets_of,
    url_problem,
    verifier_of,
)
from orc.providers.ollama_reply import raw_chunks
from orc.providers.replies.failures import find_meaning, find_wait
from orc.providers.reply_bounds import NAME_CHARS_MAX

DEFAULT_BASE_URL = REGISTRY["ollama"].default_address or ""
ERROR_BODY_WAIT_S = 5.0
JSON = "application/json"
JSON_LINES = "application/x-ndjson"

_START = ". Start it with `ollama serve`"


class OllamaServer:
    """The server at a base URL, which may contain credentials; `where` is the URL without them.

    `server` is the named server with this address, if it is one; `who` is its name in messages.
    """

    def __init__(self, base_url: str, server: Server | None = None) -> None:
        self.who = "Ollama" if server is None else server.name
        self._variable = "OLLAMA_BASE_URL" if server is None else f"servers.{server.name}.base_url"
        self._remedy = _START if server is None else ""
        self._url = _parse_base_url(base_url, self._variable)
        self._query = {} if server is None else dict(server.query)
        self._headers = {} if server is None else dict(server.headers)
        if server is not None and server.key:
            self._headers = {"authorization": f"Bearer {server.key}", **self._headers}
        self._path = self._url.path.rstrip("/")
        netloc = self._url.netloc.decode("ascii")
        self.where = f"{self._url.scheme}://{netloc}{safe_text(self._path)}"
        self.secrets = (*secrets_of(self._url), *(() if server is None else server.secrets))
        self._client: httpx.AsyncClient | None = None
        self._closed = False

    @asynccontextmanager
    async def answer(
        self,
        method: str,
        path: str,
        *,
        accept: tuple[str, ...],
        content: bytes | None = None,
        timeout_s: float = math.inf,
        model: str = "",
    ) -> AsyncIterator[httpx.Response]:
        """The response to one request, with checked headers and an unread body.

        Raises ProviderError, also while the caller reads the body. `timeout_s` limits each wait
        for the server. `model` is named in the error if the server does not have it.
        """
        client = self._open_client()
        url = self._url.copy_with(path=f"{self._path}{path}")
        if self._query:
            url = url.copy_merge_params(self._query)
        own = {"accept": ", ".join(accept), "accept-encoding": "identity"}
        headers = httpx.Headers({**self._headers, **own})
        if content is not None:
            headers["content-type"] = JSON
        answered = False
        try:
            async with client.stream(
                method, url, content=content, headers=headers, timeout=timeout_s
            ) as response:
                answered = True
                if response.status_code != 200:
                    raise await self._build_refusal(response, model)
                self._check_headers(response)
                yield response
        except httpx.TimeoutException as error:
            raise TransientError(
                "timeout",
                self._describe_timeout(error, timeout_s),
                unsent=isinstance(error, httpx.ConnectTimeout),
            ) from error
        except httpx.RequestError as error:
            raise self._build_connection_error(error, answered=answered) from error

    async def aclose(self) -> None:
        """Close the connections for good."""
        self._closed = True
        if self._client is not None:
            await self._client.aclose()

    def _open_client(self) -> httpx.AsyncClient:
        if self._closed:
            raise PermanentError("environment", f"the provider of {self.where} is closed")
        if self._client is None:
            # The scheduler limits the number of concurrent calls. A limit here would make calls
            # wait in a pool, and that wait would count as a timeout of the server. Calls to
            # this machine use no proxy.
            self._client = httpx.AsyncClient(
                follow_redirects=False,
                event_hooks={"response": [self._refuse_redirect]},
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                trust_env=not is_loopback(self._url.host),
                verify=verifier_of(self._url.scheme, self._url.host),
            )
        return self._client

    async def _refuse_redirect(self, response: httpx.Response) -> None:
        """A response hook: httpx parses `Location` even without following it, and can fail."""
        if not 300 <= response.status_code < 400:
            return
        target = _parse_host(response.headers.get("location", ""))
        to = f" to {target}" if target else ""
        raise PermanentError(
            "bad_request",
            f"{self.who} at {self.where} answered {response.status_code}, a redirect{to}, which was "
            "refused; set "
            f"{self._variable} to the final address",
        )

    async def _build_refusal(self, response: httpx.Response, model: str) -> ProviderError:
        status = response.status_code
        answer = f"{self.who} at {self.where} answered {status}"
        body = "" if is_encoded(response.headers) else await _read_error_body(response)
        words = parse_error_words(body, secrets=self.secrets)
        if status == 404 and model and "model" in words and "not found" in words:
            pull = f"ollama pull {shlex.quote(safe_text(model, length_max=NAME_CHARS_MAX))}"
            there = "" if self._remedy else " there"
            return PermanentError("bad_request", f"{answer}: {words}. Get it with `{pull}`{there}")
        message = f"{answer}: {words}" if words else answer
        retry_after_s = parse_retry_after(response.headers, now=datetime.now(UTC))
        if retry_after_s is None:
            retry_after_s = find_wait(body, status)
        meaning = find_meaning(code="", kind="", words=words)
        return build_judged_error(status, message, meaning, retry_after_s=retry_after_s)

    def _check_headers(self, response: httpx.Response) -> None:
        # Servers and proxies send JSON lines under many types, or none: the lines decide.
        if "html" in response.headers.get("content-type", "").lower():
            raise TransientError(
                "protocol",
                f"{self.who} at {self.where} answered with an HTML page instead of JSON; is "
                f"{self._variable} the address of an Ollama server?",
            )
        if is_encoded(response.headers):
            raise TransientError(
                "protocol",
                f"{self.who} at {self.where} compressed its reply, although the request forbids that",
            )

    def _describe_timeout(self, error: httpx.TimeoutException, timeout_s: float) -> str:
        if isinstance(error, httpx.ConnectTimeout):
            waited = duration_text(timeout_s)
            return f"{self.who} at {self.where} did not accept a connection within {waited}"
        return (
            f"{self.who} at {self.where} sent nothing for {duration_text(timeout_s)}; a large "
            f"model may still be loading: {LONGER}"
        )

    def _build_connection_error(
        self, error: httpx.RequestError, *, answered: bool
    ) -> ProviderError:
        for cause in find_causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = safe_text(cause.verify_message)
                return PermanentError(
                    "environment",
                    f"the certificate of {self.who} at {self.where} is not trusted ({why}); "
                    "correct the address, or let this machine trust the certificate",
                )
        if answered:
            return TransientError(
                "protocol" if isinstance(error, httpx.RemoteProtocolError) else "connection",
                f"{self.who} at {self.where} broke off during its reply",
            )
        # httpx raises one class for a server that closes the connection and for one that does
        # not speak HTTP; only the messages differ.
        gone = str(error).startswith("Server disconnected")
        if isinstance(error, httpx.RemoteProtocolError) and not gone:
            return TransientError(
                "protocol", f"the server at {self.where} does not speak HTTP; correct its address"
            )
        return TransientError(
            "connection",
            f"{self.who} does not answer at {self.where} ({describe_failure(error)}){self._remedy}",
            unsent=isinstance(error, httpx.ConnectError),
            absent=is_absent(error, self._url.host),
            not_ready=is_not_ready(error),
        )


async def _read_error_body(response: httpx.Response) -> str:
    """The start of the body, read without failing: it may be late or endless."""
    body = bytearray()
    with suppress(httpx.RequestError), trio.move_on_after(ERROR_BODY_WAIT_S):
        async with raw_chunks(response) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) >= ERROR_BODY_MAX_BYTES:
                    break
    return body[:ERROR_BODY_MAX_BYTES].decode("utf-8", "replace")


def _parse_base_url(text: str, variable: str) -> httpx.URL:
    """The checked URL. Raises PermanentError if no connection can be made to it."""
    try:
        url = httpx.URL(text)
        why = url_problem(url)
    except (httpx.InvalidURL, ValueError):
        why = "it is not a valid URL"
    if why:
        raise PermanentError(
            "environment", f"{variable} must look like {DEFAULT_BASE_URL}, but {why}"
        )
    return url


def _parse_host(location: str) -> str:
    try:
        return safe_text(httpx.URL(location).raw_host.decode("ascii"), length_max=NAME_CHARS_MAX)
    except (httpx.InvalidURL, ValueError):
        return ""
