"""The page that searches a ledger: `/-/orc/<ledger>/search`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orc.ledger.errors import NoSuchJob
from orc.ledger.reader import LedgerReader
from orc.projections.pages.views import PageRequest, html
from orc.projections.search.query import QUERY_CHARS_MAX
from orc.projections.search.search import SearchQuery, SearchResults, search
from orc.projections.search.texts import KINDS

_REFRESH_S = 2
"""After how long the page asks again while the index is not whole."""


def search_page(reader: LedgerReader, asked: PageRequest) -> Any:
    """The form, and what was found. Raises LedgerError."""
    words, job = _argument(asked, "q"), _argument(asked, "job")
    what, page = _argument(asked, "what"), _argument(asked, "page")
    wanted = SearchQuery(
        words,
        what=what if what in KINDS else None,
        page=int(page) if page.isdecimal() and len(page) < 6 else 1,
        best_first=_argument(asked, "order") == "best",
    )
    found, status = _find(reader, asked, wanted, job)
    values = {
        "words": words,
        "job_asked": job,
        "asked": wanted,
        "kinds": KINDS,
        "found": found,
        "percent": 100 * found.indexed // max(1, found.events),
        "before": _page(asked, wanted, job, found.page - 1) if found.page > 1 else None,
        "after": _page(asked, wanted, job, found.page + 1) if found.page < found.pages else None,
        "refresh_s": _REFRESH_S if words.strip() and not found.is_complete else None,
    }
    return html("search.html", asked, values, status=status)


def _find(
    reader: LedgerReader, asked: PageRequest, wanted: SearchQuery, job: str
) -> tuple[SearchResults, int]:
    """What is found, and the status of the answer. This works for a second or two."""
    try:
        if job:
            wanted = replace(wanted, job_id=str(reader.find_job(job)))
    except NoSuchJob as error:
        return SearchResults(problem=str(error)), 404
    return search(asked.database, wanted), 200


def _argument(asked: PageRequest, name: str) -> str:
    return asked.query.get(name, "")[:QUERY_CHARS_MAX]


def _page(asked: PageRequest, wanted: SearchQuery, job: str, number: int) -> str:
    order = "best" if wanted.best_first else None
    return asked.links.search(
        q=wanted.text, job=job, what=wanted.what, order=order, page=str(number)
    )
