"""The addresses of the pages below `/-/orc/<ledger>`, and one function for each page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orc.ledger.reader import LedgerReader
from orc.projections.pages.views import Page, PageNotFound, PageRequest, attachment, html, unchanged


def home(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page of all jobs."""
    from orc.projections.pages import home as page

    wanted = page.JobFilter(
        status=_one_of(page_request.query.get("status"), page.STATUSES),
        project=page_request.query.get("project") or None,
        text=page_request.query.get("q", "").strip() or None,
        before=_position(page_request.query.get("before")),
    )
    unended = page.read_unended(reader.connection, page_request.database)
    shown = page.home_version(reader.connection, unended)
    etag, known = unchanged(page_request, f"{shown} {wanted}")
    if known is not None:
        return known
    values = page.read_home(reader.connection, unended, wanted, page_request.links, now=_now())
    return html("home.html", page_request, values, etag=etag)


def job(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page of a job, in its current state or in the state after an earlier event."""
    from orc.projections.pages import job as page

    job_id = _job_id(reader, page_request)
    head = reader.head(job_id).version
    at = page_request.query.get("at") or None
    if at is not None and not (at.isdecimal() and len(at) <= 12 and 1 <= int(at) <= head):
        raise PageNotFound(f"{job_id} has no event {at}; its events are 1 to {head}")
    database = page_request.database
    etag, known = unchanged(page_request, f"{page.job_version(reader, database, job_id)} {at}")
    if known is not None:
        return known
    version = None if at is None else int(at)
    values = page.read_job(reader, database, job_id, page_request.links, now=_now(), at=version)
    return html("job.html", page_request, values, etag=etag)


def step(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page of a step."""
    from orc.projections.pages.job import job_version
    from orc.projections.pages.step import read_step

    job_id, name = _job_id(reader, page_request), page_request.names["step"]
    etag, known = unchanged(
        page_request, f"{job_version(reader, page_request.database, job_id)} {name}"
    )
    if known is not None:
        return known
    values = read_step(reader, page_request.database, job_id, name, page_request.links)
    if values is None:
        raise PageNotFound(f"{job_id} has no step {name!r}")
    return html("step.html", page_request, values, etag=etag)


def file(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page of a file, with its lineage."""
    from orc.projections.pages.file import find_file, read_file

    job_id, path = _job_id(reader, page_request), page_request.names["path"]
    found = find_file(reader, job_id, path)
    if found is None:
        raise PageNotFound(f"{job_id} has no file {path!r}")
    return html("file.html", page_request, read_file(reader, found, page_request.links))


def raw(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The bytes of a file, as a download."""
    from orc.projections.pages.file import find_file

    job_id, path = _job_id(reader, page_request), page_request.names["path"]
    found = find_file(reader, job_id, path)
    if found is None:
        raise PageNotFound(f"{job_id} has no file {path!r}")
    return attachment(reader, found.sha256, path)


def search(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page that searches prompts, replies, outputs and logs."""
    from orc.projections.pages.search import search_page

    return search_page(reader, page_request)


_JOB = "(?P<job>[^/]+)"
PAGES: tuple[tuple[str, Page], ...] = (
    ("", home),
    ("/search", search),
    (f"/{_JOB}", job),
    (f"/{_JOB}/step/(?P<step>[^/]+)", step),
    (f"/{_JOB}/file/(?P<path>[^/]+)", file),
    (f"/{_JOB}/raw/(?P<path>[^/]+)", raw),
)
"""The path after `/-/orc/<ledger>`, and the function that makes the page; the first match counts."""


def _job_id(reader: LedgerReader, page_request: PageRequest) -> str:
    """The job in the address, which may be a part of an id, or `latest`. Raises NoSuchJob."""
    return str(reader.find_job(page_request.names["job"]))


def _position(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 19 else None


def _one_of(value: str | None, known: tuple[str, ...]) -> str | None:
    return value if value in known else None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
