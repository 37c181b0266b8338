"""Translates the failures of a vendor's API (statuses, error events, exceptions) to this package's.

This module reads and sends nothing. An SDK's exceptions contain the request with its key, so they
are never chained: no message or exception that leaves this module contains a key.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx2
from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.scarcity import find_shortage
from orc.ledger.wording import duration_text
from orc.providers.contract import Server
from orc.providers.errors import PermanentError, ProviderError, TransientError
from orc.providers.http import (
    LONGER,
    build_judged_error,
    describe_failure,
    find_causes,
    is_absent,
    is_not_ready,
    parse_document,
    parse_error_words,
    parse_retry_after,
    safe_text,
)
from orc.providers.replies.failures import find_meaning, find_wait
from orc.providers.reply_bounds import NAME_CHARS_MAX

_STATUS = re.compile("[45][0-9][0-9]")


class ErrorReport(Struct, frozen=True):
    """An API's description of a failure: `code` and `type` to compare, `words` safe to show."""

    words: str
    code: str = ""
    type: str = ""


class Api(Struct, frozen=True):
    """The facts about one vendor's API.

    `statuses` maps the codes and types of error events to the HTTP status with the same meaning.
    What a failure means apart from its status is left to `orc.providers.replies.failures`.
    """

    name: str
    default_url: str
    url_variable: str
    key_variable: str
    statuses: Mapping[str, int]


def api_of(api: Api, server: Server) -> Api:
    """The API of a named server: messages have its name and that of its key's variable."""
    return replace(
        api,
        name=server.name,
        url_variable=f"servers.{server.name}.base_url",
        key_variable=server.key_variable or f"servers.{server.name}.key",
    )


class BrokenOff(TransientError):
    """The server stopped sending or closed the connection during its response."""


