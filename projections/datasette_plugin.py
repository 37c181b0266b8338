"""The Datasette plugin: `datasette runs.db` shows a ledger as tables that a person can read.

It reads, and nothing else. Databases that are no ledgers of orc are left as
they are. Datasette imports this at its start, so nothing heavy is imported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

from datasette import hookimpl
from datasette.utils import tilde_encode

from ledger.schema import APPLICATION_ID
from projections.datasette_cells import Place, render
from projections.datasette_queries import ledger_queries
from projections.datasette_tables import ledger_metadata

_Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

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
    place = Place(
        table=table,
        row=row,
        database=Path(datasette.databases[database].path),
        table_url=lambda name: str(urls.table(database, name)),
        row_url=lambda name, key: str(urls.row(database, name, tilde_encode(key))),
        whole=_row_page.get(),
    )
    return render(column, value, place)


@_hook
def asgi_wrapper(datasette: Any) -> Callable[[_Asgi], _Asgi]:
    """Remember whether the page is one row's: `render_cell` is not told, and shortens others."""

    def wrap(app: _Asgi) -> _Asgi:
        async def note_the_page(scope: dict[str, Any], receive: Any, send: Any) -> None:
            path = str(scope.get("path", ""))
            below = path.removeprefix(datasette.setting("base_url")).strip("/")
            _row_page.set(len(below.split("/")) == 3)
            await app(scope, receive, send)

        return note_the_page

    return wrap


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
