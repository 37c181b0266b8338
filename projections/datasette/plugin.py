"""The Datasette plugin: `datasette runs.db` shows a ledger as tables that a person can read.

It reads, and nothing else. Databases that are no ledgers of orc are left as
they are. Datasette imports this at its start, so nothing heavy is imported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

from datasette import handle_exception, hookimpl
from datasette.utils import tilde_decode, tilde_encode

from orc.ledger.schema import APPLICATION_ID
from orc.projections.datasette.cells import STYLE, CellPlace, render
from orc.projections.datasette.queries import ledger_queries
from orc.projections.datasette.routes import routes
from orc.projections.datasette.security import Asgi, datasette_policy, with_headers
from orc.projections.datasette.tables import SHOWN, ledger_metadata
from orc.projections.pages.links import DatasetteLinks

_Function = TypeVar("_Function", bound=Callable[..., Any])

_row_page: ContextVar[bool] = ContextVar("row_page", default=False)
_known: set[Path] = set()


def _hook(function: _Function) -> _Function:
    """Mark a hook; the decorator itself has no types."""
    return cast(_Function, hookimpl(function))


@_hook
def get_metadata(datasette: Any, key: str | None, database: str | None, table: str | None) -> Any:
    """Titles, orders and facets of every ledger; Datasette asks with no database as well."""
    ledgers = [name for name in datasette.databases if _is_ledger(datasette, name)]
    if not ledgers:
        return {}
    metadata: dict[str, Any] = {"databases": {name: ledger_metadata() for name in ledgers}}
    if len(ledgers) == sum(not name.startswith("_") for name in datasette.databases):
        metadata["title"] = "orc"
    return metadata


@_hook
def canned_queries(datasette: Any, database: str, actor: Any) -> Any:
    """The queries of a ledger's page."""
    return ledger_queries() if _is_ledger(datasette, database) else {}


@_hook
def render_cell(
    row: Mapping[str, Any],
    value: Any,
    column: str,
    table: str | None,
    database: str,
    datasette: Any,
) -> str | None:
    """A cell of a ledger, shown for people."""
    if not _is_ledger(datasette, database):
        return None
    urls = datasette.urls
    place = CellPlace(
        table=table,
        row=row,
        database=Path(datasette.databases[database].path),
        table_url=lambda name: str(urls.table(database, name)),
        row_url=lambda name, key: str(urls.row(database, name, tilde_encode(key))),
        whole=_row_page.get(),
    )
    return render(column, value, place)


@_hook
def extra_css_urls(datasette: Any, database: str | None) -> list[str]:
    """The style of a ledger's pages, in the address itself: there is no file to serve."""
    if database is None or not _is_ledger(datasette, database):
        return []
    return [f"data:text/css,{quote(STYLE)}"]


@_hook
def menu_links(datasette: Any) -> list[dict[str, str]]:
    """The way back from Datasette's pages: the jobs and the search of each ledger, in the menu."""
    found = []
    for name in datasette.databases:
        if _is_ledger(datasette, name):
            links = DatasetteLinks(datasette, name)
            found.append({"href": links.home(), "label": f"Jobs of {name}"})
            found.append({"href": links.search(), "label": f"Search {name}"})
    return found


@_hook
def startup(datasette: Any) -> None:
    """Keep Datasette from drawing its errors with rich, where a ledger is served.

    orc brings rich along. Datasette takes it to print every error with the values of all
    variables, on stdout; and for an address of which nothing is known it fails in that.
    """
    if any(_is_ledger(datasette, name) for name in datasette.databases):
        handle_exception.rich = None


@_hook
def register_routes(datasette: Any) -> list[tuple[str, Callable[..., Any]]]:
    """The pages of orc's own."""
    return routes(datasette, _is_ledger)


@_hook
def asgi_wrapper(datasette: Any) -> Callable[[Asgi], Asgi]:
    """Three things that no other hook can do, two of them by the address of the page.

    `render_cell` is not told whether a page shows one row, and shortens all
    others. And on 100,000 steps Datasette looks two seconds for columns to
    suggest as facets; a ledger's tables have theirs. And each answer has the headers
    of `datasette_security.py`.
    """

    def wrap(app: Asgi) -> Asgi:
        async def by_address(scope: dict[str, Any], receive: Any, send: Any) -> None:
            path = str(scope.get("path", ""))
            parts = path.removeprefix(datasette.setting("base_url")).strip("/").split("/")
            _row_page.set(len(parts) == 3)
            table = parts[-1].removesuffix(".json")
            if len(parts) == 2 and table in SHOWN and _is_ledger_at(datasette, parts[0]):
                query = scope.get("query_string", b"")
                if b"_nosuggest" not in query:
                    scope = {**scope, "query_string": query + b"&_nosuggest=1"}
            await app(scope, receive, send)

        return with_headers(by_address, policy_now)

    policies: list[str] = []

    def policy_now() -> str | None:
        if not any(_is_ledger(datasette, name) for name in datasette.databases):
            return None
        if not policies:
            policies.append(datasette_policy(datasette))
        return policies[0]

    return wrap


def _is_ledger_at(datasette: Any, route: str) -> bool:
    try:
        name = datasette.get_database(route=tilde_decode(route)).name
    except KeyError:
        return False
    return _is_ledger(datasette, name)


def _is_ledger(datasette: Any, name: str) -> bool:
    path = datasette.databases[name].path
    if path is None:
        return False
    path = Path(path).absolute()
    if path not in _known and _has_our_header(path):
        _known.add(path)
    return path in _known


def _has_our_header(path: Path) -> bool:
    # Through SQLite: the header may still be in the WAL, and closing a plain
    # descriptor of the file would drop SQLite's locks in this process.
    try:
        uri = f"file:{quote(str(path))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
            found = connection.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.Error:
        return False
    return bool(found == APPLICATION_ID)
