"""Reads the forms with which a person decides, scores and acts: only those of this server's pages."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from datasette.utils.asgi import Response

from orc.ledger.errors import LedgerError, NoSuchJob
from orc.ledger.wording import visible
from orc.projections.pages.decisions import RequestRefused
from orc.projections.pages.views import PageRequest, open_reader, page_request_of

BODY_BYTES_MAX = 100_000
FIELDS_MAX = 2_000
COOKIE = "ds_csrftoken"


class SentForm(dict[str, str]):
    """The fields of a form by their names; of several with one name, the last."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = tuple(pairs)
        super().__init__(self._pairs)

    def all(self, name: str) -> list[str]:
        """The values of all fields with this name."""
        return [value for given, value in self._pairs if given == name]


Take = Callable[[PageRequest, str, SentForm], Awaitable[Any]]
"""Does what a form for the job with that id says, and makes the response. Raises RequestRefused."""


async def take_form(take: Take, request: Any, datasette: Any, name: str) -> Any:
    """The response to a form, or a short text for a request that no page of this server sends."""
    page_request = page_request_of(request, datasette, name)
    try:
        job_id = await asyncio.to_thread(_find_job, page_request)
        return await take(page_request, job_id, await _read_form(request))
    except NoSuchJob as error:
        return _plain(visible(str(error)), status=404)
    except RequestRefused as refusal:
        return _plain(visible(str(refusal)), status=refusal.status)
    except LedgerError as error:
        return _plain(visible(str(error)), status=503)


def person_text(form: SentForm, name: str) -> str | None:
    """A text that a person typed into a form, without spaces around it; None if there is none."""
    return form.get(name, "").strip().replace("\r\n", "\n") or None


def _find_job(page_request: PageRequest) -> str:
    """The job in the address; empty if the page is of none."""
    if "job" not in page_request.names:
        return ""
    with open_reader(page_request.database) as reader:
        return str(reader.find_job(page_request.names["job"]))


async def _read_form(request: Any) -> SentForm:
    """The fields of a form of this server's page. Raises RequestRefused for other requests."""
    _refuse_foreign(request)
    body = (await _read_body(request)).decode("utf-8", "replace")
    try:
        # An empty field is kept: a person may have emptied it.
        form = SentForm(parse_qsl(body, keep_blank_values=True, max_num_fields=FIELDS_MAX))
    except ValueError as error:
        raise RequestRefused("the form has too many fields", status=413) from error
    cookie = request.cookies.get(COOKIE, "")
    # Datasette makes a new token if it did not sign the cookie's, and checks no token if a
    # request has no cookie or an `Authorization: Bearer` header. So both are checked here.
    expected = request.scope["csrftoken"]()
    given = form.get("csrftoken", "")
    for token in (cookie, given):
        if not secrets.compare_digest(token.encode(), expected.encode()):
            raise RequestRefused(
                "this form does not come from this server, or the server was restarted: "
                "reload the page and send it again",
                status=403,
            )
    return form


def _refuse_foreign(request: Any) -> None:
    """Raise RequestRefused for a request that no form on a page of this server sends."""
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        raise RequestRefused("this form does not come from this server", status=403)
    if origin != f"{request.scheme}://{request.host}" and not (origin is None and site):
        raise RequestRefused("this form does not come from this server", status=403)
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise RequestRefused("this must be sent as a form", status=415)


async def _read_body(request: Any) -> bytes:
    body = b""
    while True:
        message = await request.receive()
        body += bytes(message.get("body", b""))
        if len(body) > BODY_BYTES_MAX:
            raise RequestRefused("the text is too long; shorten it", status=413)
        if not message.get("more_body"):
            return body


def _plain(message: str, *, status: int) -> Any:
    return Response.text(f"{message}\n", status=status)
