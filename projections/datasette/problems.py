"""The pages for errors of a Datasette with a ledger, in the style of the other pages of orc."""

from __future__ import annotations

import sqlite3
import sys
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from datasette.database import QueryInterrupted
from datasette.utils import InvalidSql
from datasette.utils.asgi import Base400, NotFound, Response
from datasette.views.base import DatasetteError

from orc.ledger.wording import size_text
from orc.projections.datasette.limits import RESULT_BYTES_MAX, VALUE_BYTES_MAX, ResultTooLarge
from orc.projections.datasette.not_found import find_missing
from orc.projections.datasette.outgoing import safe_text
from orc.projections.pages.notice import Notice, notice_headers, render_notice
from orc.projections.pages.views import html, page_request_of

_TITLES = {400: "This request cannot be answered", 403: "Not allowed", 404: "Not found"}
_TOO_LARGE = (
    f"The rows have more than {size_text(RESULT_BYTES_MAX)}, or one value has more than "
    f"{size_text(VALUE_BYTES_MAX)}. Ask for fewer rows (_size=10) or without a column "
    "(_nocol=content). The pages of files have large contents to download."
)

_STOPPED = (
    "The SQL takes too long, and was stopped. Datasette's setting sql_time_limit_ms is the limit."
)


def problem_response(
    datasette: Any, request: Any, error: Exception, is_ledger: Callable[[Any, str], bool]
) -> Any:
    """The response to a request that ended with this exception."""
    status, title, message = _explained(error)
    missing = None
    if isinstance(error, NotFound):
        missing = find_missing(datasette, request, is_ledger)
        message = missing.message
    path = request.path.partition("?")[0]
    is_too_large = isinstance(error, MemoryError | sqlite3.DataError)
    if is_too_large and path.endswith("/blobs") and "_nocol" not in request.args:
        # The list of blobs is useful without their contents.
        query = parse_qsl(request.query_string, keep_blank_values=True)
        return Response.redirect(f"{path}?{urlencode([*query, ('_nocol', 'content')])}")
    if path.endswith(".json"):
        said = {"ok": False, "error": message, "status": status, "title": title}
        return Response.json(said, status=status)
    if missing is not None and missing.ledger is not None:
        values = {"problem": message, "title": title, "near": missing.near}
        return html(
            "problem.html",
            page_request_of(request, datasette, missing.ledger),
            {**values, "start": str(datasette.urls.instance())},
            status=404,
        )
    home = str(datasette.urls.instance())
    notice = Notice(status, title, [message], [(home, "Start page")])
    return Response.html(render_notice(notice), status=status, headers=notice_headers(notice))


def _explained(error: BaseException) -> tuple[int, str, str]:
    """The status, the title and the message for an exception."""
    if isinstance(error, DatasetteError):
        # Datasette uses 500 for what only the address made, such as a column that is not there.
        status = 400 if error.status == 500 else error.status
        # Only the message of a query that was stopped has markup.
        message = _STOPPED if error.message_is_html else str(error.message)
        return status, str(error.title or _title(status)), message
    if isinstance(error, Base400):
        status = error.status
        return status, _title(status), str(error.args[0]) if error.args else ""
    if isinstance(error, MemoryError | ResultTooLarge | sqlite3.DataError):
        return 400, "The answer is too large", _TOO_LARGE
    if isinstance(error, QueryInterrupted):
        return 400, "The SQL was stopped", _STOPPED
    if isinstance(error, InvalidSql | sqlite3.Error):
        return 400, _title(400), str(error)
    _report(error)
    return 500, "Something went wrong", f"The server has an error ({type(error).__name__})."


def _title(status: int) -> str:
    return _TITLES.get(status, "This request cannot be answered")


def _report(error: BaseException) -> None:
    sys.stderr.write(safe_text("".join(traceback.format_exception(error))))
