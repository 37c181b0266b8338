"""`orc cost`: what calls cost, as a table and as a JSON value."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from functools import reduce
from typing import Any

from orc.cli.terminal.text import put, put_json, say, table
from orc.projections.folds.doubts import Doubts
from orc.projections.money.spending import By, SpendingGroup, read_spending
from orc.projections.money.wording import cost_text


def put_cost(
    connection: sqlite3.Connection,
    *,
    by: By,
    job_id: str | None,
    since: str | None,
    as_json: bool,
) -> None:
    """Print the groups, the dearest first, and all of them together."""
    groups = read_spending(connection, by=by, job_id=job_id, since=since)
    total = reduce(SpendingGroup.plus, groups, SpendingGroup("total"))
    if as_json:
        put_json(
            {
                "job_id": job_id,
                "by": by,
                "since": since,
                "groups": [{by: group.key, **_value(group)} for group in groups],
                "total": _value(total),
            }
        )
        return
    if not groups:
        say("no call to a model" + (f" since {since}" if since else ""))
        return
    heads = (by.upper() + " (UTC)" * (by == "day"), "CALLS", "TOKENS IN", "CACHED", "OUT",
             "FROM CACHE", "SAVED", "COST")  # fmt: skip
    put(table(heads, [_row(group) for group in (*groups, total)]))
    put()
    spent = cost_text(total.cost_usd, total.calls_unpriced)
    put(f"spent {spent}")
    if total.from_cache:
        saved = cost_text(total.saved_usd, total.saved_unpriced)
        put(f"saved by replies from the ledger {saved}")
    if total.in_doubt:
        put(Doubts(total.in_doubt, total.in_doubt_usd, total.in_doubt_unpriced).text())


def _row(group: SpendingGroup) -> tuple[str, ...]:
    return (
        group.key,
        f"{group.calls:,}",
        f"{group.input_tokens:,}",
        f"{group.cached_tokens:,}" if group.cached_tokens else "",
        f"{group.output_tokens:,}",
        f"{group.from_cache:,}" if group.from_cache else "",
        cost_text(group.saved_usd, group.saved_unpriced, brief=True) if group.from_cache else "",
        cost_text(group.cost_usd, group.calls_unpriced, brief=True),
    )


def _value(group: SpendingGroup) -> dict[str, Any]:
    found = asdict(group)
    del found["key"]
    known = found.pop("cost_usd")
    doubts = Doubts(
        found.pop("in_doubt"), found.pop("in_doubt_usd"), found.pop("in_doubt_unpriced")
    )
    cost = None if group.calls_unpriced else known
    return {**found, "cost_usd": cost, "cost_known_usd": known, "in_doubt": doubts.value()}
