"""The pages of the specs that may be started: `/-/orc/<ledger>/specs`, and one with a form for each."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from datasette.utils.asgi import Response

from orc.ledger.reader import LedgerReader
from orc.projections.pages.acting.act import new_once, typed_inputs
from orc.projections.pages.actions import PageActions, StartRequest
from orc.projections.pages.decisions import RequestRefused
from orc.projections.pages.forms import SentForm, take_form
from orc.projections.pages.views import PageNotFound, PageRequest, answer, html, open_reader


async def specs_page(request: Any, datasette: Any, name: str, actions: PageActions) -> Any:
    """The list of specs."""
    return await answer(partial(_list, actions), request, datasette, name)


async def spec_page(request: Any, datasette: Any, name: str, actions: PageActions) -> Any:
    """The form of a spec; a POST starts it and leads to the page of the new job."""
    if request.method != "POST":
        return await answer(partial(_shown, actions), request, datasette, name)

    async def take(page_request: PageRequest, job_id: str, form: SentForm) -> Any:
        provider = form.get("provider", "").strip() or None
        spec, once = page_request.names["spec"], form.get("once", "")
        wanted = StartRequest(spec, typed_inputs(form), provider, once)
        try:
            new = await asyncio.to_thread(actions.start, wanted)
        except RequestRefused as refusal:
            return await asyncio.to_thread(_refused, actions, page_request, form, refusal)
        return Response.redirect(page_request.links.job(new), status=303)

    return await take_form(take, request, datasette, name)


def _list(actions: PageActions, reader: LedgerReader, page_request: PageRequest) -> Any:
    return html("specs.html", page_request, {"specs": actions.list_specs()})


def _shown(actions: PageActions, reader: LedgerReader, page_request: PageRequest) -> Any:
    try:
        return _page(actions, page_request, SentForm(()), None)
    except RequestRefused as refusal:
        raise PageNotFound(str(refusal)) from refusal


def _refused(
    actions: PageActions, page_request: PageRequest, form: SentForm, refusal: RequestRefused
) -> Any:
    with open_reader(page_request.database):
        return _page(actions, page_request, form, refusal)


def _page(
    actions: PageActions, page_request: PageRequest, form: SentForm, refusal: RequestRefused | None
) -> Any:
    values = {
        "spec": actions.spec_form(page_request.names["spec"]),
        "typed": typed_inputs(form),
        "provider": form.get("provider", ""),
        "once": form.get("once", "") or new_once(),
        "refusal": refusal,
    }
    status = 200 if refusal is None else refusal.status
    return html("spec.html", page_request, values, status=status, cache="private, no-store")
