"""Whole processes of orc beside those of another engine that keeps each step in SQLite.

The other engine is `dura`: a task with a checkpoint for each step. It is no dependency, and needs
Python 3.13: install it beside orc (`pip install dura`), or the part is left out.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import jobs
from benchmarks.figures import figure_of
from benchmarks.items import ORC

_DURA = """
import sys
import dura

count, is_chain = int(sys.argv[2]), sys.argv[3] == "chain"
engine = dura.DurableEngine(sys.argv[1])
engine.spawn_task(name="steps", params={})
task = engine.claim_task(worker_id="one")
last = 0
for number in range(count):
    after = last if is_chain else number
    last = engine.checkpoint(
        task_id=task.task_id, step_name=f"s{number}", fn=lambda: after and number
    )
engine.complete_run(run_id=task.run_id)
engine.close()
"""


def left_out() -> str:
    """Why the part cannot be measured here; empty if it can."""
    if importlib.util.find_spec("dura") is None:
        return "the package dura is not installed (it needs Python 3.13: pip install dura)"
    return ""


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """A chain of 1,000 and a fan of 10,000, each as a process of its own."""
    reason = left_out()
    if reason:
        print(f"The part `peers` is left out, since {reason}", file=sys.stderr)
        return []
    found = []
    for name, count, spec, target in (
        ("chain", 1_000, jobs.chain(1_000), ""),
        ("fan", 10_000, jobs.fan(10_000), "<= 1.3"),
    ):
        own, peer = [], []
        for _ in range(rounds):
            place = folder / f"{name}-{time.monotonic_ns()}"
            place.mkdir()
            (place / "spec.yaml").write_text(spec, "utf-8")
            (place / "steps.py").write_text(_DURA, "utf-8")
            peer.append(_took_s([sys.executable, "steps.py", "dura.db", str(count), name], place))
            own.append(_took_s([ORC, "run", "spec.yaml", "--quiet", "--db", "runs.db"], place))
        found.append(
            figure_of(
                f"{name} of {count:,}, whole process: s",
                own,
                "dura, a checkpoint each: s",
                peer,
                target=target,
            )
        )
    return found


def _took_s(command: Sequence[str], folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
