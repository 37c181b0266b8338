"""Ollama's chat API, over httpx: one POST to /api/chat, answered as a stream of JSON lines.

What the server sends is taken for hostile: redirects are refused, and so is
compression (a small gzip body can unfold to any size); `providers.ollama_reply`
reads the body. Which parameters a step may use, and whether to try again, is
left to the scheduler.
"""

from __future__ import annotations

import base64
import json
import shlex
import ssl
from collections.abc import Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import trio

from providers.contract import Message, OnDelta, Provider, Reply, Request
from providers.errors import PermanentError, ProviderError, TransientError
from providers.http import (
    ERROR_BODY_MAX_BYTES,
    build_status_error,
    describe_failure,
    find_causes,
    is_loopback,
    parse_error_words,
    parse_retry_after,
    safe_text,
)
from providers.ollama_reply import raw_chunks, read_reply

DEFAULT_BASE_URL = "http://localhost:11434"
ERROR_BODY_WAIT_S = 5.0

_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "num_predict",
    "stop": "stop",
    "seed": "seed",
}
_CONTENT_TYPES = ("application/x-ndjson", "application/json")
_HEADERS = {
    "accept": ", ".join(_CONTENT_TYPES),
    "accept-encoding": "identity",
    "content-type": "application/json",
}
_NAME_MAX = 200


def build(environment: Mapping[str, str]) -> Provider:
    """An Ollama at `OLLAMA_BASE_URL`; raises PermanentError where that is no usable URL."""
    return Ollama(environment.get("OLLAMA_BASE_URL", "").strip() or DEFAULT_BASE_URL)


class Ollama:
    """A server of Ollama's; credentials in its URL are sent to it and shown nowhere."""

    name = "ollama"
    params = frozenset(_OPTIONS)

    def __init__(self, base_url: str = DEFAULT_BASE_URL) -> None:
        url = _parse_base_url(base_url)
        path = url.path.rstrip("/")
        self._url = url.copy_with(path=f"{path}/api/chat")
        self._where = f"{url.scheme}://{url.netloc.decode('ascii')}{safe_text(path)}"
        self._secrets = _secrets_of(url)
        self._client: httpx.AsyncClient | None = None
        self._closed = False

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """See `Provider.send`."""
        body = _build_body(request)
        client = self._open_client()
        answered = False
        try:
            async with client.stream(
                "POST", self._url, content=body, headers=_HEADERS, timeout=request.timeout_s
            ) as response:
                answered = True
                if response.status_code != 200:
                    raise await self._build_refusal(response, request)
                self._check_headers(response)
                return await read_reply(response, request, on_delta, secrets=self._secrets)
        except httpx.TimeoutException as error:
            raise TransientError("timeout", self._describe_timeout(error, request)) from error
        except httpx.RequestError as error:
            raise self._build_connection_error(error, answered=answered) from error

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        self._closed = True
        if self._client is not None:
            await self._client.aclose()

    def _open_client(self) -> httpx.AsyncClient:
        if self._closed:
            raise PermanentError("environment", f"the provider of {self._where} is closed")
        if self._client is None:
            # The scheduler bounds how many calls run at once: a second bound here
            # would make calls wait in a pool, and count that as the server's silence.
            # A proxy never stands between this machine and itself.
            self._client = httpx.AsyncClient(
                follow_redirects=False,
                event_hooks={"response": [self._refuse_redirect]},
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                trust_env=not is_loopback(self._url.host),
            )
        return self._client

    async def _refuse_redirect(self, response: httpx.Response) -> None:
        """A hook, since httpx parses `Location` even if it does not follow, and fails over it."""
        if not 300 <= response.status_code < 400:
            return
        target = _parse_host(response.headers.get("location", ""))
        to = f" to {target}" if target else ""
        raise PermanentError(
            "bad_request",
            f"Ollama at {self._where} answered {response.status_code}, a redirect{to}, which was "
            "refused; set OLLAMA_BASE_URL to the address that answers itself",
        )

    async def _build_refusal(self, response: httpx.Response, request: Request) -> ProviderError:
        status = response.status_code
        answer = f"Ollama at {self._where} answered {status}"
        words = await self._read_error_words(response)
        if status == 404 and "model" in words and "not found" in words:
            pull = f"ollama pull {shlex.quote(safe_text(request.model, length_max=_NAME_MAX))}"
            return PermanentError("bad_request", f"{answer}: {words}. Get it with `{pull}`")
        retry_after_s = parse_retry_after(response.headers, now=datetime.now(UTC))
        message = f"{answer}: {words}" if words else answer
        return build_status_error(status, message, retry_after_s=retry_after_s)

    async def _read_error_words(self, response: httpx.Response) -> str:
        """The status already tells the failure: its body may be late, cut or endless."""
        if _is_encoded(response):
            return ""
        body = bytearray()
        with suppress(httpx.RequestError), trio.move_on_after(ERROR_BODY_WAIT_S):
            async with aclosing(raw_chunks(response)) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) >= ERROR_BODY_MAX_BYTES:
                        break
        text = body[:ERROR_BODY_MAX_BYTES].decode("utf-8", "replace")
        return parse_error_words(text, secrets=self._secrets)

    def _check_headers(self, response: httpx.Response) -> None:
        content_type = response.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() not in _CONTENT_TYPES:
            shown = safe_text(content_type, length_max=80, secrets=self._secrets)
            raise TransientError(
                "protocol",
                f"Ollama at {self._where} answered with {shown or 'no content type'} in place of "
                "JSON lines; is OLLAMA_BASE_URL the address of an Ollama?",
            )
        if _is_encoded(response):
            raise TransientError(
                "protocol", f"Ollama at {self._where} compressed its reply, which was not asked for"
            )

    def _describe_timeout(self, error: httpx.TimeoutException, request: Request) -> str:
        if isinstance(error, httpx.ConnectTimeout):
            return f"Ollama at {self._where} took no connection within {request.timeout_s:g} s"
        return (
            f"Ollama at {self._where} sent nothing for {request.timeout_s:g} s; a large model may "
            "still be loading: raise TIMEOUT_S if it needs longer"
        )

    def _build_connection_error(
        self, error: httpx.RequestError, *, answered: bool
    ) -> ProviderError:
        for cause in find_causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = safe_text(cause.verify_message)
                return PermanentError(
                    "environment",
                    f"the certificate of Ollama at {self._where} is not trusted ({why})",
                )
        if answered:
            return TransientError(
                "protocol" if isinstance(error, httpx.RemoteProtocolError) else "connection",
                f"Ollama at {self._where} broke off in the middle of its reply",
            )
        # h11 and httpcore give one class both to a peer that closes without a word
        # and to one that does not speak HTTP; only their words differ.
        gone = str(error).startswith("Server disconnected")
        if isinstance(error, httpx.RemoteProtocolError) and not gone:
            return TransientError("protocol", f"what answers at {self._where} does not speak HTTP")
        return TransientError(
            "connection",
            f"Ollama does not answer at {self._where} ({describe_failure(error)}). Start it with "
            "`ollama serve`, or run the recorded replies: `orc run SPEC --provider replay`",
        )


