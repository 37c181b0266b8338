"""What the handlers of the read model write with: rows by statement, and how values are shown."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from typing import Any

from orc.ledger.events import Payload
from orc.projections.money.prices import PriceTable
from orc.projections.tables.statements import ORDER, STATEMENTS

PREVIEW_CHARS = 200


class Writer:
    """Rows and counters of a batch, until they are written."""

    def __init__(self, connection: sqlite3.Connection, prices: PriceTable) -> None:
        self.connection = connection
        self.prices = prices
        self.rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self.counters: dict[str, list[int]] = {}

    def add(self, statement: str, *values: Any) -> None:
        """One more row for a statement."""
        self.rows[statement].append(values)

    def count(self, job_id: str, index: int, change: int = 1) -> None:
        """Succeeded is counter 0, failed 1, skipped 2."""
        self.counters.setdefault(job_id, [0, 0, 0])[index] += change

    def flush(self) -> None:
        """Write all of it, in the statements' order."""
        for job_id, counts in self.counters.items():
            self.add("counters", *counts, job_id)
        for statement in ORDER:
            rows = self.rows.get(statement)
            if rows:
                self.connection.executemany(STATEMENTS[statement], rows)
        self.rows.clear()
        self.counters.clear()

    def requested_model(self, call_id: str) -> str | None:
        """The model that a call asked for, until its answer has named another."""
        self.flush()
        query = "SELECT model FROM llm_calls WHERE call_id = ?"
        row = self.connection.execute(query, (call_id,)).fetchone()
        return None if row is None else row[0]

    def spec(self, payload: Payload, job_id: str) -> Any:
        """A resolved spec; where its bytes were removed, what the job's events tell of it."""
        if payload.sha256 is None:
            return payload.value
        row = self.connection.execute(
            "SELECT content FROM blobs WHERE sha256 = ?", (payload.sha256,)
        ).fetchone()
        if not isinstance(row[0], int):
            return json.loads(row[0])
        named = self.connection.execute(
            "SELECT step FROM events WHERE job_id = ? AND step IS NOT NULL "
            "GROUP BY step ORDER BY min(version)",
            (job_id,),
        )
        # What is inside a step has a row from the event that brought it.
        steps = [step for (step,) in named if not any(mark in step for mark in "[#/")]
        rows = [{"id": step, "kind": "unknown"} for step in steps]
        return {"provider": None, "model": None, "steps": rows}


def preview(payload: Payload) -> tuple[str | None, str | None]:
    """The first of a value, for a table, and the digest of all of it where it is a blob."""
    if payload.sha256 is not None:
        return None, payload.sha256
    if payload.value is None:
        return None, None
    value = payload.value
    # Sorted, as the event is stored: a rebuilt row must equal the first one.
    text = (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    )
    return text[:PREVIEW_CHARS], None
