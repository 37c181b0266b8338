"""Answers the requests for pages that Datasette routes here.

A page is made in a thread with its own connection. The `ETag` identifies the content, so that
a page that polls gets a cheap 304 while nothing has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from datasette.utils import tilde_decode
from datasette.utils.asgi import Response
from msgspec import Struct

from orc.ledger.command_lines import ledger_named, quoted_command
from orc.ledger.connection import storage_errors
from orc.ledger.digest import digest_bytes
from orc.ledger.errors import LedgerError, NoSuchJob
from orc.ledger.files.snapshot import stamp_of
from orc.ledger.reader import LedgerReader
from orc.projections.damage import SUSPICIOUS, find_damage
from orc.projections.pages.actions import actions_of
from orc.projections.pages.decisions import are_decisions_allowed
from orc.projections.pages.links import DatasetteLinks
from orc.projections.pages.security import HEADERS, POLICY, PREVIEW_POLICY
from orc.projections.pages.static import TYPES, read_static, static_digest
from orc.projections.tables.own_schema import check_own_tables

_TEXT_MAX = 500
_NAMES_MAX = 2_000
_NEAR_MAX = 5


class PageRequest(Struct, frozen=True):
    """A request for a page of one ledger: `names` from the address, `query` from the query string."""

    database: Path
    links: DatasetteLinks
    names: dict[str, str]
    query: dict[str, str]
    known_etag: str
    """The `ETag` of the page that the browser has; empty without one."""
    csrf: Callable[[], str]
    jobs: tuple[str, ...] = ()
    """All values of `job` in the query string."""


class PageNotFound(Exception):
    """The address names something that the ledger does not have; the message says what.

    `near` are pages with similar names: their addresses and names.
    """

    def __init__(self, message: str, near: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.near = tuple(near)


Page = Callable[[LedgerReader, PageRequest], Any]
"""Makes the response. Raises PageNotFound, LedgerError."""


async def answer(page: Page, request: Any, datasette: Any, name: str) -> Any:
    """The page for one request, or a page with the error."""
    return await asyncio.to_thread(_make, page, page_request_of(request, datasette, name))


def page_request_of(request: Any, datasette: Any, name: str) -> PageRequest:
    """The request for a page, from Datasette's request."""
    return PageRequest(
        database=Path(datasette.databases[name].path).absolute(),
        links=links_of(datasette, name),
        names={key: tilde_decode(text) for key, text in request.url_vars.items() if text},
        query={key: str(request.args.get(key))[:_TEXT_MAX] for key in request.args},
        known_etag=request.headers.get("if-none-match", ""),
        csrf=request.scope.get("csrftoken", lambda: ""),
        jobs=tuple(name[:_TEXT_MAX] for name in request.args.getlist("job")),
    )


def links_of(datasette: Any, name: str) -> DatasetteLinks:
    """The addresses of a ledger's pages."""
    actions = actions_of(datasette)
    return DatasetteLinks(
        datasette,
        name,
        can_decide=are_decisions_allowed(datasette),
        can_act=actions is not None,
        has_specs=actions is not None and actions.has_specs,
    )


def _make(page: Page, page_request: PageRequest) -> Any:
    with ledger_named(page_request.database):
        return _make_named(page, page_request)


def _make_named(page: Page, page_request: PageRequest) -> Any:
    try:
        with open_reader(page_request.database) as reader:
            return page(reader, page_request)
    except (PageNotFound, NoSuchJob) as error:
        near = error.near if isinstance(error, PageNotFound) else _near_jobs(page_request)
        values = {"problem": str(error), "title": "Not found", "near": near}
        return html("problem.html", page_request, values, status=404)
    except LedgerError as error:
        return _unreadable(page_request, str(error))
    except MemoryError:
        return _unreadable(page_request, "A text of this page is too large for the memory.")
    except SUSPICIOUS as error:
        problem = _damage_of(page_request.database)
        if problem is None:
            raise
        return _unreadable(
            page_request,
            f"Its content is not what orc writes ({type(error).__name__}): {problem}. "
            f"{quoted_command('verify')} lists what is wrong; {quoted_command('rebuild')} makes the "
            "tables again.",
        )


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """The names that are most like `name`, the best first."""
    return get_close_matches(name, list(known)[:_NAMES_MAX], n=_NEAR_MAX, cutoff=0.5)


def _near_jobs(page_request: PageRequest) -> list[tuple[str, str]]:
    """The jobs whose ids contain the name in the address, or are most like it."""
    wanted = page_request.names.get("job", "")
    with open_reader(page_request.database) as reader:
        rows = reader.connection.execute(
            "SELECT job_id FROM jobs ORDER BY position DESC LIMIT ?", (_NAMES_MAX,)
        )
        ids = [str(row[0]) for row in rows]
    within = [job_id for job_id in ids if wanted and wanted.lower() in job_id][:_NEAR_MAX]
    found = within or near_names(wanted.lower(), ids)
    return [(page_request.links.job(job_id), job_id) for job_id in found]


@contextmanager
def open_reader(path: Path) -> Iterator[LedgerReader]:
    """The ledger, whose tables are orc's own. Raises LedgerError."""
    with LedgerReader.open(path) as reader:
        with storage_errors(path):
            check_own_tables(reader.connection)
        yield reader


