"""Answers to requests for the pages: Datasette's part is to route them here.

A page is made in a thread, from a connection of its own. Its `ETag` names what it
shows, so that a page which asks again and again is told cheaply that nothing changed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from datasette.utils import tilde_decode
from datasette.utils.asgi import Response

from orc.ledger.digest import digest_bytes
from orc.ledger.errors import LedgerError, NoSuchJob
from orc.ledger.reader import LedgerReader
from orc.projections.pages.decisions import are_decisions_allowed
from orc.projections.pages.links import DatasetteLinks
from orc.projections.pages.security import HEADERS
from orc.projections.pages.static import TYPES, read_static, static_digest

_TEXT_MAX = 500


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for a page of one ledger: what the address names, and what it asks besides."""

    database: Path
    links: DatasetteLinks
    names: dict[str, str]
    query: dict[str, str]
    known: str
    """The `ETag` of what the browser has."""
    csrf: Callable[[], str]


class Gone(Exception):
    """There is no such page; the message says what is not there."""


Page = Callable[[LedgerReader, PageRequest], Any]
"""Makes the answer. Raises Gone, LedgerError."""


async def answer(page: Page, request: Any, datasette: Any, name: str) -> Any:
    """The page for one request, or a page that says why there is none."""
    return await asyncio.to_thread(_make, page, asked_of(request, datasette, name))


def asked_of(request: Any, datasette: Any, name: str) -> PageRequest:
    """What is asked of a ledger."""
    return PageRequest(
        database=Path(datasette.databases[name].path).absolute(),
        links=links_of(datasette, name),
        names={key: tilde_decode(value) for key, value in request.url_vars.items()},
        query={key: str(request.args.get(key))[:_TEXT_MAX] for key in request.args},
        known=request.headers.get("if-none-match", ""),
        csrf=request.scope.get("csrftoken", lambda: ""),
    )


def links_of(datasette: Any, name: str) -> DatasetteLinks:
    """The links of a ledger's pages."""
    return DatasetteLinks(datasette, name, can_decide=are_decisions_allowed(datasette))


def _make(page: Page, asked: PageRequest) -> Any:
    try:
        with LedgerReader.open(asked.database) as reader:
            return page(reader, asked)
    except (Gone, NoSuchJob) as error:
        return html(
            "problem.html", asked, {"problem": str(error), "title": "Not found"}, status=404
        )
    except LedgerError as error:
        return _unreadable(asked, str(error))
    except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
        # Tables of an older orc; or rows that none has written, as whoever can write there can.
        said = f"It is not as orc writes it ({type(error).__name__}); `orc verify` tells more."
        return _unreadable(asked, said)


def _unreadable(asked: PageRequest, problem: str) -> Any:
    values = {"problem": problem, "title": "The ledger cannot be read"}
    return html("problem.html", asked, values, status=503)


def html(
    template: str,
    asked: PageRequest,
    values: dict[str, Any],
    *,
    status: int = 200,
    etag: str = "",
    cache: str = "no-cache",
) -> Any:
    """A page of ours, with its headers."""
    # Jinja and the templates are loaded by the first page, and not by Datasette's start.
    from orc.projections.pages.render import render

    links = asked.links
    shared = {
        "links": links,
        "css": links.static("orc.css", static_digest("orc.css")),
        "js": links.static("orc.js", static_digest("orc.js")),
        "words": "",
        "csrf": asked.csrf,
    }
    headers = {**HEADERS, "cache-control": cache}
    if etag:
        headers["etag"] = etag
    return Response.html(render(template, {**shared, **values}), status=status, headers=headers)


def unchanged(asked: PageRequest, what: str) -> tuple[str, Any | None]:
    """The `ETag` for what a page shows; and the answer, where the browser has just that."""
    named = f"{what} {static_digest('orc.js')} {static_digest('orc.css')}"
    etag = f'W/"{digest_bytes(named.encode())[:24]}"'
    if asked.known != etag:
        return etag, None
    headers = {**HEADERS, "etag": etag, "cache-control": "no-cache"}
    return etag, Response("", status=304, headers=headers)


async def static(request: Any) -> Any:
    """The style sheet or the script."""
    name = request.url_vars["name"]
    if name not in TYPES:
        return Response.text("not found\n", status=404)
    headers = {**HEADERS, "cache-control": "public, max-age=31536000, immutable"}
    return Response(read_static(name), content_type=TYPES[name], headers=headers)


def attachment(content: bytes, path: str) -> Any:
    """Bytes that somebody wrote, to be kept as a file, and never shown as anything."""
    name = quote(path.rpartition("/")[2], safe="")
    headers = {
        **HEADERS,
        "content-security-policy": "default-src 'none'; sandbox",
        "content-disposition": f"attachment; filename*=UTF-8''{name}",
    }
    return Response(content, content_type="application/octet-stream", headers=headers)
