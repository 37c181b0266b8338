"""Writes the recorded histories: `python -m tests.histories.recorder`, for shapes not there yet.

A history that is there is never written again: it is what a ledger of its day
holds, and today's code must read it for ever.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from scheduler.core.state import JobState
from tests.builders import JOB
from tests.model import Plan
from tests.scheduler.harness import Crash, Stand, stand_for
from tests.scheduler.test_resume import SHAPES

FOLDER = Path(__file__).parent
COLUMNS = ("job_id", "version", "type", "step", "attempt", "recorded_at", "data", "hash")


def histories() -> dict[str, Any]:
    """How each history comes about: a plan, and a function that runs it."""
    found: dict[str, Any] = {
        name: (plan, lambda stand: stand.run()) for name, plan in SHAPES.items()
    }
    found["crash"] = (SHAPES["diamond"], _crash_and_resume)
    return found


def main() -> None:
    """Record what is missing."""
    for name, (plan, go) in histories().items():
        path = FOLDER / f"{name}.jsonl"
        if not path.exists():
            path.write_text(record_history(plan, go), "utf-8")


def record_history(plan: Plan, go: Any) -> str:
    """The stored columns of each event, one a line, and the summary of their fold on the last."""
    with stand_for(plan) as stand:
        go(stand)
        with sqlite3.connect(stand.database) as connection:
            rows = connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM events WHERE job_id = ? ORDER BY version", (JOB,)
            ).fetchall()
        summary = plain_summary(stand.state())
    lines = [json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows]
    return "\n".join([*lines, json.dumps({"summary": summary})]) + "\n"


def plain_summary(state: JobState) -> Any:
    """The summary as JSON has it."""
    return json.loads(json.dumps(state.summary(), default=lambda value: value.model_dump()))


def _crash_and_resume(stand: Stand) -> None:
    try:
        stand.run(commits=6)
    except Crash:
        stand.run()


if __name__ == "__main__":
    main()
