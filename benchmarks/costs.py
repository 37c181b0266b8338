"""What a step costs: processor time and memory of a job in a process of its own, beside a yardstick.

A job is measured from when it is recorded to its last event.

Processor time is that of the process and its children, which other programs on the machine change
less than the duration. `python -m benchmarks.costs WHAT FOLDER` measures once, as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks import jobs, start
from benchmarks.figures import figure_of
from benchmarks.memory import in_memory
from benchmarks.peak import peak_bytes
from benchmarks.turns import in_turns
from orc.cli.collector import tune_collector
from orc.cli.jobs.owned_job import Listener
from orc.cli.jobs.places import Places
from orc.cli.jobs.prepare import Submission
from orc.cli.jobs.run import run
from orc.cli.jobs.state import load_state
from orc.cli.jobs.sync import run_sync
from orc.ledger import LedgerReader, Recorded
from orc.projections import Publisher

_AT_ONCE = 8
_TURNS = 3
_ROW = ("job_0123456789ab", "x" * 40, "y" * 200)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time from the start of the job to its end, and the largest memory of the process.

    `cpu_s` is the part of `whole_s` that is meant: of publishing, or all.
    """

    cpu_s: float
    whole_s: float
    memory_bytes: float


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """The rows for chains, commands, functions, resumed jobs, folding and publishing."""
    with in_memory(folder) as place:
        return _figures(place, _TURNS * rounds)


def _figures(folder: Path, turns: int) -> list[dict[str, Any]]:
    measures = {what: partial(_measured, what, folder) for what in (*_WHOLE, *_PUBLISHING)}
    found = in_turns(measures, turns)

    def cpu(what: str, scale: float = 1.0) -> list[float]:
        return [cost.cpu_s * scale for cost in found[what]]

    chains = zip(found["chain"], found["long_chain"], strict=True)
    return [
        figure_of(
            "chain of 1,000, ledger in memory: ms CPU a step",
            cpu("chain"),
            "",
            [],
            target="<= 0.15 ms",
        ),
        figure_of(
            "chain of 10,000: ms CPU a step",
            cpu("long_chain", 0.1),
            "the same, chain of 1,000: ms",
            cpu("chain"),
            target="<= 1.1",
        ),
        figure_of(
            "memory of a chain of 10,000: kB a step more",
            [(long.memory_bytes - short.memory_bytes) / 9_000 / 1e3 for short, long in chains],
            "",
            [],
            target="<= 6 kB",
        ),
        figure_of(
            "200 times run: 'true', 8 at once: ms CPU a command",
            cpu("commands", 5),
            "subprocess.run in 8 threads, a commit each: ms",
            cpu("harness", 5),
            target="<= 1.5",
        ),
        figure_of(
            "chain of 1,000 functions: ms CPU a step",
            cpu("functions"),
            "chain of 1,000 values: ms",
            cpu("chain"),
            target="<= 1.5",
        ),
        figure_of(
            "chain of 1,000 functions: ms CPU a step",
            cpu("functions"),
            "chain of 1,000 values, a commit each: ms",
            cpu("large_values"),
            target="<= 1.5",
        ),
        figure_of(
            "events of 10,000 steps folded/s of CPU",
            [20_000 / cost.cpu_s for cost in found["fold"]],
            "",
            [],
        ),
        *(
            figure_of(
                f"publishing {what}: s CPU",
                cpu(what),
                "the same run: s",
                [cost.whole_s for cost in found[what]],
                target="<= 0.05",
            )
            for what in _PUBLISHING
        ),
        figure_of(
            "resume with 999 of 1,000 steps done: s CPU",
            cpu("resume"),
            f"python -c 'import {start.RUN}': s",
            cpu("imports"),
            target="<= 1.95",
        ),
    ]


def _measured(what: str, folder: Path) -> Cost:
    command = [sys.executable, "-m", "benchmarks.costs", what, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Cost(**json.loads(done.stdout))


def functions(count: int) -> str:
    """Python steps of which each needs the step before it; `returned.py` is beside the spec."""
    lines = ["project: functions", "steps:", "  s0: {python: 'returned:same', args: {x: 0}}"]
    for i in range(1, count):
        lines.append(f"  s{i}: {{python: 'returned:same', args: {{x: {i}}}, needs: s{i - 1}}}")
    return "\n".join(lines)


def _chain(count: int, folder: Path) -> float:
    return _run(jobs.chain(count), folder)


def _large_values(count: int, folder: Path) -> float:
    """Each value is a blob, which is committed before the next one may read it."""
    return _run(jobs.chain(count, chars=2000), folder)


def _commands(count: int, folder: Path) -> float:
    return _run(jobs.commands(count, concurrency=_AT_ONCE), folder)


def _functions(count: int, folder: Path) -> float:
    return _run(functions(count), folder)


def _harness(count: int, folder: Path) -> float:
    """The least that such commands cost: threads that start them, and one commit for each."""
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, job TEXT, type TEXT, data TEXT)")
    lock = threading.Lock()

    def one(number: int) -> None:
        subprocess.run(["/bin/sh", "-ec", "true"], check=True, capture_output=True)
        with lock:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO t (job, type, data) VALUES (?, ?, ?)", _ROW)
            connection.execute("COMMIT")

    before = _cpu_s()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(one, range(count)))
    return _cpu_s() - before


