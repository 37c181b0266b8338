"""`orc cost`: what model calls cost, as a table or as a JSON value."""

from __future__ import annotations

import sqlite3
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, cast

from orc.cli.assess.unknown_tag import unknown_tag_text
from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import read_tables
from orc.cli.options import Database, Json, TagFilter, parse_since
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.tables.columns import id_column, number_column
from orc.cli.terminal.tables.table import put_table
from orc.cli.terminal.text import put, put_json, say
from orc.ledger.money import usd_number
from orc.ledger.names import find_job
from orc.ledger.wording import (
    calls_cost_text,
    cost_text,
    count_text,
    number_text,
    tokens_text,
    usd_text,
)
from orc.projections.folds.doubts import Doubts

if TYPE_CHECKING:
    from orc.projections.money.spending import By, SpendingGroup

_BY = ("model", "provider", "day", "step", "job", "project")


def command(
    job: Annotated[
        str | None,
        Argument(
            help="Only calls of this job. Default: all calls in the ledger.",
            metavar="JOB",
            complete="complete_jobs",
        ),
    ] = None,
    by: Annotated[
        str | None,
        Option(
            help="Group by model, provider, day (UTC), step, job or project. "
            "Default: by step for one job, else by model.",
            metavar="WHAT",
            complete=lambda: list(_BY),
        ),
    ] = None,
    since: Annotated[
        str | None,
        Option(
            help="Only calls made in the last 30m or 2d, or since a date (UTC) such as 2026-11-01.",
            metavar="WHEN",
        ),
    ] = None,
    tag: TagFilter = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Add up what model calls cost, and what the caches saved."""
    chosen = _by(by or ("model" if job is None else "step"))
    moment = parse_since(since)
    with read_tables(database) as (connection, path):
        job_id = None if job is None else find_job(connection, job, path=path)
        _put_cost(connection, by=chosen, job_id=job_id, since=moment, tag=tag, as_json=as_json)
    return 0


def _by(name: str) -> By:
    if name not in _BY:
        # Imported here, since it loads slowly.
        from orc.scheduler.core.errors import nearest

        raise UsageProblem(f"--by: costs cannot be grouped by {name!r}{nearest(name, _BY)}")
    return cast("By", name)


def _put_cost(
    connection: sqlite3.Connection,
    *,
    by: By,
    job_id: str | None,
    since: str | None,
    tag: str | None,
    as_json: bool,
) -> None:
    """Print the groups, most expensive first, and their total."""
    from orc.projections.money.spending import SpendingGroup, read_spending

    groups = read_spending(connection, by=by, job_id=job_id, since=since, tag=tag)
    total = reduce(SpendingGroup.plus, groups, SpendingGroup("total"))
    if as_json:
        put_json(
            {
                "job_id": job_id,
                "by": by,
                "since": since,
                "tag": tag,
                "groups": [{by: group.key, **_value(group)} for group in groups],
                "total": _value(total),
            }
        )
        return
    if not groups:
        unknown = unknown_tag_text(connection, tag)
        say(unknown or "no model was called" + (f" since {since}" if since else ""))
        return
    heads = (
        id_column(by.upper() + " (UTC)" * (by == "day")),
        number_column("CALLS"),
        number_column("TOKENS IN", drop=2),
        number_column("CACHED", drop=4),
        number_column("WRITTEN", drop=6),
        number_column("OUT", drop=1),
        number_column("FROM CACHE", drop=5),
        number_column("SAVED", drop=3),
        number_column("COST"),
    )
    put_table(heads, [_row(group) for group in (*groups, total)])
    put()
    spent = calls_cost_text(total.calls_costed, total.cost_nano_usd, total.calls_unpriced)
    nothing = "nothing so far" if total.unanswered else "nothing that was counted"
    nothing = nothing if total.calls else "nothing: no model was called"
    put(f"spent {spent or nothing}")
    if total.unanswered:
        verb = "has" if total.unanswered == 1 else "have"
        put(f"{count_text(total.unanswered, 'call')} {verb} no reply yet")
    if total.calls_reported:
        reported = usd_text(total.reported_nano_usd)
        calls = count_text(total.calls_reported, "call")
        put(f"reported by the servers themselves {reported} ({calls})")
    if total.from_cache:
        saved = cost_text(total.saved_nano_usd, total.saved_unpriced)
        put(f"saved by the reply cache {saved}")
    if total.in_doubt:
        put(Doubts(total.in_doubt, total.in_doubt_nano_usd, total.in_doubt_unpriced).text())


def _row(group: SpendingGroup) -> tuple[str, ...]:
    return (
        group.key,
        number_text(group.calls),
        tokens_text(group.input_tokens),
        number_text(group.cached_tokens) if group.cached_tokens else "",
        number_text(group.cache_write_tokens) if group.cache_write_tokens else "",
        tokens_text(group.output_tokens),
        number_text(group.from_cache) if group.from_cache else "",
        cost_text(group.saved_nano_usd, group.saved_unpriced, brief=True)
        if group.from_cache
        else "",
        calls_cost_text(group.calls_costed, group.cost_nano_usd, group.calls_unpriced, brief=True),
    )


def _value(group: SpendingGroup) -> dict[str, Any]:
    from msgspec import to_builtins

    found = to_builtins(group)
    del found["key"], found["calls_priced"]
    known = usd_number(found.pop("cost_nano_usd"))
    reported = usd_number(found.pop("reported_nano_usd"))
    saved = usd_number(found.pop("saved_nano_usd"))
    doubts = Doubts(
        found.pop("in_doubt"), found.pop("in_doubt_nano_usd"), found.pop("in_doubt_unpriced")
    )
    cost = None if group.calls_unpriced else known
    return {
        **found,
        "saved_usd": None if group.saved_unpriced else saved,
        "saved_known_usd": saved,
        "cost_usd": cost,
        "cost_known_usd": known,
        "reported_usd": reported if group.calls_reported else None,
        "in_doubt": doubts.value(),
    }
