"""What a step costs: processor time and memory of a job in a process of its own, beside a yardstick.

A job is measured from when it is recorded to its last event.

Processor time is that of the process and its children, which other programs on the machine change
less than the duration. `python -m benchmarks.costs WHAT COUNT FOLDER` measures once, as JSON.
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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks import jobs, start
from benchmarks.figures import figure_of
from benchmarks.peak import peak_bytes
from orc.cli.collector import tune_collector
from orc.cli.jobs.owned_job import Listener
from orc.cli.jobs.places import Places
from orc.cli.jobs.prepare import Submission
from orc.cli.jobs.run import run
from orc.cli.jobs.state import load_state
from orc.cli.jobs.sync import run_sync
from orc.ledger import LedgerReader, Recorded
from orc.projections import Publisher

_IN_MEMORY = Path("/dev/shm")
_AT_ONCE = 8
_ROW = ("job_0123456789ab", "x" * 40, "y" * 200)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time from the start of the job to its end, and the largest memory of the process."""

    cpu_s: float
    memory_bytes: float


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """The rows for chains, commands, functions, resumed jobs, folding and publishing."""
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else folder) as name:
        return _figures(Path(name), max(rounds, 1))


def _figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    def least(what: str, count: int) -> Cost:
        found = [_measured(what, count, folder) for _ in range(rounds)]
        return Cost(min(one.cpu_s for one in found), min(one.memory_bytes for one in found))

    chain, long_chain = least("chain", 1000), least("chain", 10_000)
    commands, harness = least("commands", 200), least("harness", 200)
    functions, large_values = least("functions", 1000), least("large_values", 1000)
    fold, publish, export = (
        least("fold", 10_000),
        least("publish", 10_000),
        least("export", 10_000),
    )
    resume = least("resume", 1000)
    began = min(start.imports_s(start.RUN) for _ in range(rounds))
    return [
        _row("chain of 1,000, ledger in memory: ms CPU a step", chain.cpu_s, "", 0.0, "<= 0.15 ms"),
        _row(
            "chain of 10,000: ms CPU a step",
            long_chain.cpu_s / 10,
            "the same, chain of 1,000: ms",
            chain.cpu_s,
            "<= 1.1",
        ),
        figure_of(
            "memory of a chain of 10,000: kB a step more",
            [(long_chain.memory_bytes - chain.memory_bytes) / 9_000 / 1e3],
            "",
            [],
            target="<= 6 kB",
        ),
        _row(
            "200 times run: 'true', 8 at once: ms CPU a command",
            commands.cpu_s * 5,
            "subprocess.run in 8 threads, a commit each: ms",
            harness.cpu_s * 5,
            "<= 1.5",
        ),
        _row(
            "chain of 1,000 functions: ms CPU a step",
            functions.cpu_s,
            "chain of 1,000 values: ms",
            chain.cpu_s,
            "<= 1.5",
        ),
        _row(
            "chain of 1,000 functions: ms CPU a step",
            functions.cpu_s,
            "chain of 1,000 values, a commit each: ms",
            large_values.cpu_s,
            "<= 1.5",
        ),
        figure_of("events of 10,000 steps folded/s of CPU", [20_000 / fold.cpu_s], "", []),
        _row(
            "publishing in a run of 10,000 steps: s CPU",
            publish.cpu_s,
            "the chain of 10,000: s",
            long_chain.cpu_s,
            "<= 0.05",
        ),
        *(
            _row(
                f"publishing in {name}: s CPU",
                least(f"publish_{what}", count).cpu_s,
                "the same run: s",
                whole.cpu_s,
                "<= 0.05",
            )
            for name, what, count, whole in (
                ("a chain of 1,000 values, a commit each", "large_values", 1000, large_values),
                ("a chain of 1,000 functions", "functions", 1000, functions),
                ("200 times run: 'true', 8 at once", "commands", 200, commands),
            )
        ),
        _row(
            "publishing 10,000 steps, at the end: s CPU",
            export.cpu_s,
            "the chain of 10,000: s",
            long_chain.cpu_s,
            "<= 0.05",
        ),
        _row(
            "resume with 999 of 1,000 steps done: s CPU",
            resume.cpu_s,
            f"python -c 'import {start.RUN}': s",
            began,
            "<= 1.95",
        ),
    ]


def _row(name: str, value: float, beside: str, yard: float, target: str) -> dict[str, Any]:
    return figure_of(name, [value], beside, [yard] if beside else [], target=target)


def _measured(what: str, count: int, folder: Path) -> Cost:
    command = [sys.executable, "-m", "benchmarks.costs", what, str(count), str(folder)]
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


def _publish(run: Callable[[int, Path], float], count: int, folder: Path) -> float:
    """All that a run does for its run folder: with each commit, at its start and at its end."""
    spent = [0.0]

    def timed(work: Callable[..., None]) -> Callable[..., None]:
        def call(*told: Any, **options: Any) -> None:
            before = time.thread_time()
            work(*told, **options)
            spent[0] += time.thread_time() - before

        return call

    with patch.multiple(Publisher, take=timed(Publisher.take), publish=timed(Publisher.publish)):
        run(count, folder)
    return spent[0]


def _export(count: int, folder: Path) -> float:
    """A publication of a job that has ended, which reads all of it."""
    _run(jobs.chain(count), folder)
    with LedgerReader.open(folder / "runs.db") as ledger:
        job_id = ledger.find_job("latest")
        return _least(lambda: Publisher(ledger, job_id, folder / "again").publish())


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


_WHATS: dict[str, Callable[[int, Path], float]] = {
    "chain": _chain,
    "large_values": _large_values,
    "commands": _commands,
    "functions": _functions,
    "harness": _harness,
    "fold": _fold,
    "publish": partial(_publish, _chain),
    "publish_large_values": partial(_publish, _large_values),
    "publish_functions": partial(_publish, _functions),
    "publish_commands": partial(_publish, _commands),
    "export": _export,
    "resume": _resume,
}


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
    what, count, place = sys.argv[1:]
    tune_collector()
    with tempfile.TemporaryDirectory(dir=place) as name:
        cpu_s = _WHATS[what](int(count), Path(name))
    print(json.dumps(asdict(Cost(cpu_s, peak_bytes()))))


if __name__ == "__main__":
    main()
