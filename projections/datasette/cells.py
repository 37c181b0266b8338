"""How Datasette shows one cell of a ledger: as a link, a time, a cost, or whole or shortened text.

The text of a cell may come from a model. Only `Markup.format` makes markup here, and it escapes its
arguments; Datasette escapes plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from orc.ledger.command_lines import command_line, ledger_named
from orc.ledger.kinds import STARTING
from orc.ledger.money import nearest_nano_usd
from orc.ledger.reader import LedgerReader
from orc.ledger.wording import calls_cost_text, usd_text, visible
from orc.projections.money.unknown_costs import has_cost
from orc.projections.tables.status import starting_text, status_by_processes

SHORT_CHARS = 200
LONG_CHARS = 10_000
"""The most characters of a text in a table, and in the result of a query. A row's page shows all."""

STYLE = """
.column-descriptions { display: none }
.orc-time, .table td:first-child { white-space: nowrap }
.orc-text { min-width: 16rem; max-width: 60rem; overflow-wrap: anywhere }
.row .orc-text, .query .orc-text { white-space: pre-wrap }
.table .orc-text { white-space: normal }
.query .orc-text { max-height: 24rem; overflow: auto }
@media (min-width: 577px) {
  .row .rows-and-columns { display: grid; grid: auto-flow dense / max-content 1fr }
  .row .rows-and-columns :is(thead, tbody, tr) { display: contents }
  .row .rows-and-columns th { grid-column: 1; text-align: left; border: 0; padding: 4px 16px 4px 0 }
  .row .rows-and-columns td { grid-column: 2; border: 0 }
}
"""
"""The style of a ledger's pages. The page of a row shows one column on each line.

The list of column descriptions is hidden: the menu in each column's header has them too.
"""

_PLAIN_CHARS_MAX = 24
_PRETTY_CHARS_MAX = 1_000_000

_LINKED = {
    "job_id": "jobs",
    "step_id": "steps",
    "attempt_id": "attempts",
    "call_id": "llm_calls",
    "file_id": "files",
    "paid_by_job": "jobs",
}
_BLOBS = frozenset(
    "sha256 output_sha256 log_sha256 request_blob reply_blob arguments_blob result_blob".split()
)
_OTHER_DIGESTS = frozenset({"request_sha256", "hash"})
_COUNTED: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    ("jobs", "steps_total"): ("steps", {"_sort": "position"}),
    ("jobs", "steps_succeeded"): ("steps", {"_sort": "position", "status": "succeeded"}),
    ("jobs", "steps_failed"): ("steps", {"_sort": "position", "status": "failed"}),
    ("jobs", "steps_skipped"): ("steps", {"_sort": "position", "status": "skipped"}),
    ("jobs", "calls"): ("llm_calls", {}),
    ("steps", "attempts"): ("attempts", {}),
    ("steps", "calls"): ("llm_calls", {}),
}
"""Columns that count rows of another table: that table, and the parameters that select the rows."""

_UNPRICED = "the price of a model is unknown; add it to prices.yaml beside the ledger"

