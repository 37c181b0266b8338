"""One job as its tables tell it, for pages, pictures, commands and exports: typed rows, read here.

Works on any connection that has the read model: the ledger's own, or the one of
`moment.py`, which has the tables as they were at an earlier event.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeVar

from orc.projections.tables.columns import Row, table_of
from orc.projections.tables.rows import (
    AttemptRow,
    CallRow,
    CircuitRow,
    FileRow,
    JobRow,
    StepRow,
    ToolRow,
)


@dataclass(frozen=True)
class JobView:
    """A job with its steps (removed ones left out) and their attempts, in order.

    Calls and tools are read by step, where they are wanted: `read_calls`, `read_tools`.
    """

    job: JobRow
    steps: tuple[StepRow, ...]
    attempts: tuple[AttemptRow, ...]

    @cached_property
    def by_name(self) -> dict[str, StepRow]:
        """The steps by their ids."""
        return {step.name: step for step in self.steps}

    @cached_property
    def attempts_of(self) -> dict[str, list[AttemptRow]]:
        """The attempts of each step that has any, by the step's id."""
        names = {step.step_id: step.name for step in self.steps}
        found: dict[str, list[AttemptRow]] = {}
        for attempt in self.attempts:
            if attempt.step_id in names:
                found.setdefault(names[attempt.step_id], []).append(attempt)
        return found

    @cached_property
    def tops(self) -> list[StepRow]:
        """The steps that no other one holds."""
        return [step for step in self.steps if step.parent not in self.by_name]

    def in_order(self) -> Iterator[tuple[StepRow, int]]:
        """The steps in the order of the spec, what is inside a step right after it, and how deep."""
        stack = [(step, 0) for step in reversed(self.tops)]
        while stack:
            step, depth = stack.pop()
            yield step, depth
            inside = self.children_of.get(step.name, ())
            stack += [(child, depth + 1) for child in reversed(inside)]

    @cached_property
    def children_of(self) -> dict[str, list[StepRow]]:
        """What each step holds that holds any: items, rounds, members, by its id."""
        found: dict[str, list[StepRow]] = {}
        for step in self.steps:
            if step.parent is not None:
                found.setdefault(step.parent, []).append(step)
        return found


_Row = TypeVar("_Row", bound=Row)


def read_view(connection: sqlite3.Connection, job_id: str) -> JobView:
    """The job with that id, which has to be there."""
    return JobView(
        read_rows(connection, JobRow, "job_id = ?", job_id)[0],
        tuple(
            read_rows(
                connection, StepRow, "job_id = ? AND status <> 'removed' ORDER BY position", job_id
            )
        ),
        tuple(_attempts(connection, job_id)),
    )


def read_calls(connection: sqlite3.Connection, step_id: str) -> list[CallRow]:
    """The calls of a step (`job/step`), in order."""
    return read_rows(connection, CallRow, "step_id = ? ORDER BY rowid", step_id)


def read_tools(connection: sqlite3.Connection, step_id: str) -> list[ToolRow]:
    """The calls of tools of a step (`job/step`), in order."""
    return read_rows(connection, ToolRow, "step_id = ? ORDER BY rowid", step_id)


def read_files(connection: sqlite3.Connection, job_id: str) -> list[FileRow]:
    """The files of a job, by path."""
    return read_rows(connection, FileRow, "job_id = ? ORDER BY path", job_id)


def read_circuits(connection: sqlite3.Connection, job_id: str) -> list[CircuitRow]:
    """The circuits of a job that ever opened, by name."""
    return read_rows(connection, CircuitRow, "job_id = ? ORDER BY name", job_id)


def read_rows(
    connection: sqlite3.Connection, row_type: type[_Row], chosen: str, *values: Any
) -> list[_Row]:
    """The rows of the type's table that a condition of ours chooses; `values` are bound."""
    query = f"{_selection(row_type)} WHERE {chosen}"
    return [row_type(*row) for row in connection.execute(query, values)]


@cache
def _selection(row_type: type[Row]) -> str:
    table = table_of(row_type)
    return f"SELECT {', '.join(column.name for column in table.columns)} FROM {table.name}"


def _attempts(connection: sqlite3.Connection, job_id: str) -> list[AttemptRow]:
    # There is an index by step, and none by job.
    return read_rows(
        connection,
        AttemptRow,
        "step_id IN (SELECT step_id FROM steps WHERE job_id = ?) ORDER BY rowid",
        job_id,
    )
