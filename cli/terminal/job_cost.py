"""The cost of a job or a step in tables and JSON. Imports nothing that loads slowly."""

from __future__ import annotations

from typing import Any

from orc.ledger.money import usd_number
from orc.ledger.wording import cost_text


def with_whole_cost(row: dict[str, Any]) -> dict[str, Any]:
    """The row in US dollars: None for a cost that is only partly known, and the known part beside it."""
    found = {name: value for name, value in row.items() if not name.endswith("_nano_usd")}
    known = usd_number(row["cost_nano_usd"] or 0)
    return {**found, "cost_usd": None if row["calls_unpriced"] else known, "cost_known_usd": known}


def brief_cost(known_nano_usd: int | None, calls_unpriced: int) -> str:
    """A cost for a table; empty if no model was called."""
    if known_nano_usd is None and not calls_unpriced:
        return ""
    return cost_text(known_nano_usd, calls_unpriced, brief=True)
