"""What the pages of an evaluation cost: a job with many scored items of several models."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from datasette.app import Datasette

import orc
from orc.projections.pages import compare, results
from orc.projections.scores import rows

MODELS = 3


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