def _parse_base_url(text: str) -> httpx.URL:
    """The URL, checked as far as a name or number that no socket takes.

    The messages do not quote the text: it may hold a password in any place.
    """
    try:
        url = httpx.URL(text)
        # What the resolver will do; its UnicodeError would come in mid-call.
        url.raw_host.decode("ascii").encode("idna")
        host = url.host
    except (httpx.InvalidURL, ValueError):
        raise _build_url_error("it is no URL") from None
    if url.scheme not in ("http", "https"):
        raise _build_url_error("it does not start with http:// or https://")
    if not host:
        raise _build_url_error("it names no host")
    if url.port is not None and not 0 < url.port < 65536:
        raise _build_url_error("its port is not between 1 and 65535")
    if url.query or url.fragment:
        raise _build_url_error("it has a query or a fragment")
    return url


def _build_url_error(why: str) -> PermanentError:
    return PermanentError(
        "environment", f"OLLAMA_BASE_URL must look like {DEFAULT_BASE_URL}, and {why}"
    )


def _secrets_of(url: httpx.URL) -> tuple[str, ...]:
    if not url.password:
        return ()
    pair = f"{url.username}:{url.password}".encode()
    return (url.password, base64.b64encode(pair).decode("ascii"))


def _parse_host(location: str) -> str:
    try:
        return safe_text(httpx.URL(location).raw_host.decode("ascii"), length_max=_NAME_MAX)
    except (httpx.InvalidURL, ValueError):
        return ""


def _is_encoded(response: httpx.Response) -> bool:
    encoding: str = response.headers.get("content-encoding", "identity")
    return encoding.strip().lower() != "identity"


def _build_body(request: Request) -> bytes:
    unknown = sorted(set(request.params) - set(_OPTIONS))
    if unknown:
        raise PermanentError(
            "bad_request", f"Ollama has no parameter {unknown[0]!r}; it has {', '.join(_OPTIONS)}"
        )
    system = [] if request.system is None else [{"role": "system", "content": request.system}]
    messages = [*system, *map(_build_message, request.messages)]
    if not messages:
        # Ollama answers an empty conversation with the loading of the model.
        raise PermanentError("bad_request", "a request to Ollama needs a message")
    body: dict[str, Any] = {"model": request.model, "messages": messages, "stream": True}
    if request.params:
        body["options"] = _build_options(request.params)
    if request.json_output:
        body["format"] = "json"
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, TypeError, RecursionError) as error:
        raise PermanentError(
            "bad_request",
            f"the request cannot be written as JSON in UTF-8: {safe_text(str(error))}",
        ) from error


def _build_options(params: Mapping[str, Any]) -> dict[str, Any]:
    options = {_OPTIONS[name]: value for name, value in params.items()}
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    return options


def _build_message(message: Message) -> dict[str, Any]:
    content = message.get("content", "")
    built: dict[str, Any] = {"role": message["role"], "content": content}
    if isinstance(content, str):
        return built
    texts, images = [], []
    for part in content:
        if part["type"] == "text":
            texts.append(part["text"])
        elif part["type"] == "image":
            images.append(part["data"])
        else:
            kind = safe_text(str(part["type"]), length_max=80)
            raise PermanentError("bad_request", f"Ollama takes no part of type {kind!r}")
    built["content"] = "\n".join(texts)
    if images:
        built["images"] = images
    return built
