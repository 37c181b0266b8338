"""Which steps differ between two jobs, by their rows alone: fast, for jobs with many steps.

`job_diff.py` compares the texts of one step.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict

from orc.ledger.kinds import ANSWERED, sql_list
from orc.projections.history.job_diff import State
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow

_Calls = dict[str, list[tuple[str, str | None]]]


def changed_steps(
    connection: sqlite3.Connection, before: JobView, after: JobView
) -> list[tuple[str, State]]:
    """The steps that differ, or that only one job has: those of the second job in its order first.

    Replies that the ledger has within their events are compared by the results of their steps.
    """
    old, new = before.by_name, after.by_name
    calls = [_calls(connection, view.job.job_id) for view in (before, after)]
    found: list[tuple[str, State]] = []
    for name, step in new.items():
        if name not in old:
            found.append((name, "added"))
        elif _facts(old[name]) != _facts(step) or calls[0][name] != calls[1][name]:
            found.append((name, "changed"))
    return [*found, *((name, "removed") for name in old if name not in new)]


def _facts(step: StepRow) -> tuple[object, ...]:
    return (
        step.kind,
        step.status,
        step.output,
        step.output_sha256,
        step.failure,
        step.skip_reason,
    )


def _calls(connection: sqlite3.Connection, job_id: str) -> _Calls:
    """The digests of requests and replies of the answered calls of each step, in order."""
    rows = connection.execute(
        "SELECT substr(step_id, length(job_id) + 2), request_sha256, reply_blob FROM llm_calls "
        f"WHERE job_id = ? AND status IN {sql_list(ANSWERED)} ORDER BY rowid",
        (job_id,),
    )
    found: _Calls = defaultdict(list)
    for step, request, reply in rows:
        found[step].append((request, reply))
    return found
