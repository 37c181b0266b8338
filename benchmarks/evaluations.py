"""What the pages of an evaluation cost: a job with many scored items of several models."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from datasette.app import Datasette

import orc
from benchmarks.figures import figure_of
from orc.projections.pages import compare, results
from orc.projections.scores import rows

MODELS = 3
_SORTED = "/{0}/step/answer?sort=descending&by=1"
_COMPARED = "/compare?job={0}&job={1}"


def make(folder: Path, count: int, *, jobs: int = 1) -> tuple[Path, list[str]]:
    """A ledger, and the ids of jobs in it with `count` items with two scores each."""
    spec = folder / f"evaluation-{count}.yaml"
    models = ", ".join(f"model-{number}" for number in range(MODELS))
    spec.write_text(
        "project: evaluation\nconcurrency: 1000\n"
        "inputs: {cases: {type: list}, shift: {type: integer}}\n"
        "steps:\n  answer:\n"
        f"    matrix: {{case: '${{{{ inputs.cases }}}}', model: [{models}]}}\n"
        "    value: ${{ matrix.model ~ ' says ' ~ matrix.case.q }}\n"
        "    score:\n"
        "      exact: ${{ (matrix.case.n + inputs.shift) % 3 > 0 }}\n"
        "      size: ${{ matrix.case.n % 17 + inputs.shift }}\n",
        "utf-8",
    )
    cases = [{"q": f"question {n}", "n": n, "topic": f"t{n % 7}"} for n in range(count // MODELS)]
    database = folder / f"evaluation-{count}.db"
    ids = [
        str(orc.run(spec, db=database, inputs={"cases": cases, "shift": shift}).job_id)
        for shift in range(jobs)
    ]
    return database, ids


class Pages:
    """The pages of a ledger, made in this process: processor time in milliseconds a page."""

    def __init__(self, database: Path) -> None:
        self._client = Datasette([str(database)]).client
        self._base = f"/-/orc/{database.stem}"

    def cpu_ms(self, path: str, *, is_first: bool = False) -> float:
        """The time of a page; `is_first` means that nothing was kept from an earlier one."""
        if is_first:
            forget()
        return asyncio.run(self._load(path))

    async def _load(self, path: str) -> float:
        started = time.process_time()
        answer = await self._client.get(f"{self._base}{path}")
        took_s = time.process_time() - started
        assert answer.status_code == 200, answer.text
        return took_s * 1000


def forget() -> None:
    """Empty what the pages keep between requests."""
    for module in (results, compare, rows):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Processor time of pages of jobs with many scored items, beside those of a tenth of the items."""
    figures = []
    many, few = make(folder, 9_999), make(folder, 999)
    both = make(folder, 3_000, jobs=2), make(folder, 300, jobs=2)
    for name, (large, small), page, is_first in (
        ("9,999 items", (many, few), "/{0}/step/answer", False),
        ("9,999 items, sorted by a column", (many, few), _SORTED, False),
        ("results of 3,000 items, first", both, "/{0}/results", True),
        ("results of 3,000 items, later", both, "/{0}/results", False),
        ("comparison of 3,000 items, first", both, _COMPARED, True),
        ("comparison of 3,000 items, later", both, _COMPARED, False),
    ):
        taken: list[list[float]] = []
        for database, ids in (large, small):
            served, address = Pages(database), page.format(*ids)
            served.cpu_ms(address)
            times = max(rounds, 1) * 3
            taken.append([served.cpu_ms(address, is_first=is_first) for _ in range(times)])
        figures.append(
            figure_of(
                f"page of {name}: ms CPU",
                taken[0],
                "the same, a tenth of the items: ms CPU",
                taken[1],
                target="<= 300 ms",
            )
        )
    return figures
