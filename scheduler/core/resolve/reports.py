"""Collects the problems of a spec that is resolved."""

from __future__ import annotations

from orc.scheduler.core.errors import Problem
from orc.scheduler.core.source.yaml_source import Document


class Reports:
    """A `Report`. It knows the document only: a reference to what reports would be a cycle, which
    would keep a large spec in memory until the collector of cycles runs."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[Problem] = []

    def __call__(self, message: str, *path: str | int) -> None:
        """Report the problem; one of the job's defaults is found again for each step."""
        place = self._document.place(path) if path else ()
        problem = Problem(message, *place)
        if problem not in self.problems:
            self.problems.append(problem)
