"""The Datasette plugin: with it, `datasette runs.db` shows a ledger in a readable form.

The plugin only reads, and does not change how other databases are shown. Datasette imports this
module when it starts, so the module imports nothing that loads slowly.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

from datasette import database as database_module
from datasette import hookimpl
from datasette.utils import tilde_decode, tilde_encode
from datasette.views import base as views_module

from orc.ledger.connection import has_ledger_header
from orc.ledger.errors import ExposedFiles, LedgerError, StorageError
from orc.ledger.files.snapshot import stamp_of
from orc.projections.datasette.cells import CellPlace, render
from orc.projections.datasette.incoming import allowed_hosts, checked
from orc.projections.datasette.limits import limit, with_opcodes
from orc.projections.datasette.look import add_templates, datasette_style
from orc.projections.datasette.outgoing import made_safe
from orc.projections.datasette.problems import problem_response
from orc.projections.datasette.queries import ledger_queries
from orc.projections.datasette.routes import routes
from orc.projections.datasette.security import datasette_policy, with_headers
from orc.projections.datasette.stderr import make_stderr_safe
from orc.projections.datasette.tables import SHOWN, ledger_metadata
from orc.projections.pages.links import DatasetteLinks
from orc.projections.pages.requests import Asgi
from orc.projections.pages.views import links_of

_Function = TypeVar("_Function", bound=Callable[..., Any])

_row_page: ContextVar[bool] = ContextVar("row_page", default=False)
_known: set[Path] = set()
_OTHERS_MAX = 1_000
_others: dict[Path, tuple[object, ...]] = {}
"""What is no ledger, with the state of its files: to look again may mean to copy them."""


def _hook(function: _Function) -> _Function:
    """Mark a hook of Datasette. `hookimpl` itself has no types."""
    return cast(_Function, hookimpl(function))


def _wrapper(function: _Function) -> _Function:
    """Mark a hook that sees and changes what other plugins return."""
    return cast(_Function, hookimpl(hookwrapper=True)(function))


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
    shown = _has_ledger(datasette) if database is None else _is_ledger(datasette, database)
    return [f"data:text/css,{quote(datasette_style())}"] if shown else []


@_hook
def prepare_jinja2_environment(env: Any, datasette: Any) -> None:
    """Add our navigation to Datasette's pages; see `look.py`."""
    add_templates(env)


@_hook
def extra_template_vars(database: str | None, datasette: Any) -> dict[str, Any]:
    """The addresses in the navigation: those of the ledger that is shown, or of the only one."""
    ledgers = [name for name in datasette.databases if _is_ledger(datasette, name)]
    name = database if database in ledgers else None
    if database is None and len(ledgers) == 1:
        name = ledgers[0]
    return {"orc_links": None if name is None else links_of(datasette, name)}


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
    """Limit the instructions of SQL, and make messages safe. Datasette has no hooks for this."""
    make_stderr_safe(database_module, views_module, serves_ledgers=lambda: _has_ledger(datasette))
    try:
        allowed_hosts(datasette.plugin_config("orc"))
    except ValueError as error:
        raise SystemExit(f"Error: {error}") from error
    if database_module.sqlite_timelimit.__module__ != with_opcodes.__module__:
        database_module.sqlite_timelimit = with_opcodes(database_module.sqlite_timelimit)


@_hook
def prepare_connection(conn: sqlite3.Connection, database: str, datasette: Any) -> None:
    """Limit the SQL on ledgers, also through Datasette's database in memory (`--crossdb`)."""
    is_cross = datasette.crossdb and database == "_memory" and _has_ledger(datasette)
    if is_cross or (database in datasette.databases and _is_ledger(datasette, database)):
        limit(conn)


@_wrapper
def handle_exception(datasette: Any, request: Any, exception: Exception) -> Iterator[None]:
    """Pages for errors (see `problems.py`) in place of those that Datasette makes.

    Datasette would print each error with the values of all variables on stdout if rich is installed.
    """
    outcome: Any = yield
    if _has_ledger(datasette) and not datasette.pdb:
        own = "datasette.handle_exception"
        others = [made for made in outcome.get_result() if getattr(made, "__module__", "") != own]
        outcome.force_result([*others, problem_response(datasette, request, exception, _is_ledger)])


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
    - Refuse requests of other sites (`incoming.py`), make each response safe (`outgoing.py`), and
      add the headers of `security.py`.
    """
    try:
        hosts = allowed_hosts(datasette.plugin_config("orc"))
    except ValueError:
        hosts = frozenset()  # `startup` ends the server with a message.

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

        answered = with_headers(made_safe(by_address, has_ledger), policy_now)
        return checked(answered, has_ledger, hosts=hosts, has_cors=datasette.cors)

    policies: list[str] = []

    def has_ledger() -> bool:
        return _has_ledger(datasette)

    def policy_now() -> str | None:
        if not has_ledger():
            return None
        if not policies:
            policies.append(datasette_policy(datasette))
        return policies[0]

    return wrap


def _has_ledger(datasette: Any) -> bool:
    return any(_is_ledger(datasette, name) for name in datasette.databases)


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
    if path in _known:
        return True
    stamp = _stamp_of(path)
    if stamp is not None and _others.get(path) == stamp:
        return False
    found = _has_our_header(path)
    if found:
        _known.add(path)
    elif found is False and stamp is not None:
        if len(_others) >= _OTHERS_MAX:
            _others.clear()
        _others[path] = stamp
    # What cannot be examined now may be a ledger: the checks and limits of ledgers are kept.
    return found is not False


def _stamp_of(path: Path) -> tuple[object, ...] | None:
    """The state of the files; None without a file, or if they cannot be examined."""
    try:
        return stamp_of(path) or None
    except OSError:
        return None


def _has_our_header(path: Path) -> bool | None:
    """Whether the file is a ledger; None if that cannot be known now."""
    # Through SQLite: the header may still be in the WAL, and closing a plain
    # descriptor of the file would drop SQLite's locks in this process.
    try:
        return has_ledger_header(path)
    except (ExposedFiles, StorageError):
        return None
    except LedgerError:
        return False
