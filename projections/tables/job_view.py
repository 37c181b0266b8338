"""Reads the rows of one job from the read model, for pages, pictures, commands and exports.

Works on any connection with the tables of the read model: the ledger's own, or one that
`derived_tables.py` made, with the tables as they were after an earlier event.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial
from types import MappingProxyType
from typing import Any, TypeVar

from orc.projections.folds.tolerated import Tolerated
from orc.projections.tables.call_rows import BatchRow
from orc.projections.tables.circuits import CircuitRow
from orc.projections.tables.columns import Row, table_name
from orc.projections.tables.inner_waits import InnerWaits, inner_waits, wait_of
from orc.projections.tables.inside import Usage, tolerated_by_step, total_of, usage_by_step
from orc.projections.tables.rows import (
    AttemptRow,
    CallRow,
    FileRow,
    JobRow,
    StepRow,
    ToolRow,
)
from orc.projections.tables.tolerated import read_tolerated

_NONE: Mapping[Any, Any] = MappingProxyType({})


class JobView:
    """A job with its steps (without removed ones) and their attempts, in order.

    The attempts are read at their first use, as long as the connection is open. Calls are not read
    with it: `read_calls` and `read_tools` read them for one step.
    """

    def __init__(
        self,
        job: JobRow,
        steps: tuple[StepRow, ...],
        read_attempts: Callable[[], Sequence[AttemptRow]] = tuple,
        own_tolerated: Mapping[str, Tolerated] = _NONE,
        batches: Mapping[int, BatchRow] = _NONE,
    ) -> None:
        self.job = job
        self.steps = steps
        self._read_attempts = read_attempts
        self.own_tolerated = own_tolerated
        """The tolerated failures of each step that has any, without those of the steps inside it."""
        self.batches = batches
        """The batches by number."""

    @cached_property
    def by_name(self) -> dict[str, StepRow]:
        """The steps by id."""
        return {step.name: step for step in self.steps}

    @cached_property
    def attempts(self) -> tuple[AttemptRow, ...]:
        """The attempts of all steps, or of the one whose attempts the view was read with."""
        return tuple(self._read_attempts())

    @cached_property
    def attempts_of(self) -> dict[str, list[AttemptRow]]:
        """The attempts by step id; a step without attempts has no entry."""
        names = {step.step_id: step.name for step in self.steps}
        found: dict[str, list[AttemptRow]] = {}
        for attempt in self.attempts:
            if attempt.step_id in names:
                found.setdefault(names[attempt.step_id], []).append(attempt)
        return found

    @cached_property
    def models(self) -> list[str]:
        """The names of the models of all steps, sorted: `openai/gpt-4o`."""
        return sorted(
            {
                f"{step.provider}/{step.model}" if step.model else step.provider
                for step in self.steps
                if step.provider
            }
        )

    @cached_property
    def top_level(self) -> list[StepRow]:
        """The steps that are not inside another step."""
        return [step for step in self.steps if step.parent not in self.by_name]

    def in_order(self) -> Iterator[tuple[StepRow, int]]:
        """The steps in the order of the spec, each followed by its inner steps; the depth is from 0."""
        stack = [(step, 0) for step in reversed(self.top_level)]
        while stack:
            step, depth = stack.pop()
            yield step, depth
            inside = self.children_of.get(step.name, ())
            stack += [(child, depth + 1) for child in reversed(inside)]

    def inside(self, name: str) -> list[str]:
        """The ids of all steps inside a step."""
        found = [child.name for child in self.children_of.get(name, ())]
        for inner in found:
            # Grows while it is read.
            found += (child.name for child in self.children_of.get(inner, ()))
        return found

    @cached_property
    def usage(self) -> dict[str, Usage]:
        """What each step used, with the steps inside it."""
        return usage_by_step(self.steps)

    @cached_property
    def inner_waits(self) -> dict[str, InnerWaits]:
        """What the steps inside each open container wait for."""
        return inner_waits(map(wait_of, self.steps))

    @cached_property
    def tolerated(self) -> dict[str, Tolerated]:
        """The tolerated failures of each step that has any, with those of the steps inside it."""
        return tolerated_by_step(self.steps, self.own_tolerated)

    @cached_property
    def all_tolerated(self) -> Tolerated:
        """The tolerated failures of the whole job."""
        return total_of(self.own_tolerated)

    @cached_property
    def children_of(self) -> dict[str, list[StepRow]]:
        """The items, rounds or members of each step that has any, by the id of that step."""
        found: dict[str, list[StepRow]] = {}
        for step in self.steps:
            if step.parent is not None:
                found.setdefault(step.parent, []).append(step)
        return found


_Row = TypeVar("_Row", bound=Row)

NEWEST_FILES = (
    "ORDER BY (SELECT position FROM jobs WHERE jobs.job_id = files.job_id) DESC, "
    "written_at DESC, file_id"
)
"""Orders rows of `files`: those of the job that was submitted last come first."""


def read_view(
    connection: sqlite3.Connection, job_id: str, *, attempts_of: str | None = None
) -> JobView:
    """The job with that id, which must exist; with the attempts of one step, or of all."""
    return JobView(
        read_rows(connection, JobRow, "job_id = ?", job_id)[0],
        tuple(
            read_rows(
                connection, StepRow, "job_id = ? AND status <> 'removed' ORDER BY position", job_id
            )
        ),
        partial(read_attempt_rows, connection, job_id, attempts_of),
        read_tolerated(connection, job_id),
        {batch.batch: batch for batch in read_batches(connection, job_id)},
    )


def read_attempt_rows(
    connection: sqlite3.Connection, job_id: str, step: str | None = None
) -> list[AttemptRow]:
    """The attempts of a step, or of all steps of the job, in order."""
    if step is not None:
        step_id = f"{job_id}/{step}"
        return read_rows(connection, AttemptRow, "step_id = ? ORDER BY rowid", step_id)
    # The table has an index by step and none by job.
    return read_rows(
        connection,
        AttemptRow,
        "step_id IN (SELECT step_id FROM steps WHERE job_id = ?) ORDER BY rowid",
        job_id,
    )


def read_calls(connection: sqlite3.Connection, step_id: str) -> list[CallRow]:
    """The calls to models of a step, in order; `step_id` is `job/step`."""
    return read_rows(connection, CallRow, "step_id = ? ORDER BY rowid", step_id)


def read_tools(connection: sqlite3.Connection, step_id: str) -> list[ToolRow]:
    """The calls of tools of a step, in order; `step_id` is `job/step`."""
    return read_rows(connection, ToolRow, "step_id = ? ORDER BY rowid", step_id)


def read_files(connection: sqlite3.Connection, job_id: str) -> list[FileRow]:
    """The files of a job, by path."""
    return read_rows(connection, FileRow, "job_id = ? ORDER BY path", job_id)


def read_circuits(connection: sqlite3.Connection, job_id: str) -> list[CircuitRow]:
    """The circuits of a job that have opened at least once, by name."""
    return read_rows(connection, CircuitRow, "job_id = ? ORDER BY name", job_id)


def read_batches(connection: sqlite3.Connection, job_id: str) -> list[BatchRow]:
    """The batches of a job, in order."""
    return read_rows(connection, BatchRow, "job_id = ? ORDER BY batch", job_id)


def read_rows(
    connection: sqlite3.Connection, row_type: type[_Row], condition: str, *values: Any
) -> list[_Row]:
    """The rows that meet `condition`, an SQL condition of our own with a `?` for each of `values`."""
    query = f"{_selection(row_type)} WHERE {condition}"
    return list(map(row_type._make, connection.execute(query, values)))


@cache
def _selection(row_type: type[Row]) -> str:
    return f"SELECT {', '.join(row_type._fields)} FROM {table_name(row_type)}"