def _damage_of(path: Path) -> str | None:
    """The damage of the ledger, which is looked for once in each state of its files."""
    return _find_damage_once(path, stamp_of(path))


@lru_cache(maxsize=16)
def _find_damage_once(path: Path, stamp: tuple[object, ...]) -> str | None:
    return find_damage(path)


def _unreadable(page_request: PageRequest, problem: str) -> Any:
    values = {"problem": problem, "title": "The ledger cannot be read", "near": ()}
    return html("problem.html", page_request, values, status=503)


def html(
    template: str,
    page_request: PageRequest,
    values: dict[str, Any],
    *,
    status: int = 200,
    etag: str = "",
    cache: str = "no-cache",
    policy: str = POLICY,
) -> Any:
    """A page as a response, with the security headers."""
    # Imported here, so that Jinja loads with the first page and not when Datasette starts.
    from orc.projections.pages.render import render

    links = page_request.links
    shared = {
        "links": links,
        "css": links.static("orc.css", static_digest("orc.css")),
        "js": links.static("orc.js", static_digest("orc.js")),
        "shared_js": links.static("shared.js", static_digest("shared.js")),
        "tools_js": links.static("tools.js", static_digest("tools.js")),
        "view_js": links.static("view.js", static_digest("view.js")),
        "words": "",
        "csrf": page_request.csrf,
    }
    headers = {**HEADERS, "content-security-policy": policy, "cache-control": cache}
    if etag:
        headers["etag"] = etag
    return Response.html(render(template, {**shared, **values}), status=status, headers=headers)


def unchanged(page_request: PageRequest, what: str) -> tuple[str, Any | None]:
    """The `ETag` of a page with the content `what`; and a 304 response if the browser has it."""
    named = f"{what} {' '.join(map(static_digest, TYPES))}"
    etag = f'W/"{digest_bytes(named.encode())[:24]}"'
    if page_request.known_etag != etag:
        return etag, None
    headers = {**HEADERS, "etag": etag, "cache-control": "no-cache"}
    return etag, Response("", status=304, headers=headers)


async def static(request: Any) -> Any:
    """The response with the style sheet or the script."""
    name = request.url_vars["name"]
    if name not in TYPES:
        return Response.text("not found\n", status=404)
    headers = {**HEADERS, "cache-control": "public, max-age=31536000, immutable"}
    return Response(read_static(name), content_type=TYPES[name], headers=headers)


def inline(content: bytes, media_type: str, path: str) -> Any:
    """Bytes that others wrote and a browser shows: an image, or a document in a frame."""
    headers = {
        **HEADERS,
        "content-security-policy": PREVIEW_POLICY,
        "content-disposition": f"inline; filename*=UTF-8''{_file_name(path)}",
        "cache-control": "no-cache",
    }
    return Response(content, content_type=media_type, headers=headers)


def _file_name(path: str) -> str:
    return quote(path.rpartition("/")[2], safe="")


def attachment(reader: LedgerReader, digest: str, path: str) -> Any:
    """A download of bytes that others wrote; a browser saves them and does not display them.

    A file of the store is sent in parts. Raises LedgerError.
    """
    if not reader.is_stored_file(digest):
        return download(reader.read_blob(digest), path)
    headers = _as_download(path)
    size_bytes = reader.blob_size(digest)
    reader.open_blob(digest).close()
    return _Download(_parts(reader.path, digest), size_bytes, headers)


def download(content: bytes, path: str) -> Any:
    """Bytes that a browser saves under the last part of `path`, and does not display."""
    headers = _as_download(path)
    return Response(content, content_type="application/octet-stream", headers=headers)


def _as_download(path: str) -> dict[str, str]:
    return {
        **HEADERS,
        "content-security-policy": "default-src 'none'; sandbox",
        "content-disposition": f"attachment; filename*=UTF-8''{_file_name(path)}",
    }


def _parts(path: Path, digest: str) -> Iterator[bytes]:
    """The parts of a blob. They are read when the reader of the page is closed already."""
    with LedgerReader.open(path) as reader:
        yield from reader.blob_chunks(digest)


class _Download(Response):  # type: ignore[misc]  # Datasette has no types.
    """A response that is sent in parts. It ends before the last part if the file was changed."""

    def __init__(self, parts: Iterator[bytes], size_bytes: int, headers: dict[str, str]) -> None:
        super().__init__(
            "",
            headers={**headers, "content-length": str(size_bytes)},
            content_type="application/octet-stream",
        )
        self._parts = parts

    async def asgi_send(self, send: Any) -> None:
        head = [(key.encode(), value.encode()) for key, value in self.headers.items()]
        head.append((b"content-type", self.content_type.encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        part = await asyncio.to_thread(next, self._parts, b"")
        while part:
            try:
                following = await asyncio.to_thread(next, self._parts, b"")
            except (LedgerError, OSError):
                # The browser has the length of the file, and so sees that the download is not whole.
                return
            message = {"type": "http.response.body", "body": part, "more_body": bool(following)}
            await send(message)
            part = following
