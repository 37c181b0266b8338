"""The pages by their addresses, below `/-/orc/<ledger>`; each made by a function of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orc.ledger.reader import LedgerReader
from orc.projections.pages.views import Gone, Page, PageRequest, attachment, html, unchanged


def home(reader: LedgerReader, asked: PageRequest) -> Any:
    """The jobs."""
    from orc.projections.pages import home as page

    wanted = page.JobFilter(
        status=_one_of(asked.query.get("status"), page.STATUSES),
        project=asked.query.get("project") or None,
        text=asked.query.get("q", "").strip() or None,
        before=asked.query.get("before") or None,
    )
    unended = page.read_unended(reader.connection, asked.database)
    shown = page.home_version(reader.connection, unended)
    etag, known = unchanged(asked, f"{shown} {wanted}")
    if known is not None:
        return known
    values = page.read_home(reader.connection, unended, wanted, asked.links, now=_now())
    return html("home.html", asked, values, etag=etag)


def job(reader: LedgerReader, asked: PageRequest) -> Any:
    """A job, now or as of an earlier event."""
    from orc.projections.pages import job as page

    job_id = _job_id(reader, asked)
    head = reader.head(job_id).version
    at = asked.query.get("at") or None
    if at is not None and not (at.isdecimal() and len(at) <= 12 and 1 <= int(at) <= head):
        raise Gone(f"{job_id} has the events 1 to {head}, and no event {at}")
    etag, known = unchanged(asked, f"{page.job_version(reader, asked.database, job_id)} {at}")
    if known is not None:
        return known
    values = page.read_job(
        reader, asked.database, job_id, asked.links, now=_now(), at=None if at is None else int(at)
    )
    return html("job.html", asked, values, etag=etag)


def step(reader: LedgerReader, asked: PageRequest) -> Any:
    """A step of a job."""
    from orc.projections.pages.job import job_version
    from orc.projections.pages.step import read_step

    job_id, name = _job_id(reader, asked), asked.names["step"]
    etag, known = unchanged(asked, f"{job_version(reader, asked.database, job_id)} {name}")
    if known is not None:
        return known
    values = read_step(reader, asked.database, job_id, name, asked.links)
    if values is None:
        raise Gone(f"{job_id} has no step {name!r}")
    return html("step.html", asked, values, etag=etag)


def file(reader: LedgerReader, asked: PageRequest) -> Any:
    """A file of a job, and its lineage."""
    from orc.projections.pages.file import find_file, read_file

    job_id, path = _job_id(reader, asked), asked.names["path"]
    found = find_file(reader, job_id, path)
    if found is None:
        raise Gone(f"{job_id} has no file {path!r}")
    return html("file.html", asked, read_file(reader, found, asked.links))


def raw(reader: LedgerReader, asked: PageRequest) -> Any:
    """The bytes of a file, as a download."""
    from orc.projections.pages.file import find_file

    job_id, path = _job_id(reader, asked), asked.names["path"]
    found = find_file(reader, job_id, path)
    if found is None:
        raise Gone(f"{job_id} has no file {path!r}")
    return attachment(reader.read_blob(found.sha256), path)


def search(reader: LedgerReader, asked: PageRequest) -> Any:
    """What prompts, replies and all that steps said have in them."""
    from orc.projections.pages.search import search_page

    return search_page(reader, asked)


_JOB = "(?P<job>[^/]+)"
PAGES: tuple[tuple[str, Page], ...] = (
    ("", home),
    ("/search", search),
    (f"/{_JOB}", job),
    (f"/{_JOB}/step/(?P<step>[^/]+)", step),
    (f"/{_JOB}/file/(?P<path>[^/]+)", file),
    (f"/{_JOB}/raw/(?P<path>[^/]+)", raw),
)
"""What follows `/-/orc/<ledger>`, and who answers. More special addresses come before these."""


def _job_id(reader: LedgerReader, asked: PageRequest) -> str:
    """The job of the address, which may be part of an id, or `latest`. Raises NoSuchJob."""
    return str(reader.find_job(asked.names["job"]))


def _one_of(value: str | None, known: tuple[str, ...]) -> str | None:
    return value if value in known else None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
