"""The page for human review, if the server allows decisions: `/-/orc/<ledger>/decide/<job>`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from datasette.utils import tilde_decode
from datasette.utils.asgi import Response

from orc.ledger.files.locks import has_owner
from orc.ledger.reader import LedgerReader
from orc.ledger.transport.imported import resume_command
from orc.ledger.wording import visible
from orc.projections.history.upstream import files_about
from orc.projections.pages.actions import actions_of
from orc.projections.pages.decisions import DecisionRequest, RequestRefused, functions_of
from orc.projections.pages.file import show_files
from orc.projections.pages.forms import SentForm, person_text, take_form
from orc.projections.pages.links import Links
from orc.projections.pages.shown_file import ShownFile
from orc.projections.pages.views import PageRequest, answer, html, open_reader
from orc.projections.tables.job_view import JobView, read_rows, read_view
from orc.projections.tables.questions import Question, read_question, read_questions
from orc.projections.tables.rows import FileRow, StepRow

_FILES_MAX = 100
_WITH_FILES_MAX = 5


async def decide_page(request: Any, datasette: Any, name: str) -> Any:
    """The open questions of a job with their options; a POST decides one of them."""
    if request.method != "POST":
        return await answer(_shown, request, datasette, name)

    async def take(page_request: PageRequest, job_id: str, form: SentForm) -> Any:
        step, option = (tilde_decode(form.get(field, "")) for field in ("step", "option"))
        wanted = DecisionRequest(job_id, step, option, person_text(form, "comment"))
        actions = actions_of(datasette)
        links, decided = page_request.links, ""
        try:
            _check(page_request.database, wanted)
            await asyncio.to_thread(functions_of(datasette).decide, wanted)
            decided = wanted.step
            if actions is None or "continue" not in form:
                return Response.redirect(
                    f"{links.decide(job_id)}?{urlencode({'decided': step})}", 303
                )
            await asyncio.to_thread(actions.resume, job_id)
        except RequestRefused as refusal:
            return await asyncio.to_thread(_refused, page_request, wanted, refusal, decided)
        return Response.redirect(links.job(job_id), status=303)

    return await take_form(take, request, datasette, name)


def _shown(reader: LedgerReader, page_request: PageRequest) -> Any:
    job_id = str(reader.find_job(page_request.names["job"]))
    return _page(reader, page_request, job_id, decided=page_request.query.get("decided", ""))


def _refused(
    page_request: PageRequest, wanted: DecisionRequest, refusal: RequestRefused, decided: str
) -> Any:
    """The page with the reason why there is no decision, or why the job does not go on after it."""
    with open_reader(page_request.database) as reader:
        return _page(
            reader, page_request, wanted.job_id, refusal=refusal, wanted=wanted, decided=decided
        )


def _check(path: Path, wanted: DecisionRequest) -> None:
    """Raise RequestRefused for a decision that the tables show to be impossible."""
    with open_reader(path) as reader:
        step = _step(reader, wanted.job_id, wanted.step)
        question = read_question(reader, wanted.job_id, wanted.step)
    if step is None:
        raise RequestRefused(f"the job has no step {visible(wanted.step)}", status=404)
    if question is None:
        raise RequestRefused(f"{visible(step.name)} does not ask for a decision", status=409)
    if step.decision is not None:
        who = f" by {visible(step.decided_by)}" if step.decided_by else ""
        raise RequestRefused(
            f"{visible(step.name)} is already decided: {visible(step.decision)}{who}", status=409
        )
    if wanted.option not in question.options:
        raise RequestRefused(
            f"{visible(wanted.option)} is not an option of {visible(step.name)}", status=400
        )


def _page(
    reader: LedgerReader,
    page_request: PageRequest,
    job_id: str,
    *,
    decided: str = "",
    refusal: RequestRefused | None = None,
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
        "refusal": refusal,
        "questions": [
            (question, *about)
            for question, about in _with_files(reader, job_id, page_request.links)
        ],
        "wanted": wanted,
    }
    status = 200 if refusal is None else refusal.status
    return html("decide.html", page_request, values, status=status, cache="private, no-store")


_About = tuple[list[FileRow], list[tuple[FileRow, ShownFile]]]


def _with_files(
    reader: LedgerReader, job_id: str, links: Links
) -> Iterator[tuple[Question, _About]]:
    """The open questions, the first ones with the files that they are about."""
    view = read_view(reader.connection, job_id)
    for number, question in enumerate(read_questions(reader, job_id)):
        is_shown = number < _WITH_FILES_MAX
        yield question, _files_about(reader, view, question, links) if is_shown else ([], [])


def _files_about(reader: LedgerReader, view: JobView, question: Question, links: Links) -> _About:
    """The files that the question is about, and the first ones with contents."""
    files = files_about(reader.connection, view, question)
    return files[:_FILES_MAX], show_files(reader, files, links)


def _step(reader: LedgerReader, job_id: str, step: str) -> StepRow | None:
    found = read_rows(reader.connection, StepRow, "step_id = ?", f"{job_id}/{step}")
    return found[0] if found else None
