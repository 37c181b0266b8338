"""Steps on a cluster of two workers, on loopback, each beside the same on the executor `local`.

Processor time is that of all processes: the coordinator, its driver, the scheduler, the workers
and all commands. Linux only, since memory and processor time of others are read from /proc.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import yardsticks
from benchmarks.figures import figure_of
from benchmarks.items import ORC
from benchmarks.processes import Memories, cpu_s, is_dead, with_children
from tests.executors.clusters import LoopbackCluster, loopback_cluster
from tests.processes import orc_environment, read_events, wait_until

LEASE_S = 3.0
PLACED = 200
FILE_BYTES = 1 << 26
EXECUTORS = ("cluster", "local")

_WAIT_S = 40.0
_CHAIN = 40
_FAN = 300
_SLOTS = 4
_LOCAL_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Run:
    """A job that has ended: its events, its processor time and the largest resident memories."""

    events: list[dict[str, Any]]
    cpu_s: float
    coordinator_bytes: int
    driver_bytes: int

    def times(self, *types: str) -> list[float]:
        """When the events of these types were recorded, in seconds."""
        return [_time(event) for event in self.events if event["type"] in types]


@dataclass(frozen=True, slots=True)
class Fan:
    """A fan: steps a second, processor time a step, and the memory of a coordinator at its start."""

    steps_per_s: float
    cpu_ms: float
    coordinator_bytes: int


class Bench:
    """A cluster, and a folder for jobs on it."""

    def __init__(self, folder: Path, cluster: LoopbackCluster) -> None:
        self._folder = folder
        self._cluster = cluster
        self._jobs = 0
        site = {
            "engine": "dask",
            "scheduler_file": str(cluster.scheduler_file),
            "lease": f"{LEASE_S:g}s",
        }
        self._site = folder / "executors.yaml"
        self._site.write_text(json.dumps({"executors": {"cluster": site}}))
        self._site.chmod(0o600)

    def warm_up(self) -> None:
        """The first commands of a worker load what it needs."""
        self._run("cluster", {f"s{i}": {"run": "sleep 0.1"} for i in range(4 * _SLOTS)})

    def chain_ms(self, executor: str) -> float:
        """Commands one after the other: the median time from one committed result to the next."""
        steps = {f"s{i}": {"run": "true", **_after(i)} for i in range(_CHAIN)}
        ended = self._run(executor, steps).times("step.succeeded")
        # The first commands also wait for the start of processes.
        pairs = list(pairwise(ended))[3:]
        return statistics.median(after - before for before, after in pairs) * 1e3

    def fan(self, executor: str) -> Fan:
        """Commands that need no other; those of a second job with one command are the start."""
        start = self._run(executor, {"s0": {"run": "sleep 0.3"}})
        run = self._run(executor, {f"s{i}": {"run": "true"} for i in range(_FAN)})
        (started,), (ended,) = run.times("job.started"), run.times("job.succeeded")
        return Fan(
            steps_per_s=_FAN / (ended - started),
            cpu_ms=(run.cpu_s - start.cpu_s) / (_FAN - 1) * 1e3,
            coordinator_bytes=start.coordinator_bytes,
        )

    def file(self, executor: str) -> tuple[float, int, int]:
        """Bytes a second of a large file, from the end of its command to its commit; memories."""
        script = f"head -c {FILE_BYTES} /dev/urandom >big.bin; sync big.bin; date +%s.%N"
        run = self._run(executor, {"s0": {"run": script, "files": ["big.bin"]}})
        (succeeded,) = [one for one in run.events if one["type"] == "step.succeeded"]
        written = float(succeeded["data"]["output"]["value"])
        return FILE_BYTES / (_time(succeeded) - written), run.coordinator_bytes, run.driver_bytes

    def adoption_s(self) -> tuple[float, float]:
        """A coordinator is killed: the times until the next one has adopted all that was placed.

        From `job.resumed`, and from the start of `orc resume`.
        """
        for number in range(2):
            self._cluster.start_worker(label=f"large{number}", slots=PLACED // 2)
        steps = {
            f"s{i}": {"run": 'read -r line <"$GATE"', "labels": [f"large{i % 2}"]}
            for i in range(PLACED)
        }
        place = self._write("cluster", steps, env={"GATE": str(self._folder / "gate")})
        os.mkfifo(self._folder / "gate")
        with _killed_at_end(self._start(place, "run", "spec.yaml")) as coordinator:
            _wait_for_events(place, coordinator, "step.placed", PLACED)
        began = time.time()
        with _killed_at_end(self._start(place, "resume", "latest")) as coordinator:
            _wait_for_events(place, coordinator, "step.reattached", PLACED)
            with _opened(self._folder / "gate"):
                assert coordinator.wait(_WAIT_S) == 0
        events = read_events(place / "runs.db")
        assert not [one for one in events if one["type"] == "step.interrupted"]
        adopted = max(_time(one) for one in events if one["type"] == "step.reattached")
        (resumed,) = [_time(one) for one in events if one["type"] == "job.resumed"]
        return adopted - resumed, adopted - began

    def death_s(self) -> float:
        """A worker is frozen: the time until the command on it is dead."""
        worker = self._cluster.start_worker(label="frozen")
        pid_file = self._folder / "pid"
        script = 'echo $$ >"$PID_FILE.new"; mv "$PID_FILE.new" "$PID_FILE"; sleep 300'
        steps = {"s0": {"run": script, "labels": ["frozen"]}}
        place = self._write("cluster", steps, env={"PID_FILE": str(pid_file)})
        with (
            _killed_at_end(worker),
            _killed_at_end(self._start(place, "run", "spec.yaml")),
        ):
            wait_until(pid_file.exists, within_s=_WAIT_S, what="the start of the command")
            pid = int(pid_file.read_text())
            os.kill(worker.pid, signal.SIGSTOP)
            began = time.monotonic()
            wait_until(lambda: is_dead(pid), within_s=_WAIT_S, what="the end of the command")
            return time.monotonic() - began

    def _write(
        self, executor: str, steps: dict[str, Any], *, env: dict[str, str] | None = None
    ) -> Path:
        self._jobs += 1
        place = self._folder / f"job-{self._jobs}"
        place.mkdir()
        spec: dict[str, Any] = {
            "project": "cluster",
            "executor": executor,
            "concurrency": _LOCAL_AT_ONCE
            if executor == "local"
            else {"total": _LOCAL_AT_ONCE, executor: PLACED},
            "env": env or {},
            "steps": steps,
        }
        (place / "spec.yaml").write_text(json.dumps(spec))
        return place

    def _start(self, place: Path, *arguments: str) -> subprocess.Popen[bytes]:
        # Not through a pipe that nobody reads.
        with (place / "said").open("ab") as said:
            return subprocess.Popen(
                [ORC, *arguments, "--quiet", "--no-input", "--db", str(place / "runs.db")],
                cwd=place,
                env=orc_environment(ORC_EXECUTORS=str(self._site)),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def _run(self, executor: str, steps: dict[str, Any]) -> Run:
        place = self._write(executor, steps)
        before_s = self._cluster_cpu_s()
        process = self._start(place, "run", "spec.yaml")
        memories = Memories(process.pid)
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            memories.look()
            # A look costs processor time of this machine, too.
            time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, (place / "said").read_text()
        cpu_s = used.ru_utime + used.ru_stime + self._cluster_cpu_s() - before_s
        events = read_events(place / "runs.db")
        return Run(events, cpu_s, memories.coordinator_bytes, memories.driver_bytes)

    def _cluster_cpu_s(self) -> float:
        roots = [process.pid for process in self._cluster.processes if process.poll() is None]
        return sum(map(cpu_s, with_children(roots)))


def left_out() -> str:
    """Why nothing of this can be measured here; empty if it can."""
    if importlib.util.find_spec("distributed") is None:
        return "`distributed` is not installed: pip install 'orc-ledger[dask]'"
    if not Path("/proc/self/stat").exists():
        return "memory and processor time of other processes are read from /proc, which Linux has"
    return ""


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """A cluster with two workers, which have loaded what they need for commands."""
    place = folder / f"cluster-{time.monotonic_ns()}"
    place.mkdir(mode=0o700)
    with loopback_cluster(place, workers=0) as cluster:
        for _ in range(2):
            cluster.start_worker(slots=_SLOTS)
        found = Bench(place, cluster)
        found.warm_up()
        yield found


def _after(number: int) -> dict[str, Any]:
    return {"needs": [f"s{number - 1}"]} if number else {}


def _time(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["recorded_at"]).timestamp()


def _wait_for_events(
    place: Path, process: subprocess.Popen[bytes], type_name: str, number: int
) -> None:
    def are_there() -> bool:
        assert process.poll() is None, (place / "said").read_text()
        if not (place / "runs.db").exists():
            return False
        # It may not have its tables yet.
        with suppress(sqlite3.OperationalError):
            types = [event["type"] for event in read_events(place / "runs.db")]
            return types.count(type_name) >= number
        return False

    deadline = time.monotonic() + _WAIT_S
    while not are_there():
        assert time.monotonic() < deadline, f"fewer than {number} events {type_name}"
        time.sleep(0.1)  # each look reads the ledger that is written


@contextmanager
def _killed_at_end(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait(_WAIT_S)


@contextmanager
def _opened(gate: Path) -> Iterator[None]:
    """Open for who reads, in the block; also for those that come late."""
    descriptor = os.open(gate, os.O_RDWR)
    try:
        os.write(descriptor, b"\n" * PLACED)
        yield
    finally:
        os.close(descriptor)


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Steps on a cluster, each beside the same on this machine without one."""
    reason = left_out()
    if reason:
        print(f"The part `cluster` is left out, since {reason}", file=sys.stderr)
        return []
    chains: dict[str, list[float]] = {name: [] for name in EXECUTORS}
    fans: dict[str, list[Fan]] = {name: [] for name in EXECUTORS}
    files: dict[str, list[tuple[float, int, int]]] = {name: [] for name in EXECUTORS}
    with bench(folder) as measured:
        for _ in range(rounds):
            for name in EXECUTORS:
                chains[name].append(measured.chain_ms(name))
                fans[name].append(measured.fan(name))
                files[name].append(measured.file(name))
        death_s = measured.death_s()
        commit_s = PLACED / yardsticks.commits_per_s(folder, rows=PLACED, rows_a_commit=1)
        adoption_s, resume_s = measured.adoption_s()
    remote, local = EXECUTORS
    return [
        figure_of(
            "true on a cluster, one by one: ms a step",
            chains[remote],
            "the same, local: ms",
            chains[local],
            target="<= 20 ms",
        ),
        figure_of(
            "300 times true, 2 workers: steps/s",
            [fan.steps_per_s for fan in fans[remote]],
            "the same, local, 4 at once: steps/s",
            [fan.steps_per_s for fan in fans[local]],
            target=">= 180 steps/s",
        ),
        figure_of(
            "300 times true, all processes: ms CPU a step",
            [fan.cpu_ms for fan in fans[remote]],
            "the same, local: ms",
            [fan.cpu_ms for fan in fans[local]],
            target="<= 2.2",
        ),
        figure_of(
            "memory of a coordinator with a cluster: MB",
            [fan.coordinator_bytes / 1e6 for fan in fans[remote]],
            "without: MB",
            [fan.coordinator_bytes / 1e6 for fan in fans[local]],
            target="<= 5 MB more",
        ),
        figure_of(
            "a file of 64 MB from a worker: MB/s",
            [rate / 1e6 for rate, _, _ in files[remote]],
            "the same, local: MB/s",
            [rate / 1e6 for rate, _, _ in files[local]],
            target=">= 150 MB/s",
        ),
        figure_of(
            "the same, memory of the coordinator: MB",
            [memory / 1e6 for _, memory, _ in files[remote]],
            "the same, local: MB",
            [memory / 1e6 for _, memory, _ in files[local]],
            target="<= 100 MB",
        ),
        figure_of(
            "the same, memory of the driver: MB",
            [memory / 1e6 for _, _, memory in files[remote]],
            "the file: MB",
            [FILE_BYTES / 1e6] * rounds,
            target="<= 100 MB",
        ),
        figure_of(
            f"{PLACED} placed steps are adopted, from job.resumed: s",
            [adoption_s],
            "as many raw one-row commits: s",
            [commit_s],
            target="<= 2 s",
        ),
        figure_of(
            "the same, from the start of orc resume: s",
            [resume_s],
            "from job.resumed: s",
            [adoption_s],
        ),
        figure_of(
            "the command of a frozen worker is dead: s",
            [death_s],
            "its lease: s",
            [LEASE_S],
            target="<= 1",
        ),
    ]
