"""Helpers for HTTP responses of model APIs: safe texts, Retry-After, status codes, strict JSON.

Pure functions that need no HTTP package: there are two, httpx for Ollama and httpx2 in the vendors'
packages. Each provider translates the exceptions of its own client.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from orc.ledger.scarcity import find_shortage
from orc.ledger.servers.addresses import is_loopback as is_loopback
from orc.ledger.wording import size_text
from orc.providers.errors import PermanentError, ProviderError, TransientError
from orc.providers.replies.failures import Meaning

WORDS_MAX = 300
ERROR_BODY_MAX_BYTES = 64 * 1024
LONGER = "raise `timeout` (or TIMEOUT_S) if it needs longer"
"""What to do where a server was silent for too long."""

_SCANNED_MAX = 64 * 1024
_NO_SERVER_YET = (502, 503)
"""What a server that starts, or a proxy before it, answers without saying why."""
_SECONDS = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)s?")
_MILLISECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?")
_PART_MIN = 6
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_OR_CONTROL = {"Cc", "Zl", "Zp"}


class Url(Protocol):
    """What the URLs of both packages have."""

    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int | None: ...
    @property
    def raw_host(self) -> bytes: ...
    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def query(self) -> bytes: ...
    @property
    def fragment(self) -> str: ...


def url_problem(url: Url) -> str:
    """Why no connection can be made to a base URL; empty if one can. Raises ValueError if it is none.

    The reason does not quote the URL, because it may contain a password.
    """
    # The resolver encodes the name this way; its UnicodeError would otherwise end a call.
    url.raw_host.decode("ascii").encode("idna")
    host = url.host
    if url.scheme not in ("http", "https"):
        return "it does not start with http:// or https://"
    if not host:
        return "it has no host"
    if url.port is not None and not 0 < url.port < 65536:
        return "its port is not between 1 and 65535"
    if url.query or url.fragment:
        return "it has a query or a fragment"
    return ""


def secrets_of(url: Url) -> tuple[str, ...]:
    """The password in a URL, as it is written and as it is sent."""
    if not url.password:
        return ()
    pair = f"{url.username}:{url.password}".encode()
    return (url.password, base64.b64encode(pair).decode("ascii"))


def encode_body(body: Mapping[str, Any]) -> bytes:
    """The body of a request as JSON. Raises PermanentError if JSON cannot hold it."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, TypeError, RecursionError) as error:
        raise PermanentError(
            "bad_request",
            f"the request cannot be written as JSON in UTF-8: {safe_text(str(error))}",
        ) from error


def is_encoded(headers: Mapping[str, str]) -> bool:
    """Whether the body of a response is compressed."""
    return headers.get("content-encoding", "identity").strip().lower() != "identity"


def verifier_of(scheme: str, host: str) -> ssl.SSLContext | bool:
    """What verifies the server at an address: `verify` of httpx. True reads the certificates.

    Reading them takes longer than a request to a server on this machine, and with plain HTTP none is
    used. The context has none, so that it would refuse every server.
    """
    if scheme == "http" and is_loopback(host):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return True


def safe_text(text: str, *, length_max: int = WORDS_MAX, secrets: tuple[str, ...] = ()) -> str:
    """A server's text made safe for a message: one line, at most `length_max` characters.

    Control characters become spaces. Bidi marks, invisible and unassigned characters and lone
    surrogates are removed. Each of `secrets` is masked.
    """
    kept = []
    for character in text[:_SCANNED_MAX]:
        category = unicodedata.category(character)
        if category in _LINE_OR_CONTROL:
            kept.append(" ")
        elif not category.startswith("C"):
            kept.append(character)
    line = " ".join("".join(kept).split())
    for secret in filter(None, secrets):
        line = _mask(line.replace(secret, "***"), secret)
    return line if len(line) <= length_max else line[: length_max - 3] + "..."


def _mask(line: str, secret: str) -> str:
    """The line without shortened forms of the secret, such as `sk-abc***xyz` in error messages."""
    words = line.split(" ")
    for index, word in enumerate(words):
        is_shortened = len(secret) >= _PART_MIN and any(mark in word for mark in ("**", "...", "…"))
        has_prefix = len(secret) > _PART_MIN and secret[:_PART_MIN] in word
        if has_prefix or (is_shortened and secret[:3] in word):
            words[index] = "***"
    return " ".join(words)


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD for each lone surrogate: JSON can escape them, UTF-8 cannot hold them."""
    return _SURROGATE.sub("\ufffd", text)


def parse_json(text: str) -> Any:
    """The value of a JSON text that a model wrote. Raises ValueError for any other text.

    Unlike `json.loads`, it refuses NaN, infinities, repeated keys and too deep nesting.
    """
    return _parse(text, parse_constant=_refuse_constant)


def parse_document(text: str) -> Any:
    """The value of a JSON text from a server. Raises ValueError for any other text.

    NaN and infinities are let through: servers write them in details such as speeds. A byte order
    mark is skipped.
    """
    return _parse(text.removeprefix("\ufeff"))


def _parse(text: str, **rules: Any) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, **rules)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_error_words(body: str, *, secrets: tuple[str, ...] = ()) -> str:
    """The error message in the body of a failed response, safe to show; may be empty.

    It reads `{"error": "..."}`, `{"error": {"message": "..."}}` and `{"message": "..."}`; for
    any other body, the message is the body itself.
    """
    try:
        document = parse_document(body)
    except ValueError:
        is_page = body.lstrip("\ufeff \t\r\n").startswith("<")
        return "an HTML page" if is_page else safe_text(body, secrets=secrets)
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    about = ""
    for key in ("error", "message"):
        if isinstance(document, dict) and key in document:
            about = _read_upstream(document) or about
            document = document[key]
    words = document if isinstance(document, str) else body
    return safe_text(f"{words} ({about})" if about else words, secrets=secrets)


def _read_upstream(document: dict[str, Any]) -> str:
    """What a router says about the failure of the server behind it: `metadata.raw`, `reasons`."""
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return ""
    if isinstance(reasons := metadata.get("reasons"), list) and reasons:
        return "flagged: " + ", ".join(str(reason) for reason in reasons[:5])
    raw = metadata.get("raw")
    return raw[:WORDS_MAX] if isinstance(raw, str) else ""


def parse_retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """The delay in seconds that `Retry-After` requests (RFC 9110, 10.2.3); None without one.

    `retry-after-ms`, in milliseconds, comes first. The header holds a number or a date. A date is
    compared with the response's `Date` header, because the server's clock may be wrong, or else with
    `now`. The result is not clamped; TransientError does that.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _MILLISECONDS.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "").strip()
    # A proxy may add a header of its own to that of the server.
    seconds = [_SECONDS.fullmatch(each.strip()) for each in value.split(",")]
    if all(seconds):
        return max(float(each[1]) for each in seconds if each is not None)
    until = _parse_date(value)
    if until is None:
        return None
    return (until - (_parse_date(headers.get("date", "")) or now)).total_seconds()


