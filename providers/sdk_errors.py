"""What the failures of a vendor's API become: statuses, error events, what httpx2 and an SDK raise.

Nothing is read or sent here. No message, and no exception that is handed on, holds
a key: an SDK's exceptions do (they keep their request), so they end here.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx2

from orc.ledger.wording import duration_text
from orc.providers.errors import PermanentError, PermanentKind, ProviderError, TransientError
from orc.providers.http import (
    build_status_error,
    describe_failure,
    find_causes,
    parse_error_words,
    parse_json,
    parse_retry_after,
    safe_text,
)

NAME_MAX = 200

_STATUS = re.compile("[45][0-9][0-9]")
_MILLISECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?")
_JUDGED_BY_STATUS = (401, 403, 408, 409, 429)


@dataclass(frozen=True, slots=True)
class Said:
    """What an API says of a failure: `code` and `type` to compare, `words` safe to show."""

    words: str
    code: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Api:
    """What tells one vendor's API from another's.

    `statuses` gives the status that a code or type of error stands for in mid-stream,
    where there is none. `recognise` gives the kind of a failure whose status does
    not tell it: not every server has a status for a prompt that is too long.
    """

    name: str
    default_url: str
    url_variable: str
    key_variable: str
    statuses: Mapping[str, int]
    recognise: Callable[[Said], PermanentKind | None]


class BrokenOff(TransientError):
    """The peer fell silent or left in the middle of its answer."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Builds the errors of one API at one address; `secrets` are masked wherever it is quoted."""

    api: Api
    endpoint: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def show(self, text: str) -> str:
        """A name that the server chose, fit to be recorded and shown."""
        return safe_text(text, length_max=NAME_MAX, secrets=self.secrets)

    def build_protocol_error(self, what: str) -> TransientError:
        """The error of an answer that is none: `what` continues "OpenAI's reply ..."."""
        return TransientError("protocol", f"{self.api.name}'s reply {what}")

    def build_event_error(self, document: object) -> ProviderError:
        """The error that an API reports in mid-stream, after a status of success."""
        said = self._parse_said(document if isinstance(document, str) else _write_json(document))
        status = self.api.statuses.get(said.code) or self.api.statuses.get(said.type) or 500
        if _STATUS.fullmatch(said.code):
            status = int(said.code)
        words = f": {said.words}" if said.words else ""
        return self._build_error(status, f"{self._who} failed in mid-reply{words}", said)

    def build_status_error(
        self, status: int, headers: Mapping[str, str], body: str
    ) -> ProviderError:
        """The error of an answer whose status is none of success."""
        said = self._parse_said(body)
        words = f": {said.words}" if said.words else ""
        hint = ""
        if status in (401, 403):
            hint = f" (is {self.api.key_variable} right?)"
        elif status == 404:
            hint = f" (are the model's name and {self.api.url_variable} right?)"
        message = f"{self._who} answered {status}{words}{hint}"
        return self._build_error(status, message, said, retry_after_s=_parse_wait(headers))

    def build_redirect_error(self, status: int, location: str) -> PermanentError:
        """The error of an answer that names another place, where a key must not follow."""
        target = _parse_host(location)
        to = f" to {self.show(target)}" if target else ""
        return PermanentError(
            "bad_request",
            f"{self._who} answered {status}, a redirect{to}, which was refused; set "
            f"{self.api.url_variable} to the address that answers itself",
        )

    def build_broken_off(self, error: Exception, request: httpx2.Request) -> BrokenOff:
        """The error of an answer that has begun, and whose bytes fail to come."""
        if isinstance(error, httpx2.TimeoutException):
            return BrokenOff("timeout", self._describe_silence(request))
        return BrokenOff(
            "protocol" if isinstance(error, httpx2.RemoteProtocolError) else "connection",
            f"{self._who} broke off in the middle of its reply",
        )

    def translate(self, error: Exception) -> ProviderError:
        """The error for whatever came out of an SDK; to be raised `from None`."""
        for found in (error, error.__cause__):
            if isinstance(found, ProviderError):
                return found
            if isinstance(found, httpx2.RequestError):
                return self._build_connection_error(found)
        # Both SDKs' APIError has a body: of an error event, or none of a failed connection.
        if hasattr(error, "body"):
            if error.body is None:
                return self._build_connection_error(error)
            return self.build_event_error(error.body)
        # json and pydantic raise ValueErrors, and the SDKs themselves stumble over JSON
        # of another shape, with whatever comes of that.
        return self.build_protocol_error(f"is not what its API describes ({type(error).__name__})")

    @property
    def _who(self) -> str:
        return f"{self.api.name} at {self.endpoint}"

    def _describe_silence(self, request: httpx2.Request) -> str:
        waited = duration_text(request.extensions["timeout"]["read"])
        return f"{self._who} sent nothing for {waited}; raise TIMEOUT_S if it needs longer"

    def _parse_said(self, body: str) -> Said:
        words = parse_error_words(body, secrets=self.secrets)
        try:
            document = parse_json(body)
        except ValueError:
            return Said(words)
        while isinstance(document, dict) and isinstance(document.get("error"), dict):
            document = document["error"]
        if not isinstance(document, dict):
            return Said(words)
        return Said(words, code=_read_word(document, "code"), type=_read_word(document, "type"))

    def _build_error(
        self, status: int, message: str, said: Said, *, retry_after_s: float | None = None
    ) -> ProviderError:
        kind = self.api.recognise(said)
        if kind is not None and status not in _JUDGED_BY_STATUS:
            return PermanentError(kind, message)
        return build_status_error(status, message, retry_after_s=retry_after_s)

    def _build_connection_error(self, error: Exception) -> ProviderError:
        """The error of a connection that brought no answer."""
        for cause in find_causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = safe_text(cause.verify_message)
                return PermanentError(
                    "environment", f"the certificate of {self._who} is not trusted ({why})"
                )
        if isinstance(error, httpx2.ConnectTimeout):
            message = f"{self._who} took no connection in time"
            return TransientError("timeout", message, unsent=True)
        if isinstance(error, httpx2.TimeoutException):
            return TransientError("timeout", self._describe_silence(error.request))
        # One class stands both for a peer that closes without a word and for one that
        # does not speak HTTP; only their words differ.
        gone = str(error).startswith("Server disconnected")
        if isinstance(error, httpx2.RemoteProtocolError) and not gone:
            return TransientError(
                "protocol", f"what answers at {self.endpoint} does not speak HTTP"
            )
        return TransientError(
            "connection",
            f"{self._who} does not answer ({describe_failure(error)})",
            unsent=isinstance(error, httpx2.ConnectError),
        )


def _write_json(document: object) -> str:
    try:
        return json.dumps(document)
    except (ValueError, TypeError, RecursionError):
        return ""


def _read_word(document: Mapping[str, object], key: str) -> str:
    word = document.get(key)
    return str(word) if isinstance(word, str | int) else ""


def _parse_wait(headers: Mapping[str, str]) -> float | None:
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _MILLISECONDS.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    return parse_retry_after(headers, now=datetime.now(UTC))


def _parse_host(location: str) -> str:
    try:
        return httpx2.URL(location).raw_host.decode("ascii")
    except (httpx2.InvalidURL, ValueError):
        return ""
