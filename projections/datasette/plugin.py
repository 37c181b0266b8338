"""The Datasette plugin: with it, `datasette runs.db` shows a ledger in a readable form.

The plugin only reads, and does not change how other databases are shown. Datasette imports this
module when it starts, so the module imports nothing that loads slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

from datasette import handle_exception, hookimpl
from datasette.utils import tilde_decode, tilde_encode

from orc.ledger.connection import has_ledger_header
from orc.ledger.errors import LedgerError
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
    """Mark a hook of Datasette. `hookimpl` itself has no types."""
    return cast(_Function, hookimpl(function))


@_hook
def get_metadata(datasette: Any, key: str | None, database: str | None, table: str | None) -> Any:
    """Titles, orders and facets of every ledger. Datasette also calls this without a database."""
    ledgers = [name for name in datasette.databases if _is_ledger(datasette, name)]
    if not ledgers:
        return {}
    metadata: dict[str, Any] = {"databases": {name: ledger_metadata() for name in ledgers}}
    if len(ledgers) == sum(not name.startswith("_") for name in datasette.databases):
        metadata["title"] = "orc"
    return metadata


@_hook
def canned_queries(datasette: Any, database: str, actor: Any) -> Any:
    """The queries that are offered on a ledger's page."""
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
    """A cell of a ledger; see `cells.py`."""
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
    """The style of a ledger's pages, as a `data:` address, so that no file is served."""
    if database is None or not _is_ledger(datasette, database):
        return []
    return [f"data:text/css,{quote(STYLE)}"]


@_hook
def menu_links(datasette: Any) -> list[dict[str, str]]:
    """Links in Datasette's menu to orc's pages of jobs and search, for each ledger."""
    found = []
    for name in datasette.databases:
        if _is_ledger(datasette, name):
            links = DatasetteLinks(datasette, name)
            found.append({"href": links.home(), "label": f"Jobs of {name}"})
            found.append({"href": links.search(), "label": f"Search {name}"})
    return found


@_hook
def startup(datasette: Any) -> None:
    """Keep Datasette from printing errors with rich, if it serves a ledger.

    rich is installed with orc. If Datasette finds it, Datasette prints every error with the values
    of all variables on stdout, and fails at this for unknown addresses.
    """
    if any(_is_ledger(datasette, name) for name in datasette.databases):
        handle_exception.rich = None


@_hook
def register_routes(datasette: Any) -> list[tuple[str, Callable[..., Any]]]:
    """The routes of orc's own pages."""
    return routes(datasette, _is_ledger)


@_hook
def asgi_wrapper(datasette: Any) -> Callable[[Asgi], Asgi]:
    """Do what no other hook can do.

    - Tell `render_cell` whether the page shows one row: other pages show shortened texts.
    - Turn off suggested facets for a ledger's tables: with 100,000 steps, Datasette takes two
      seconds to find them, and the tables have facets already.
    - Add the headers of `security.py` to each response.
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
        return has_ledger_header(path)
    except LedgerError:
        return False
