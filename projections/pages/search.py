"""The page that searches a ledger: `/-/orc/<ledger>/search`."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from orc.ledger.errors import NoSuchJob
from orc.ledger.reader import LedgerReader
from orc.projections.pages.views import PageRequest, html
from orc.projections.search.query import QUERY_CHARS_MAX
from orc.projections.search.search import SearchQuery, SearchResults, search
from orc.projections.search.texts import KINDS
from orc.projections.tables.tags import read_known_tags, read_tagged

_TAGS_MAX = 200
_REFRESH_S = 2
"""The seconds after which the page reloads while the index is incomplete."""


def search_page(reader: LedgerReader, page_request: PageRequest) -> Any:
    """The form and the results. Raises LedgerError."""
    words, job = _argument(page_request, "q"), _argument(page_request, "job")
    what, page = _argument(page_request, "what"), _argument(page_request, "page")
    query = SearchQuery(
        words,
        what=what if what in KINDS else None,
        page=int(page) if page.isdecimal() and len(page) < 6 else 1,
        best_first=_argument(page_request, "order") == "best",
    )
    tag = _argument(page_request, "tag").strip()
    if tag:
        query = replace(query, job_ids=read_tagged(reader.connection, tag))
    found, status = _find(reader, page_request, query, job)
    values = {
        "words": words,
        "job_text": job,
        "tag": tag,
        "tags": read_known_tags(reader.connection, _TAGS_MAX),
        "query": query,
        "kinds": KINDS,
        "found": found,
        "percent": 100 * found.indexed // max(1, found.events),
        "before": _page(page_request, query, job, tag, found.page - 1) if found.page > 1 else None,
        "after": _page(page_request, query, job, tag, found.page + 1)
        if found.page < found.pages
        else None,
        "refresh_s": _REFRESH_S if words.strip() and not found.is_complete else None,
    }
    return html("search.html", page_request, values, status=status)


def _find(
    reader: LedgerReader, page_request: PageRequest, query: SearchQuery, job: str
) -> tuple[SearchResults, int]:
    """The results and the HTTP status. It may index for a second or two."""
    try:
        if job:
            query = replace(query, job_id=str(reader.find_job(job)))
    except NoSuchJob as error:
        return SearchResults(problem=str(error)), 404
    return search(page_request.database, query), 200


def _argument(page_request: PageRequest, name: str) -> str:
    return page_request.query.get(name, "")[:QUERY_CHARS_MAX]


def _page(page_request: PageRequest, query: SearchQuery, job: str, tag: str, number: int) -> str:
    order = "best" if query.best_first else None
    return page_request.links.search(
        q=query.text, job=job, tag=tag, what=query.what, order=order, page=str(number)
    )
