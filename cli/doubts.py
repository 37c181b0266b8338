"""What is in doubt of a job, as `orc show` says it: recorded, or plain to see before any resume."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orc.cli.terminal.text import safe
from orc.ledger.kinds import names_where, sql_list
from orc.projections.folds.doubts import Doubts

_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class JobDoubts:
    """The job's calls in doubt, and the steps whose commands its dead owner left under way."""

    calls: Doubts
    left: tuple[str, ...]

    def value(self) -> dict[str, Any]:
        """As JSON."""
        return {**self.calls.value(), "steps_under_way": list(self.left)}

    def lines(self) -> Iterator[str]:
        """For people; none where nothing is in doubt."""
        if self.calls.calls:
            yield self.calls.text()
        if self.left:
            more = ", ..." if len(self.left) > _NAMED_MAX else ""
            named = ", ".join(safe(name) for name in self.left[:_NAMED_MAX]) + more
            yield f"under way when the process died, and nobody knows how that ended: {named}"


def read_doubts(connection: sqlite3.Connection, job_id: str, *, is_interrupted: bool) -> JobDoubts:
    """The doubts that events have told of; and, where nobody runs the job, those still to be told.

    A job that has an owner has calls on their way, which are in no doubt.
    """
    row = connection.execute(
        "SELECT calls_in_doubt, in_doubt_usd, in_doubt_unpriced FROM jobs WHERE job_id = ?",
        (job_id,),
    ).fetchone()
    calls = Doubts(row[0], row[1] or 0.0, row[2])
    if not is_interrupted:
        return JobDoubts(calls, ())
    for (cost_usd,) in connection.execute(
        "SELECT worst_case_usd FROM llm_calls WHERE job_id = ? AND status = 'sent'", (job_id,)
    ):
        calls.add(cost_usd)
    left = connection.execute(
        "SELECT steps.name FROM steps JOIN attempts USING (step_id) WHERE steps.job_id = ? "
        f"AND steps.status = 'running' AND steps.kind IN {sql_list(names_where('runs_code'))} "
        "AND attempts.status = 'running' ORDER BY steps.position",
        (job_id,),
    )
    return JobDoubts(calls, tuple(name for (name,) in left))