def build_status_error(
    status: int, message: str, *, retry_after_s: float | None = None
) -> ProviderError:
    """The error for a response without a success status; `message` must be safe to record."""
    match status:
        case 401 | 402 | 403:
            return PermanentError("auth", message)
        case 408:
            return TransientError("timeout", message, retry_after_s=retry_after_s)
        case 429:
            return TransientError("rate_limit", message, retry_after_s=retry_after_s)
        case _ if status >= 500 or status == 409:
            return TransientError("server_error", message, retry_after_s=retry_after_s)
        case _ if status >= 300:
            return PermanentError("bad_request", message)
    return TransientError("protocol", message)


def build_judged_error(
    status: int, message: str, meaning: Meaning | None, *, retry_after_s: float | None = None
) -> ProviderError:
    """The error by what the server says it means, or else by its status; `message` must be safe.

    A key that is wrong, and a limit on the rate, are said by the status: a prompt that is too long
    for a limit per minute is the one exception, because no wait helps.
    """
    match meaning:
        case "over_limit":
            return PermanentError("context_length", message)
        case "context_length" if status not in (401, 403, 408, 409, 429):
            return PermanentError("context_length", message)
        case "no_credit" if status != 401:
            return PermanentError("auth", message)
        case "refused" if status not in (401, 408, 409, 429):
            return PermanentError("refused", message)
        case "overloaded" | "loading" if status not in (401, 408, 429):
            return TransientError(
                "server_error",
                message,
                retry_after_s=retry_after_s,
                not_ready=meaning == "loading",
            )
        case None if status in _NO_SERVER_YET:
            return TransientError(
                "server_error", message, retry_after_s=retry_after_s, not_ready=True
            )
    return build_status_error(status, message, retry_after_s=retry_after_s)


class LineCutter:
    """Splits a body that arrives in chunks into lines, with limits for a line and for the body."""

    def __init__(self, *, line_max_bytes: int, body_max_bytes: int) -> None:
        self._line_max_bytes = line_max_bytes
        self._body_max_bytes = body_max_bytes
        self._body_bytes = 0
        self._kept = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes, without line feeds. Raises ValueError at a limit."""
        self._body_bytes += len(chunk)
        if self._body_bytes > self._body_max_bytes:
            raise ValueError(f"is longer than {size_text(self._body_max_bytes)}")
        *line_ends, rest = chunk.split(b"\n")
        lines = []
        for part in line_ends:
            self._keep(part)
            lines.append(self.cut())
        self._keep(rest)
        return lines

    def cut(self) -> bytes:
        """End the current line, even without a line feed, and return it."""
        line = bytes(self._kept)
        self._kept.clear()
        return line

    def _keep(self, part: bytes) -> None:
        if len(self._kept) + len(part) > self._line_max_bytes:
            raise ValueError(f"has a line of more than {size_text(self._line_max_bytes)}")
        self._kept += part


def find_causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all its causes and contexts, with the members of groups; each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        members = cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
        waiting += [cause.__cause__, cause.__context__, *members]


def describe_failure(error: BaseException) -> str:
    """Why a connection failed, in a few words that do not depend on the HTTP client."""
    for cause in find_causes(error):
        shortage = find_shortage(cause)
        if shortage is not None:
            return shortage
        match cause:
            case ConnectionRefusedError():
                return "connection refused"
            case ConnectionResetError():
                return "connection reset"
            case socket.gaierror():
                return "unknown host name"
            case ssl.SSLError():
                return "TLS failed"
    return "connection lost"


def is_absent(error: BaseException, host: str) -> bool:
    """Whether nothing listens at the address of this machine to which a connection failed."""
    refused = any(isinstance(cause, ConnectionRefusedError) for cause in find_causes(error))
    return refused and is_loopback(host)


def is_not_ready(error: BaseException) -> bool:
    """Whether a connection failed that a server which is starting may accept soon."""
    return not any(
        isinstance(cause, ssl.SSLError) or find_shortage(cause) is not None
        for cause in find_causes(error)
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it repeats a key")
    return found


def _parse_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
