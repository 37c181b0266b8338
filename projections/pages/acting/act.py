"""The page with the actions of a job: `/-/orc/<ledger>/act/<job>`. A POST does one of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from datasette.utils import tilde_decode
from datasette.utils.asgi import Response

from orc.ledger.reader import LedgerReader
from orc.projections.pages.actions import ForkRequest, InputField, PageActions
from orc.projections.pages.decisions import RequestRefused
from orc.projections.pages.forms import SentForm, person_text, take_form
from orc.projections.pages.runs import can_do, runner_note
from orc.projections.pages.views import PageRequest, answer, html, open_reader
from orc.projections.tables.job_view import JobView, read_view
from orc.projections.tables.status import shown_status

STEPS_MAX = 300
"""More steps are not offered in a list; they are typed."""

_INPUT = "in."
_SETS_MAX = 100


async def act_page(request: Any, datasette: Any, name: str, actions: PageActions) -> Any:
    """The forms for a job; a POST does what one of them says and leads to the page of the job."""
    if request.method != "POST":
        return await answer(partial(_shown, actions), request, datasette, name)

    async def take(page_request: PageRequest, job_id: str, form: SentForm) -> Any:
        try:
            new = await asyncio.to_thread(_do, actions, job_id, form)
        except RequestRefused as refusal:
            return await asyncio.to_thread(_refused, actions, page_request, job_id, form, refusal)
        return Response.redirect(page_request.links.job(new), status=303)

    return await take_form(take, request, datasette, name)


def typed_inputs(form: Mapping[str, str]) -> dict[str, str]:
    """What a person typed into the fields of inputs, by the inputs' names."""
    return {
        tilde_decode(name.removeprefix(_INPUT)): text
        for name, text in form.items()
        if name.startswith(_INPUT)
    }


def new_once() -> str:
    """A value for a form that must act once, also if it is sent twice."""
    return secrets.token_urlsafe(12)


def _do(actions: PageActions, job_id: str, form: SentForm) -> str:
    """Do what the form says; the id of the job to show then. Raises RequestRefused."""
    steps = tuple(map(tilde_decode, form.all("step")))
    match form.get("action"):
        case "resume":
            actions.resume(job_id)
        case "cancel":
            actions.cancel(job_id, person_text(form, "reason"))
        case "rerun":
            if not any(steps):
                raise RequestRefused("choose a step to run again", status=400)
            actions.rerun(job_id, tuple(step for step in steps if step))
        case "fork":
            lines = form.get("sets", "").replace("\r\n", "\n").split("\n")
            sets = tuple(line.strip() for line in lines if line.strip())
            if len(sets) > _SETS_MAX:
                raise RequestRefused(f"at most {_SETS_MAX} changes at a time", status=400)
            start = next(filter(None, steps), None)
            once = form.get("once", "")
            return actions.fork(ForkRequest(job_id, start, sets, typed_inputs(form), once))
        case _:
            raise RequestRefused("this form is of another version: reload the page", status=400)
    return job_id


def _shown(actions: PageActions, reader: LedgerReader, page_request: PageRequest) -> Any:
    job_id = str(reader.find_job(page_request.names["job"]))
    return _page(actions, reader, page_request, job_id)


def _refused(
    actions: PageActions,
    page_request: PageRequest,
    job_id: str,
    form: SentForm,
    refusal: RequestRefused,
) -> Any:
    with open_reader(page_request.database) as reader:
        return _page(actions, reader, page_request, job_id, form=form, refusal=refusal)


def _page(
    actions: PageActions,
    reader: LedgerReader,
    page_request: PageRequest,
    job_id: str,
    *,
    form: SentForm | None = None,
    refusal: RequestRefused | None = None,
) -> Any:
    view = read_view(reader.connection, job_id)
    status = shown_status(reader.connection, page_request.database, job_id, view.job.status)
    fields, unreadable = _read_fields(lambda: actions.fork_fields(job_id))
    form = form or SentForm(())
    chosen = [tilde_decode(step) for step in form.all("step")]
    asked = page_request.query.get("step", "")
    names = [step.name for step in view.top_level]
    values = {
        "job": view.job,
        "status": status,
        "can": can_do(status),
        "steps": names if len(names) <= STEPS_MAX else None,
        "dependents": _dependents(view) if len(names) <= STEPS_MAX else {},
        "chosen": chosen or [asked],
        "action": form.get("action", "") or page_request.query.get("do", ""),
        "fields": fields,
        "unreadable": unreadable,
        "typed": typed_inputs(form),
        "sets": form.get("sets", ""),
        "reason": form.get("reason", ""),
        "once": form.get("once", "") or new_once(),
        "refusal": refusal,
        "runner": runner_note(page_request.database, job_id, status, reader.head(job_id).version),
    }
    status_code = 200 if refusal is None else refusal.status
    return html("act.html", page_request, values, status=status_code, cache="private, no-store")


def _read_fields(
    read: Callable[[], tuple[InputField, ...]],
) -> tuple[tuple[InputField, ...], str]:
    """The fields, or why there are none."""
    try:
        return read(), ""
    except RequestRefused as refusal:
        return (), str(refusal)


def _dependents(view: JobView) -> dict[str, list[str]]:
    """For each outermost step, those that run again with it, in the order of the job."""
    names = [step.name for step in view.top_level]
    needed_by: dict[str, list[str]] = {name: [] for name in names}
    for step in view.top_level:
        for need in step.needed:
            needed_by.setdefault(need, []).append(step.name)
    found = {}
    for start in names:
        again, left = {start}, [start]
        while left:
            more = [name for name in needed_by[left.pop()] if name not in again]
            again.update(more)
            left += more
        found[start] = [name for name in names if name in again and name != start]
    return found
