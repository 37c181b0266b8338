"""The page for an address of Datasette at which there is nothing: what is missing, and what there is.

It names tables and queries of a ledger, which every ledger has. Databases are named by Datasette's
start page, to those who may see them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datasette.utils import tilde_decode
from msgspec import Struct

from orc.projections.datasette.queries import QUERIES
from orc.projections.datasette.tables import SHOWN
from orc.projections.pages.views import near_names

_NAME_CHARS = 80


class MissingPage(Struct, frozen=True):
    """What is not there: `ledger` is the name of the ledger that was asked, or of the only one.

    `near` are addresses with similar names.
    """

    message: str
    ledger: str | None
    near: tuple[tuple[str, str], ...] = ()


def find_missing(
    datasette: Any, request: Any, is_ledger: Callable[[Any, str], bool]
) -> MissingPage:
    """What the address of the request asks for in vain."""
    path = request.path.partition("?")[0].removeprefix(datasette.setting("base_url").rstrip("/"))
    parts = [_named(part) for part in path.strip("/").split("/")]
    ledgers = [name for name in datasette.databases if is_ledger(datasette, name)]
    only = ledgers[0] if len(ledgers) == 1 else None
    if not parts[0] or parts[0] == "-" or len(parts) > 3:
        return MissingPage("There is no page at this address.", only)
    try:
        database = str(datasette.get_database(route=parts[0]).name)
    except KeyError:
        return MissingPage(f"The server has no database `{parts[0]}`.", only)
    if len(parts) == 1:
        return MissingPage(f"The database `{parts[0]}` has no such page.", only)
    if database not in ledgers:
        what = f"table or query `{parts[1]}`" if len(parts) == 2 else f"such row in `{parts[1]}`"
        return MissingPage(f"The database `{database}` has no {what}.", only)
    known = [*SHOWN, *QUERIES]
    if len(parts) == 3 and parts[1] in known:
        table = (str(datasette.urls.table(database, parts[1])), f"all rows of {parts[1]}")
        return MissingPage(f"The table `{parts[1]}` has no row `{parts[2]}`.", database, (table,))
    near = [
        (str(datasette.urls.table(database, name)), name) for name in near_names(parts[1], known)
    ]
    return MissingPage(f"The ledger has no table or query `{parts[1]}`.", database, tuple(near))


def _named(part: str) -> str:
    """A part of the address, shortened, without the mark that the page reads as code."""
    name = tilde_decode(part).replace("`", "'").removesuffix(".json").removesuffix(".csv")
    return name if len(name) <= _NAME_CHARS else f"{name[:_NAME_CHARS]}…"
