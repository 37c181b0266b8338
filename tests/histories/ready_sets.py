"""Prints the ready steps, in order, after each event of each recorded history.

A test runs `python -m tests.histories.ready_sets` under several hash seeds.
"""

from __future__ import annotations

import json
from pathlib import Path

from orc.ledger.codec import row_to_recorded
from orc.ledger.definition import load_job
from orc.ledger.events import JobSubmitted
from orc.scheduler.core.fold.evolve import JobState, evolve, initial_state
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.fold.queues import WorkQueues

COLUMNS = ("job_id", "version", "type", "step", "attempt", "recorded_at", "data", "hash")
NOW_S = float(2**30)


def main() -> None:
    """Fold every history and print the ready steps."""
    for path in sorted(Path(__file__).parent.glob("*.jsonl")):
        *rows, _ = map(json.loads, path.read_text("utf-8").splitlines())
        state: JobState | None = None
        for row in rows:
            recorded = row_to_recorded((0, *(row[name] for name in COLUMNS)))
            if state is None:
                assert isinstance(recorded.event, JobSubmitted)
                definition = load_job(recorded.event.spec.value)
                state = initial_state(definition, build_graph(definition.steps))
            evolve(state, recorded)
            queues = WorkQueues(state)
            queues.wake(NOW_S)
            names = ", ".join([*queues.ready(NOW_S), *queues.take_due()])
            print(f"{path.stem} {recorded.version}: {names}")


if __name__ == "__main__":
    main()
