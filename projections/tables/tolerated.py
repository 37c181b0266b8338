"""The table of tolerated failures, and how many there are in a job and in each of its steps."""

import sqlite3
from collections.abc import Iterable
from typing import Annotated, NamedTuple

from orc.projections.folds.tolerated import Tolerated
from orc.projections.tables.columns import column, table


@table(
    "tolerated_failures",
    "Tolerated failures",
    "One row for each failure that the spec tolerates, so that the job went on, and for each "
    "kind of them in a reused result. An attempt that was retried has no row.",
)
class ToleratedRow(NamedTuple):
    """A row of `tolerated_failures`."""

    tolerated_id: Annotated[str, column("`job/step/key`.", key=True)]
    name: Annotated[str, column("The id of the step.")]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id", indexed=True)]
    step_id: Annotated[str, column("The step.", refers="steps.step_id", indexed=True)]
    setting: Annotated[
        str,
        column(
            "The key of the spec that tolerates it: continue_on_error, on_exhausted (a loop ended "
            "with `until` still false), fallback, tools (an error went back to the model) or repair."
        ),
    ]
    kind: Annotated[
        str,
        column("The kind of the failure (docs/events.md lists them), or circuit, tool or until."),
    ]
    message: Annotated[str, column("The message of the failure.")]
    version: Annotated[int, column("The version of the event that records it.")]
    recorded_at: Annotated[str, column("When it was recorded.")]
    failures: Annotated[
        int, column("How many: more than 1 only in a result that was taken from another job.")
    ]


def read_tolerated(connection: sqlite3.Connection, job_id: str) -> dict[str, Tolerated]:
    """The tolerated failures of each step of a job that has any, by the id of the step."""
    found: dict[str, Tolerated] = {}
    for step, setting, kind, count in connection.execute(
        "SELECT name, setting, kind, sum(failures) FROM tolerated_failures WHERE job_id = ? "
        "GROUP BY name, setting, kind ORDER BY min(version)",
        (job_id,),
    ):
        found.setdefault(step, Tolerated()).add(setting, kind, count)
    return found


def count_tolerated(connection: sqlite3.Connection, job_ids: Iterable[str]) -> dict[str, int]:
    """The number of tolerated failures of each of these jobs."""
    query = "SELECT coalesce(sum(failures), 0) FROM tolerated_failures WHERE job_id = ?"
    return {job_id: connection.execute(query, (job_id,)).fetchone()[0] for job_id in job_ids}