class Failures(Struct, frozen=True):
    """Builds the errors of one API at one address; `secrets` are masked in all quoted texts."""

    api: Api
    endpoint: str
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Failures(api={self.api!r}, endpoint={self.endpoint!r})"

    def show(self, text: str) -> str:
        """A name from the server, safe to record and show."""
        return safe_text(text, length_max=NAME_CHARS_MAX, secrets=self.secrets)

    def build_protocol_error(self, what: str) -> TransientError:
        """The error for an invalid reply; `what` continues the sentence "OpenAI's reply ..."."""
        return TransientError("protocol", f"{self.api.name}'s reply {what}")

    def build_event_error(self, document: object) -> ProviderError:
        """The error for an error event in a stream, after a success status."""
        body = document if isinstance(document, str) else _write_json(document)
        report = self._parse_report(body)
        status = self.api.statuses.get(report.code) or self.api.statuses.get(report.type) or 500
        if _STATUS.fullmatch(report.code):
            status = int(report.code)
        words = f": {report.words}" if report.words else ""
        message = f"{self._who} failed during its reply{words}"
        return self._build_error(status, message, report, retry_after_s=find_wait(body, status))

    def build_status_error(
        self, status: int, headers: Mapping[str, str], body: str, *, is_batch: bool = False
    ) -> ProviderError:
        """The error for a response without a success status; `is_batch`: to a request for batches."""
        report = self._parse_report(body)
        words = f": {report.words}" if report.words else ""
        hint = ""
        meaning = find_meaning(code=report.code, kind=report.type, words=report.words)
        if status in (401, 403) and meaning is None:
            hint = f" (is {self.api.key_variable} right?)"
        elif is_batch and status in (404, 405):
            hint = f" (does the server take batches, and is {self.api.url_variable} right?)"
        elif status == 404:
            hint = f" (are the model's name and {self.api.url_variable} right?)"
        message = f"{self._who} answered {status}{words}{hint}"
        wait_s = parse_retry_after(headers, now=datetime.now(UTC))
        if wait_s is None:
            wait_s = find_wait(body, status)
        return self._build_error(status, message, report, retry_after_s=wait_s)

    def build_redirect_error(self, status: int, location: str) -> PermanentError:
        """The error for a redirect. It is not followed, so that the key stays with the server."""
        target = _parse_host(location)
        to = f" to {self.show(target)}" if target else ""
        return PermanentError(
            "bad_request",
            f"{self._who} answered {status}, a redirect{to}, which was refused; set "
            f"{self.api.url_variable} to the final address",
        )

    def build_broken_off(self, error: Exception, request: httpx2.Request) -> BrokenOff:
        """The error for a response that started and then failed."""
        if isinstance(error, httpx2.TimeoutException):
            return BrokenOff("timeout", self._describe_silence(request))
        return BrokenOff(
            "protocol" if isinstance(error, httpx2.RemoteProtocolError) else "connection",
            f"{self._who} broke off during its reply",
        )

    def translate(self, error: Exception) -> ProviderError:
        """The error for any exception of an SDK. The caller must raise it `from None`."""
        for found in (error, error.__cause__):
            if isinstance(found, ProviderError):
                return found
            if isinstance(found, httpx2.RequestError):
                return self._build_connection_error(found)
        # APIError of both SDKs has a `body`: that of an error event, or None if the connection
        # failed.
        if hasattr(error, "body"):
            if error.body is None:
                return self._build_connection_error(error)
            return self.build_event_error(error.body)
        shortage = find_shortage(error)
        if shortage is not None:
            return TransientError("connection", f"{self._who} cannot be reached: {shortage}")
        # json and pydantic raise ValueError, and the SDKs can raise any exception for JSON of an
        # unexpected shape.
        return self.build_protocol_error(f"does not follow its API ({type(error).__name__})")

    @property
    def _who(self) -> str:
        return f"{self.api.name} at {self.endpoint}"

    def _describe_silence(self, request: httpx2.Request) -> str:
        waited = duration_text(request.extensions["timeout"]["read"])
        return f"{self._who} sent nothing for {waited}; {LONGER}"

    def _parse_report(self, body: str) -> ErrorReport:
        words = parse_error_words(body, secrets=self.secrets)
        try:
            document = parse_document(body)
        except ValueError:
            return ErrorReport(words)
        if isinstance(document, list) and document:
            document = document[0]
        while isinstance(document, dict) and isinstance(document.get("error"), dict):
            document = document["error"]
        if not isinstance(document, dict):
            return ErrorReport(words)
        kind = _read_word(document, "type") or _read_word(document, "status")
        if kind.isdigit():
            kind = ""
        inner = document.get("innererror")
        code = _read_word(inner, "code") if isinstance(inner, dict) else ""
        return ErrorReport(words, code=code or _read_word(document, "code"), type=kind)

    def _build_error(
        self, status: int, message: str, report: ErrorReport, *, retry_after_s: float | None = None
    ) -> ProviderError:
        return build_judged_error(
            status,
            message,
            find_meaning(code=report.code, kind=report.type, words=report.words),
            retry_after_s=retry_after_s,
        )

    def _build_connection_error(self, error: Exception) -> ProviderError:
        """The error for a connection without a response."""
        for cause in find_causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = safe_text(cause.verify_message)
                return PermanentError(
                    "environment",
                    f"the certificate of {self._who} is not trusted ({why}); "
                    "correct its address, or let this machine trust the certificate",
                )
        if isinstance(error, httpx2.ConnectTimeout):
            message = f"{self._who} did not accept a connection in time; check its address"
            return TransientError("timeout", message, unsent=True)
        if isinstance(error, httpx2.TimeoutException):
            return TransientError("timeout", self._describe_silence(error.request))
        # httpx2 raises one class for a server that closes the connection and for one that does
        # not speak HTTP; only the messages differ.
        gone = str(error).startswith("Server disconnected")
        if isinstance(error, httpx2.RemoteProtocolError) and not gone:
            return TransientError(
                "protocol",
                f"the server at {self.endpoint} does not speak HTTP; correct its address",
            )
        return TransientError(
            "connection",
            f"{self._who} does not answer ({describe_failure(error)}); "
            "check that it runs, and its address",
            unsent=isinstance(error, httpx2.ConnectError),
            absent=is_absent(error, httpx2.URL(self.endpoint).host),
            not_ready=is_not_ready(error),
        )


def _write_json(document: object) -> str:
    try:
        return json.dumps(document)
    except (ValueError, TypeError, RecursionError):
        return ""


def _read_word(document: Mapping[str, object], key: str) -> str:
    word = document.get(key)
    return str(word) if isinstance(word, str | int) else ""


def _parse_host(location: str) -> str:
    try:
        return httpx2.URL(location).raw_host.decode("ascii")
    except (httpx2.InvalidURL, ValueError):
        return ""
