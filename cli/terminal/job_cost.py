"""The cost of a job or a step in JSON. Imports nothing that loads slowly."""

from __future__ import annotations

from typing import Any

from orc.ledger.money import usd_number


def with_whole_cost(row: dict[str, Any]) -> dict[str, Any]:
    """The row in US dollars: None for a cost that is only partly known, and the known part beside it."""
    found = {name: value for name, value in row.items() if not name.endswith("_nano_usd")}
    known = usd_number(row["cost_nano_usd"] or 0)
    return {**found, "cost_usd": None if row["calls_unpriced"] else known, "cost_known_usd": known}
