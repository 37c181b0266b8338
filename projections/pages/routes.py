"""The addresses of the pages below `/-/orc/<ledger>`, and one function for each page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orc.ledger.reader import LedgerReader
from orc.projections.pages.security import FRAMING_POLICY, POLICY
from orc.projections.pages.views import (
    Page,
    PageNotFound,
    PageRequest,
    attachment,
    download,
    html,
    inline,
    near_names,
    unchanged,
)

if TYPE_CHECKING:
    from orc.projections.tables.rows import FileRow

_NUMBER_CHARS = 30


def home(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page of all jobs."""
    from orc.projections.pages import home as page

    wanted = page.JobFilter(
        status=_one_of(page_request.query.get("status"), page.STATUSES),
        project=page_request.query.get("project") or None,
        text=page_request.query.get("q", "").strip() or None,
        tag=page_request.query.get("tag", "").strip() or None,
        score=page_request.query.get("score", "").strip() or None,
        low=_number(page_request.query.get("low")),
        high=_number(page_request.query.get("high")),
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
    token, cache = _token(page_request, page_request.links.act(job_id))
    shown = page.job_version(reader, database, job_id)
    etag, known = unchanged(page_request, f"{shown} {at} {token}")
    if known is not None:
        return known
    version = None if at is None else int(at)
    values = page.read_job(reader, database, job_id, page_request.links, now=_now(), at=version)
    return html("job.html", page_request, values, etag=etag, cache=cache)


def step(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page of a step."""
    from orc.projections.pages.items import BY_COLUMN, ORDERS, ItemFilter
    from orc.projections.pages.step import read_step, step_version

    job_id, name = _job_id(reader, page_request), page_request.names["step"]
    query = page_request.query
    column = _position(query.get("by"))
    wanted = ItemFilter(
        state=query.get("status") or None,
        text=query.get("q", "").strip() or None,
        sort=_one_of(query.get("sort"), (*ORDERS, *BY_COLUMN)),
        column=column - 1 if column else None,
        part=max(1, _position(query.get("part")) or 1),
    )
    version = step_version(reader, page_request.database, job_id, name)
    token, cache = _token(page_request, page_request.links.score(job_id))
    etag, known = unchanged(page_request, f"{version} {name} {wanted} {token}")
    if known is not None:
        return known
    values = read_step(reader, page_request.database, job_id, name, page_request.links, wanted)
    if values is None:
        raise PageNotFound(
            f"{job_id} has no step {name!r}", _near_steps(reader, page_request, job_id, name)
        )
    return html("step.html", page_request, values, etag=etag, cache=cache)


def results(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page of the scores of a job, as a grid."""
    from orc.projections.pages import results as page
    from orc.projections.scores.pivot import ORDERS, SHOWN, LineFilter

    job_id, query = _job_id(reader, page_request), page_request.query
    column = _position(query.get("by"))
    wanted = page.ResultsWanted(
        score=query.get("score", ""),
        rows=query.get("rows", ""),
        columns=query.get("columns", ""),
        lines=LineFilter(
            show=_one_of(query.get("show"), SHOWN),
            low=_number(query.get("low")),
            high=_number(query.get("high")),
            text=query.get("q", "").strip() or None,
            sort=_one_of(query.get("sort"), ORDERS),
            column=column - 1 if column else None,
        ),
        part=max(1, _position(query.get("part")) or 1),
        open=query.get("open", ""),
    )
    values = page.read_results(reader, page_request.database, job_id, wanted, page_request.links)
    # With forms, a page has the token of one browser.
    cache = "private, no-store" if page_request.links.score(job_id) else "no-cache"
    return html("results.html", page_request, values, cache=cache)


def events(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page of the events of a job."""
    from orc.projections.pages.events import read_event_page

    job_id, query = _job_id(reader, page_request), page_request.query
    at, part = _position(query.get("at")), _position(query.get("part")) or 1
    values = read_event_page(reader, job_id, page_request.links, at=at, part=part)
    return html("events.html", page_request, values)


def file(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page of a file, with its lineage."""
    from orc.projections.pages.file import read_file

    found = _file(reader, page_request)
    values = read_file(
        reader,
        found,
        page_request.links,
        part=max(1, _position(page_request.query.get("part")) or 1),
        as_source=page_request.query.get("as") == "source",
    )
    policy = FRAMING_POLICY if values["shown"].is_document else POLICY
    return html("file.html", page_request, values, policy=policy)


def raw(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The bytes of a file, as a download."""
    found = _file(reader, page_request)
    return attachment(reader, found.sha256, found.path)


def preview(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The bytes of an image or a document, for the page of the file."""
    from orc.projections.pages.shown_file import read_preview

    found = _file(reader, page_request)
    shown = read_preview(reader, found)
    if shown is None:
        raise PageNotFound(f"{found.path!r} is neither an image nor a document; download it")
    return inline(shown.content, shown.media_type, found.path)


def compare(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page that compares jobs."""
    from orc.projections.pages import compare as page

    named = page_request.jobs[: page.JOBS_MAX]
    jobs = tuple(dict.fromkeys(str(reader.find_job(name)) for name in named))
    query = page_request.query
    if query.get("order") == "submitted":
        jobs = page.by_submission(reader, jobs)
    if len(jobs) < 2:
        text = "Tick two jobs or more in the list of jobs."
        values = {"title": "Compare jobs", "problem": text, "near": ()}
        return html("problem.html", page_request, values)
    wanted = page.CompareWanted(
        jobs,
        other=query.get("with", ""),
        score=query.get("score", ""),
        case_part=max(1, _position(query.get("cases")) or 1),
        step_part=max(1, _position(query.get("steps")) or 1),
    )
    values = page.read_comparison(reader, page_request.database, wanted, page_request.links)
    return html("compare.html", page_request, values)


def charts(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page of the charts of a project over its jobs."""
    from orc.projections.pages.charts import read_charts

    project = page_request.query.get("project", "")
    values = read_charts(reader.connection, project, page_request.links)
    if values is None:
        raise PageNotFound(f"no job has the project {project!r}")
    return html("charts.html", page_request, values)


def chart(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The download of a chart, as a drawing or as its numbers."""
    from orc.projections.pages.charts import read_chart

    project, name = page_request.query.get("project", ""), page_request.names["chart"]
    found = read_chart(reader.connection, project, name)
    if found is None or found.plot is None:
        raise PageNotFound(f"the project {project!r} has no chart {name!r}")
    form = page_request.names["form"]
    text = found.csv() if form == "csv" else found.plot.draw(standalone=True)
    return download(text.encode(), f"{name}.{form}")


def search(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The page that searches prompts, replies, outputs and logs."""
    from orc.projections.pages.search import search_page

    return search_page(reader, page_request)


_JOB = "(?P<job>[^/]+)"
PAGES: tuple[tuple[str, Page], ...] = (
    ("", home),
    ("/search", search),
    ("/compare", compare),
    ("/charts", charts),
    (r"/charts/(?P<chart>[a-z]+)\.(?P<form>svg|csv)", chart),
    (f"/{_JOB}", job),
    (f"/{_JOB}/step/(?P<step>[^/]+)", step),
    (f"/{_JOB}/results", results),
    (f"/{_JOB}/events", events),
    (f"/{_JOB}/file/(?P<path>[^/]+)", file),
    (f"/{_JOB}/raw/(?P<path>[^/]+)", raw),
    (f"/{_JOB}/preview/(?P<path>[^/]+)", preview),
)
"""The path after `/-/orc/<ledger>`, and the function that makes the page; the first match counts."""


def _job_id(reader: LedgerReader, page_request: PageRequest) -> str:
    """The job in the address, which may be a part of an id, or `latest`. Raises NoSuchJob."""
    return str(reader.find_job(page_request.names["job"]))


def _file(reader: LedgerReader, page_request: PageRequest) -> FileRow:
    """The file in the address. Raises NoSuchJob, PageNotFound."""
    from orc.projections.pages.file import find_file

    job_id, path = _job_id(reader, page_request), page_request.names["path"]
    found = find_file(reader, job_id, path)
    if found is None:
        rows = reader.connection.execute("SELECT path FROM files WHERE job_id = ?", (job_id,))
        links, paths = page_request.links, near_names(path, (str(row[0]) for row in rows))
        near = [*((links.file(job_id, one), one) for one in paths), (links.job(job_id), job_id)]
        raise PageNotFound(f"{job_id} has no file {path!r}", near)
    return found


def _near_steps(
    reader: LedgerReader, page_request: PageRequest, job_id: str, name: str
) -> list[tuple[str, str]]:
    """The job, and its steps whose names are most like `name`."""
    rows = reader.connection.execute("SELECT name FROM steps WHERE job_id = ?", (job_id,))
    links = page_request.links
    near = near_names(name, (str(row[0]) for row in rows))
    return [*((links.step(job_id, step), step) for step in near), (links.job(job_id), job_id)]


def _token(page_request: PageRequest, form: str) -> tuple[str, str]:
    """The token and the `Cache-Control` of a page: with a form, it has the token of one browser."""
    return (page_request.csrf(), "private, no-store") if form else ("", "no-cache")


def _position(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 19 else None


def _number(text: str | None) -> float | None:
    """A finite number that a person typed; None for anything else."""
    try:
        value = float((text or "")[:_NUMBER_CHARS])
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _one_of(value: str | None, known: tuple[str, ...]) -> str | None:
    return value if value in known else None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