def _fold(count: int, folder: Path) -> float:
    _run(jobs.chain(count), folder)
    with LedgerReader.open(folder / "runs.db") as ledger:
        return _least(lambda: load_state(ledger, ledger.find_job("latest")))


def _publish(run: Callable[[int, Path], float], count: int, folder: Path) -> tuple[float, float]:
    """All that a run does for its run folder: with each commit, at its start and at its end."""
    spent = [0.0]

    def timed(work: Callable[..., None]) -> Callable[..., None]:
        def call(*told: Any, **options: Any) -> None:
            before = time.thread_time()
            work(*told, **options)
            spent[0] += time.thread_time() - before

        return call

    with patch.multiple(Publisher, take=timed(Publisher.take), publish=timed(Publisher.publish)):
        whole_s = run(count, folder)
    return spent[0], whole_s


def _export(count: int, folder: Path) -> tuple[float, float]:
    """A publication of a job that has ended, which reads all of it."""
    whole_s = _run(jobs.chain(count), folder)
    with LedgerReader.open(folder / "runs.db") as ledger:
        job_id = ledger.find_job("latest")
        return _least(lambda: Publisher(ledger, job_id, folder / "again").publish()), whole_s


def _resume(count: int, folder: Path) -> float:
    """The whole process of `orc resume`."""
    ready = folder / "ready"
    last = f"\n  last: {{run: 'test -e {ready}', needs: s{count - 2}}}\n"
    (folder / "spec.yaml").write_text(jobs.chain(count - 1) + last)
    orc = [str(Path(sys.executable).with_name("orc"))]
    ledger = ["--db", str(folder / "runs.db"), "--quiet"]
    subprocess.run([*orc, "run", str(folder / "spec.yaml"), *ledger], capture_output=True)
    ready.touch()
    before = _cpu_s()
    subprocess.run([*orc, "resume", "latest", *ledger], check=True, capture_output=True)
    return _cpu_s() - before


_WHOLE: Mapping[str, tuple[int, Callable[[int, Path], float]]] = {
    "chain": (1000, _chain),
    "long_chain": (10_000, _chain),
    "large_values": (1000, _large_values),
    "commands": (200, _commands),
    "harness": (200, _harness),
    "functions": (1000, _functions),
    "fold": (10_000, _fold),
    "resume": (1000, _resume),
    "imports": (0, lambda _count, _folder: start.imports_s(start.RUN)),
}
"""How many steps, and what measures the processor time that they take."""

_PUBLISHING: Mapping[str, tuple[int, Callable[[int, Path], tuple[float, float]]]] = {
    "in a run of 10,000 steps": (10_000, partial(_publish, _chain)),
    "in a chain of 1,000 values, a commit each": (1000, partial(_publish, _large_values)),
    "in a chain of 1,000 functions": (1000, partial(_publish, _functions)),
    "in 200 times run: 'true', 8 at once": (200, partial(_publish, _commands)),
    "10,000 steps, at the end": (10_000, _export),
}
"""How many steps, and what measures the time of publishing, and that of the run that it was in."""


def _run(spec: str, folder: Path) -> float:
    (folder / "spec.yaml").write_text(spec)
    (folder / "returned.py").write_text("def same(x):\n    return x\n")
    began = ended_at = 0.0

    def begin(*_job: object) -> None:
        nonlocal began
        began = _own_s()

    def note(recorded: Sequence[Recorded]) -> None:
        nonlocal ended_at
        if recorded[-1].event.type == "job.succeeded":
            ended_at = _own_s()

    before = _children_s()
    ended = run_sync(
        run,
        Submission(path=folder / "spec.yaml"),
        places=Places.find(database=folder / "runs.db"),
        environment=os.environ,
        version="benchmark",
        listener=Listener(on_job=begin, on_events=note),
    )
    assert ended.status == "succeeded", ended.failures
    return ended_at - began + _children_s() - before


def _least(work: Callable[[], Any], *, times: int = 3) -> float:
    taken = []
    for _ in range(times):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return min(taken)


def _cpu_s() -> float:
    return _own_s() + _children_s()


def _own_s() -> float:
    return time.process_time()


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure once."""
    what, place = sys.argv[1:]
    tune_collector()
    with tempfile.TemporaryDirectory(dir=place) as name:
        if what in _PUBLISHING:
            count, publishing = _PUBLISHING[what]
            cpu_s, whole_s = publishing(count, Path(name))
        else:
            count, work = _WHOLE[what]
            cpu_s = whole_s = work(count, Path(name))
    print(json.dumps(asdict(Cost(cpu_s, whole_s, peak_bytes()))))


if __name__ == "__main__":
    main()
