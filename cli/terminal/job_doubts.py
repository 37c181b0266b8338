"""What is in doubt in a job: calls, and the steps whose commands ran when its process died."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from orc.cli.terminal.text import safe
from orc.ledger.kinds import names_where, sql_list
from orc.projections.folds.doubts import Doubts

_NAMED_MAX = 5


class JobDoubts(NamedTuple):
    """The job's calls in doubt, and the steps whose commands ran when the job's process died."""

    calls: Doubts
    left: tuple[str, ...]

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {**self.calls.value(), "steps_under_way": list(self.left)}

    def lines(self) -> Iterator[str]:
        """Lines for the terminal; empty if nothing is in doubt."""
        if self.calls.calls:
            yield self.calls.text()
        if self.left:
            more = ", ..." if len(self.left) > _NAMED_MAX else ""
            named = ", ".join(safe(name) for name in self.left[:_NAMED_MAX]) + more
            yield f"running when the process died, with an unknown outcome: {named}"


def read_doubts(connection: sqlite3.Connection, job_id: str, *, is_interrupted: bool) -> JobDoubts:
    """What is in doubt by the job's events; for an interrupted job, also what a resume will record.

    Calls in flight of a job that has an owner are not in doubt.
    """
    row = connection.execute(
        "SELECT calls_in_doubt, in_doubt_nano_usd, in_doubt_unpriced FROM jobs WHERE job_id = ?",
        (job_id,),
    ).fetchone()
    calls = Doubts(row[0], row[1] or 0, row[2])
    if not is_interrupted:
        return JobDoubts(calls, ())
    for (worst_nano_usd,) in connection.execute(
        "SELECT worst_case_nano_usd FROM llm_calls WHERE job_id = ? AND status = 'sent'", (job_id,)
    ):
        calls.add(worst_nano_usd)
    left = connection.execute(
        "SELECT steps.name FROM steps JOIN attempts USING (step_id) WHERE steps.job_id = ? "
        f"AND steps.status = 'running' AND steps.kind IN {sql_list(names_where('is_one_action'))} "
        "AND attempts.status = 'running' ORDER BY steps.position",
        (job_id,),
    )
    return JobDoubts(calls, tuple(name for (name,) in left))
