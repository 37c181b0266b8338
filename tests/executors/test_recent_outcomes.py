"""A driver asks a worker for an outcome once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

from orc.scheduler.drivers.dask_cluster import Cluster
from orc.scheduler.drivers.dask_files import fetch_copy
from orc.scheduler.drivers.recent_outcomes import OUTCOMES_MAX, RecentOutcomes
from orc.worker.outcomes import OUTCOME_BYTES_MAX


def ended(run: str, outcome: Any) -> dict[str, Any]:
    return {"ticket": "job/a/1", "run": run, "worker": "w", "outcome": outcome}


def test_an_outcome_is_kept_until_it_is_taken() -> None:
    kept = RecentOutcomes()
    kept.keep(ended("1", {"exit_code": 0}))
    assert kept.take({**ended("1", None), "worker": "another"}) is None
    assert kept.take(ended("1", None)) == {"exit_code": 0}
    assert kept.take(ended("1", None)) is None


def test_memory_is_bounded() -> None:
    kept = RecentOutcomes()
    kept.keep(ended("large", {"stdout": "x" * OUTCOME_BYTES_MAX}))
    assert kept.take(ended("large", None)) is None
    for number in range(OUTCOMES_MAX + 1):
        kept.keep(ended(str(number), {"exit_code": 0}))
    assert kept.take(ended("0", None)) is None
    assert kept.take(ended("1", None)) is not None


def test_a_known_outcome_without_files_needs_no_call(tmp_path: Path) -> None:
    class Silent:
        async def call(self, worker: str, request: Any, **more: Any) -> Any:
            raise AssertionError(request)

    outcome = {"log_bytes": 0, "files": [], "artifacts": []}
    request = {**ended("1", None), "folder": str(tmp_path)}
    assert asyncio.run(fetch_copy(cast(Cluster, Silent()), request, outcome)) == {
        "outcome": outcome
    }
