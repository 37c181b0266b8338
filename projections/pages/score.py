"""The form with which a person scores a result, if the server allows it: `/-/orc/<ledger>/score/<job>`.

The pages of steps and results have the form; this page has it again if a score was refused.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl

from datasette.utils import tilde_decode
from datasette.utils.asgi import Response

from orc.ledger.reader import LedgerReader
from orc.projections.pages.decisions import RequestRefused, ScoreRequest, functions_of
from orc.projections.pages.forms import SentForm, person_text, take_form
from orc.projections.pages.links import Links
from orc.projections.pages.views import PageRequest, answer, html, open_reader

_OF_RESULTS = ("score", "rows", "columns", "show", "low", "high", "q", "sort", "by")
"""What a query of the page of results may have, besides the opened step."""


async def score_page(request: Any, datasette: Any, name: str) -> Any:
    """The form for one step; a POST records the score and leads back to the page with the form."""
    if request.method != "POST":
        return await answer(_shown, request, datasette, name)

    async def take(page_request: PageRequest, job_id: str, form: SentForm) -> Any:
        wanted = ScoreRequest(
            job_id,
            tilde_decode(form.get("step", "")),
            form.get("name", "").strip(),
            form.get("value", "").strip(),
            person_text(form, "why"),
        )
        back = form.get("back", "")
        try:
            await asyncio.to_thread(functions_of(datasette).score, wanted)
        except RequestRefused as refusal:
            return await asyncio.to_thread(_refused, page_request, wanted, back, refusal)
        return Response.redirect(_way_back(page_request.links, wanted, back), status=303)

    return await take_form(take, request, datasette, name)


def _shown(reader: LedgerReader, page_request: PageRequest) -> Any:
    job_id = str(reader.find_job(page_request.names["job"]))
    empty = ScoreRequest(job_id, page_request.query.get("step", ""), "", "", None)
    return _page(page_request, empty, "", None)


def _refused(
    page_request: PageRequest, wanted: ScoreRequest, back: str, refusal: RequestRefused
) -> Any:
    with open_reader(page_request.database):
        return _page(page_request, wanted, back, refusal)


def _page(
    page_request: PageRequest, typed: ScoreRequest, back: str, refusal: RequestRefused | None
) -> Any:
    values = {
        "typed": typed,
        "back": back,
        "refusal": None if refusal is None else str(refusal),
    }
    status = 200 if refusal is None else refusal.status
    return html("score.html", page_request, values, status=status, cache="private, no-store")


def _way_back(links: Links, wanted: ScoreRequest, back: str) -> str:
    """The page that had the form; `back` is the query of the page of results, or empty."""
    if not back:
        return f"{links.step(wanted.job_id, wanted.step)}#scores-title"
    given = dict(parse_qsl(back))
    query = {name: given[name] for name in _OF_RESULTS if name in given}
    return f"{links.results(wanted.job_id, **query, open=wanted.step)}#opened"