_JOB_ID = re.compile(r"job_[a-z0-9]{1,64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class CellPlace:
    """Where a cell is: its table, its row, and the ledger's file.

    `table` is None in the result of a query. `row_url` returns the address of a row from table and
    key, `table_url` that of a table. `whole` says whether the page shows only this row.
    """

    def __init__(
        self,
        *,
        table: str | None,
        row: Mapping[str, Any],
        database: Path,
        table_url: Callable[[str], str],
        row_url: Callable[[str, str], str],
        whole: bool,
    ) -> None:
        self.table = table
        self.row = row
        self.database = database
        self.table_url = table_url
        self.row_url = row_url
        self.whole = whole

    def get(self, column: str) -> Any:
        """The value of another cell of the row; None if the row does not have the column."""
        if column not in self.row.keys():  # noqa: SIM118  (a row of sqlite3 iterates over its values)
            return None
        return _plain(self.row[column])


def render(column: str, value: Any, place: CellPlace) -> str | None:
    """The markup of the cell. With None, Datasette shows the value and escapes markup in it."""
    found = _render(column, value, place)
    plain = _plain(value)
    if found is None and isinstance(plain, str) and visible(plain, kept="\n\t") != plain:
        return Markup('<div class="orc-text">{}</div>').format(visible(plain, kept="\n\t"))
    return found


def _render(column: str, value: Any, place: CellPlace) -> str | None:
    label, value = _label(value), _plain(value)
    is_amount = isinstance(value, int | float) and isfinite(value)
    if column == "cost_usd" and (is_amount or value is None):
        return _cost(value, place)
    if column in ("saved_usd", "in_doubt_usd", "worst_case_usd") and is_amount:
        return usd_text(nearest_nano_usd(value))
    if isinstance(value, int) and (place.table, column) == ("blobs", "content"):
        return _link(place.row_url("events", str(value)), "removed by this event")
    if value == b"" and (place.table, column) == ("blobs", "content") and place.get("size_bytes"):
        return "in a file beside the ledger"
    if isinstance(value, int) and value > 0 and (place.table, column) in _COUNTED:
        return _counted(column, value, place)
    if not isinstance(value, str) or not value:
        return None
    if place.table == "jobs" and column == "status":
        return _job_status(value, place)
    if place.table == "steps" and column == "needs":
        return _needs(value, place)
    if column in _LINKED:
        return _linked(column, value, label, place)
    if column in _BLOBS and _DIGEST.fullmatch(value) and place.table != "blobs":
        return _link(place.row_url("blobs", value), _short_digest(value), title=value)
    if column in _OTHER_DIGESTS and _DIGEST.fullmatch(value) and not place.whole:
        return Markup('<code title="{}">{}</code>').format(value, _short_digest(value))
    if _TIME.fullmatch(value):
        return _time(value)
    return _text(value, place)


def _job_status(status: str, place: CellPlace) -> str | None:
    job_id = place.get("job_id")
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
        return None
    is_queued = place.get("queued") == 1
    shown = status_by_processes(
        place.database,
        job_id,
        status,
        is_queued=lambda: is_queued,
        head=lambda: _head(place.database, job_id),
    )
    if shown == status:
        return None
    with ledger_named(place.database):
        title = f"no process runs the job; {command_line('resume', job_id)} continues it"
        if shown == STARTING:
            title = starting_text()
        elif is_queued:
            title = f"no worker has taken the job; {command_line('work')} runs it"
    return Markup('<span title="{}">{}</span>').format(title, shown)


def _head(database: Path, job_id: str) -> int:
    with LedgerReader.open(database) as reader:
        return reader.head(job_id).version


def _cost(cost_usd: Any, place: CellPlace) -> str | None:
    """A cost. An unknown cost and a partial one are shown as such; without calls there is none."""
    unpriced, calls = place.get("calls_unpriced"), place.get("calls")
    if not isinstance(unpriced, int):
        # The row of a call.
        costs = has_cost(place.get("status"), place.get("input_tokens"))
        unpriced = int(cost_usd is None and costs)
    if not isinstance(calls, int):
        calls = int(cost_usd is not None or unpriced)
    known = None if cost_usd is None else nearest_nano_usd(cost_usd)
    shown = calls_cost_text(calls, known, unpriced, brief=True)
    if not shown:
        return None
    title = _UNPRICED if unpriced else f"{cost_usd or 0} US dollars"
    return Markup('<span title="{}">{}</span>').format(title, shown)


def _counted(column: str, count: int, place: CellPlace) -> str | None:
    assert place.table is not None
    table, chosen = _COUNTED[place.table, column]
    key = "job_id" if place.table == "jobs" else "step_id"
    owner = place.get(key)
    if owner is None:
        return None
    query = urlencode({f"{key}__exact": owner, **chosen})
    return _link(f"{place.table_url(table)}?{query}", str(count))


def _needs(needs: str, place: CellPlace) -> str | None:
    job_id = place.get("job_id")
    if job_id is None:
        return None
    return Markup(", ").join(
        _link(place.row_url("steps", f"{job_id}/{name}"), name) for name in needs.split(", ")
    )


def _linked(column: str, key: str, label: str, place: CellPlace) -> str | None:
    table = _LINKED[column]
    if table == place.table:
        return None
    if table == "jobs":
        label = key
    elif label == key:
        # Without the job of `job/step` and `job/step/attempt`, which has a column of its own.
        label = key.partition("/")[2] or key
    return _link(place.row_url(table, key), label, title=key)


def _time(at: str) -> Markup:
    return Markup('<span class="orc-time" title="{}">{} {}</span>').format(
        at, at[:10], at[11:23].rstrip("Z")
    )


def _text(value: str, place: CellPlace) -> str | None:
    if place.whole:
        text = _pretty(value)
    else:
        text = _shortened(value, LONG_CHARS if place.table is None else SHORT_CHARS)
    text = visible(text, kept="\n\t")
    if text == value and "\n" not in text and len(text) < _PLAIN_CHARS_MAX:
        return None
    return Markup('<div class="orc-text">{}</div>').format(text)


def _pretty(text: str) -> str:
    if not text.startswith(("{", "[")) or len(text) > _PRETTY_CHARS_MAX:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _shortened(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[:chars]}…"


def _short_digest(digest: str) -> str:
    return f"{digest[:10]}…"


def _link(url: str, text: str, *, title: str = "") -> Markup:
    text, title = visible(text), visible(title)
    if title in ("", text):
        return Markup('<a href="{}">{}</a>').format(url, text)
    return Markup('<a href="{}" title="{}">{}</a>').format(url, title, text)


def _plain(value: Any) -> Any:
    """The value, without the label that Datasette may have added."""
    return value["value"] if isinstance(value, dict) else value


def _label(value: Any) -> str:
    return str(value["label"] if isinstance(value, dict) else value)
