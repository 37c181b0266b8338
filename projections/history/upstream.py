"""Reads the steps that a step used, directly or through other steps, and the files that they made."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Mapping

from msgspec import Struct

from orc.projections.tables.job_view import JobView, read_files
from orc.projections.tables.questions import Question
from orc.projections.tables.rows import FileRow, StepRow

UPSTREAM_MAX = 200


class UpstreamStep(Struct, frozen=True):
    """A step that was used, `distance` dependencies away, and the files that it made."""

    step: StepRow
    distance: int
    files: tuple[FileRow, ...]


def read_upstream(
    connection: sqlite3.Connection, view: JobView, step: StepRow
) -> tuple[list[UpstreamStep], int]:
    """The steps that a step used, nearest first and at most `UPSTREAM_MAX`; and their number.

    The files of items, rounds and members count to their outer step.
    """
    files: dict[str, list[FileRow]] = {}
    for file in read_files(connection, view.job.job_id):
        files.setdefault(file.step_id, []).append(file)
    distances: dict[str, int] = {}
    waiting = deque([(step, 0)])
    while waiting:
        found, distance = waiting.popleft()
        for name in _used(view, found):
            if name not in distances and name in view.by_name and name != step.name:
                distances[name] = distance + 1
                waiting.append((view.by_name[name], distance + 1))
    listed = [
        UpstreamStep(
            view.by_name[name], distance, tuple(_files_of(view, view.by_name[name], files))
        )
        for name, distance in list(distances.items())[:UPSTREAM_MAX]
    ]
    return listed, len(distances)


def files_about(connection: sqlite3.Connection, view: JobView, question: Question) -> list[FileRow]:
    """The files of the nearest steps before the one that asks; those that the question names first."""
    step = view.by_name.get(question.step)
    if step is None:
        return []
    upstream, _ = read_upstream(connection, view, step)
    nearest = min((source.distance for source in upstream if source.files), default=0)
    files = [file for each in upstream if each.distance == nearest for file in each.files]
    files.sort(key=lambda file: file.path.rpartition("/")[2] not in question.message)
    return files


def _used(view: JobView, step: StepRow) -> list[str]:
    """The steps that it and its outer steps depend on; for a round, also the round before it."""
    names = list(step.needed)
    before, mark, number = step.name.rpartition("#")
    if mark and number.isdecimal() and int(number) > 1:
        names.append(f"{before}#{int(number) - 1}")
    while step.parent is not None and step.parent in view.by_name:
        step = view.by_name[step.parent]
        names += step.needed
    return names


def _files_of(view: JobView, step: StepRow, files: Mapping[str, list[FileRow]]) -> list[FileRow]:
    found: list[FileRow] = []
    waiting = [step]
    while waiting:
        one = waiting.pop()
        found += files.get(one.step_id, ())
        waiting += reversed(view.children_of.get(one.name, ()))
    return found
