"""The page for human review, if the server allows decisions: `/-/orc/<ledger>/decide/<job>`."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from datasette.utils import tilde_decode
from datasette.utils.asgi import Response

from orc.ledger.errors import LedgerError, NoSuchJob
from orc.ledger.files.locks import has_owner
from orc.ledger.reader import LedgerReader
from orc.ledger.transport.imported import resume_command
from orc.ledger.wording import visible
from orc.projections.pages.decisions import DecisionRefused, DecisionRequest, decide_function_of
from orc.projections.pages.views import PageRequest, answer, html, open_reader, page_request_of
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.questions import read_question, read_questions
from orc.projections.tables.rows import StepRow

BODY_BYTES_MAX = 100_000
COOKIE = "ds_csrftoken"


async def decide_page(request: Any, datasette: Any, name: str) -> Any:
    """The open questions of a job with their options; a POST decides one of them."""
    if request.method != "POST":
        return await answer(_shown, request, datasette, name)
    page_request = page_request_of(request, datasette, name)
    try:
        with open_reader(page_request.database) as reader:
            job_id = str(reader.find_job(page_request.names["job"]))
        wanted = await _read_decision(request, job_id)
        try:
            _check(page_request.database, wanted)
            await asyncio.to_thread(decide_function_of(datasette), wanted)
        except DecisionRefused as refusal:
            return await asyncio.to_thread(_refused, page_request, wanted, refusal)
    except NoSuchJob as error:
        return _plain(visible(str(error)), status=404)
    except DecisionRefused as refusal:
        return _plain(str(refusal), status=refusal.status)
    except LedgerError as error:
        return _plain(visible(str(error)), status=503)
    address = f"{page_request.links.decide(job_id)}?{urlencode({'decided': wanted.step})}"
    return Response.redirect(address, status=303)


def _shown(reader: LedgerReader, page_request: PageRequest) -> Any:
    job_id = str(reader.find_job(page_request.names["job"]))
    return _page(reader, page_request, job_id, decided=page_request.query.get("decided", ""))


def _refused(page_request: PageRequest, wanted: DecisionRequest, refusal: DecisionRefused) -> Any:
    with open_reader(page_request.database) as reader:
        return _page(reader, page_request, wanted.job_id, refusal=refusal, wanted=wanted)


async def _read_decision(request: Any, job_id: str) -> DecisionRequest:
    """The decision in a form of this server's page. Raises DecisionRefused for other requests."""
    _refuse_foreign(request)
    form = dict(parse_qsl((await _read_body(request)).decode("utf-8", "replace")))
    cookie = request.cookies.get(COOKIE, "")
    # Datasette makes a new token if it did not sign the cookie's, and checks no token if a
    # request has no cookie or an `Authorization: Bearer` header. So both are checked here.
    expected = request.scope["csrftoken"]()
    given = form.get("csrftoken", "")
    for token in (cookie, given):
        if not secrets.compare_digest(token.encode(), expected.encode()):
            raise DecisionRefused(
                "this form does not come from this server, or the server was restarted: "
                "reload the page and decide again",
                status=403,
            )
    comment = form.get("comment", "").strip().replace("\r\n", "\n")
    step, option = (tilde_decode(form.get(name, "")) for name in ("step", "option"))
    return DecisionRequest(job_id, step, option, comment or None)


def _refuse_foreign(request: Any) -> None:
    """Raise DecisionRefused for a request that no form on a page of this server sends."""
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        raise DecisionRefused("this form does not come from this server", status=403)
    if origin != f"{request.scheme}://{request.host}" and not (origin is None and site):
        raise DecisionRefused("this form does not come from this server", status=403)
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise DecisionRefused("a decision must be sent as a form", status=415)


async def _read_body(request: Any) -> bytes:
    body = b""
    while True:
        message = await request.receive()
        body += bytes(message.get("body", b""))
        if len(body) > BODY_BYTES_MAX:
            raise DecisionRefused("the comment is too long; shorten it", status=413)
        if not message.get("more_body"):
            return body


def _check(path: Path, wanted: DecisionRequest) -> None:
    """Raise DecisionRefused for a decision that the tables show to be impossible."""
    with open_reader(path) as reader:
        step = _step(reader, wanted.job_id, wanted.step)
        question = read_question(reader, wanted.job_id, wanted.step)
    if step is None:
        raise DecisionRefused(f"the job has no step {visible(wanted.step)}", status=404)
    if question is None:
        raise DecisionRefused(f"{visible(step.name)} does not ask for a decision", status=409)
    if step.decision is not None:
        who = f" by {visible(step.decided_by)}" if step.decided_by else ""
        raise DecisionRefused(
            f"{visible(step.name)} is already decided: {visible(step.decision)}{who}", status=409
        )
    if wanted.option not in question.options:
        raise DecisionRefused(
            f"{visible(wanted.option)} is not an option of {visible(step.name)}", status=400
        )


def _page(
    reader: LedgerReader,
    page_request: PageRequest,
    job_id: str,
    *,
    decided: str = "",
    refusal: DecisionRefused | None = None,
    wanted: DecisionRequest | None = None,
) -> Any:
    step = _step(reader, job_id, decided)
    done = None
    if step is not None and step.decision is not None:
        who = f", by {step.decided_by}" if step.decided_by else ""
        done = f"{step.name} was decided: {step.decision}{who}."
    values = {
        "job_id": job_id,
        "resume": resume_command(reader.connection, job_id),
        "done": done,
        "is_run": has_owner(page_request.database, job_id),
        "refusal": None if refusal is None else str(refusal),
        "questions": read_questions(reader, job_id),
        "wanted": wanted,
    }
    status = 200 if refusal is None else refusal.status
    return html("decide.html", page_request, values, status=status, cache="private, no-store")


def _step(reader: LedgerReader, job_id: str, step: str) -> StepRow | None:
    found = read_rows(reader.connection, StepRow, "step_id = ?", f"{job_id}/{step}")
    return found[0] if found else None


def _plain(message: str, *, status: int) -> Any:
    return Response.text(f"{message}\n", status=status)
