"""Collects the rows that the projector's handlers write, and shortens values for the tables."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from typing import Any

from orc.ledger.command_lines import quoted_command
from orc.ledger.digest import digest_json
from orc.ledger.errors import CorruptLedger
from orc.ledger.events import Payload
from orc.ledger.gathered import describe_gathered
from orc.ledger.stored import parse_object
from orc.ledger.stored_struct import dump_set
from orc.projections.money.prices import PriceTable
from orc.projections.tables.binding import Bound, bind
from orc.projections.tables.statements import ORDER, STATEMENTS

PREVIEW_CHARS = 200
# Made once, since `json.dumps` makes one for each value.
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode

_PLACES = {statement: place for place, statement in enumerate(ORDER)}
_BOUND: dict[str, Bound] = {}
"""The statements that were bound so far, by name, so that each is bound once."""


class Writer:
    """The rows and counters of a batch; `flush` writes them."""

    def __init__(self, connection: sqlite3.Connection, prices: PriceTable) -> None:
        self.connection = connection
        self.prices = prices
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.counters: dict[str, list[int]] = {}
        self._ended_attempts: set[str] = set()

    def add(self, statement: str, /, **values: Any) -> None:
        """Add a row for a statement; the values are named after the columns."""
        self.rows[statement].append(values)

    def ends_first(self, attempt_id: str) -> bool:
        """Whether this is the first event of the batch that ends the attempt.

        A step that waits for a retry fails again when its total time is over: the second failure
        has the same attempt, and nothing more of it can be in doubt.
        """
        is_first = attempt_id not in self._ended_attempts
        self._ended_attempts.add(attempt_id)
        return is_first

    def count(self, job_id: str, index: int, change: int = 1) -> None:
        """Change a counter of the job's steps; `index` is 0 for succeeded, 1 failed, 2 skipped."""
        self.counters.setdefault(job_id, [0, 0, 0])[index] += change

    def flush(self) -> None:
        """Write all rows and counters, in the order of the statements."""
        for job_id, counts in self.counters.items():
            succeeded, failed, skipped = counts
            self.add("counters", job_id=job_id, succeeded=succeeded, failed=failed, skipped=skipped)
        for statement in sorted(self.rows, key=_PLACES.__getitem__):
            rows = self.rows[statement]
            bound = _BOUND.get(statement)
            if bound is None:
                bound = _BOUND[statement] = bind(STATEMENTS[statement], rows[0])
            # A missing name raises KeyError below; this assertion finds a row with too many names.
            assert sum(map(len, rows)) == bound.size * len(rows), statement
            self.connection.executemany(bound.sql, map(bound.values, rows))
        self.rows.clear()
        self.counters.clear()
        self._ended_attempts.clear()

    def requested(self, call_id: str) -> tuple[str | None, str | None]:
        """The model and the endpoint in the row of a call, before the reply is recorded."""
        self.flush()
        query = "SELECT model, endpoint FROM llm_calls WHERE call_id = ?"
        return self.connection.execute(query, (call_id,)).fetchone() or (None, None)

    def spec(self, payload: Payload, job_id: str) -> Any:
        """A resolved spec; if its bytes were removed, one with the steps that the job's events name."""
        if payload.sha256 is None:
            return payload.value
        row = self.connection.execute(
            "SELECT content FROM blobs WHERE sha256 = ?", (payload.sha256,)
        ).fetchone()
        if row is None:
            raise CorruptLedger(
                f"{job_id}: the blob of its spec is missing; run {quoted_command('verify')}"
            )
        if not isinstance(row[0], int):
            return parse_object(row[0])
        named = self.connection.execute(
            "SELECT step FROM events WHERE job_id = ? AND step IS NOT NULL "
            "GROUP BY step ORDER BY min(version)",
            (job_id,),
        )
        # Items, rounds and members get their rows from `step.expanded`.
        steps = [step for (step,) in named if not any(mark in step for mark in "[#/")]
        rows = [{"id": step, "kind": "unknown"} for step in steps]
        return {"provider": None, "model": None, "steps": rows}


def preview(payload: Payload) -> tuple[str | None, str | None]:
    """The first characters of an inline value and None, or None and the digest of a blob.

    Of a value that refers to those of other steps: what it consists of, and a digest of that.
    """
    if payload.parts is not None:
        digest = digest_json(dump_set(payload))
        return f"[{describe_gathered(payload)}; their digest is {digest}]", None
    if payload.sha256 is not None:
        return None, payload.sha256
    if payload.value is None:
        return None, None
    value = payload.value
    # Sorted, as in the stored event: a rebuilt row must be equal.
    text = value if isinstance(value, str) else _encode(value)
    return text[:PREVIEW_CHARS], None
