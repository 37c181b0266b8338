"""One round of chaos: a job on a cluster, faults at random, and resumes until the job has ended."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orc.ledger.failpoints import EXECUTOR_PLACES
from orc.scheduler.executors.lease_wait import MARGIN_S
from tests.executors.chaos_job import ChaosJob
from tests.executors.clusters import LoopbackCluster
from tests.processes import end_process, processes_with, run_orc, start_orc, wait_until

LEASE_S = 2.0
ROUND_S = 90.0
"""A round takes some seconds for the job and 7 s for each lost command."""
_WORKERS = 2
_LOSSES_MAX = 2
"""A step whose commands were lost on three workers fails, as documented."""
_LOSING = ("kill a worker", "freeze a worker", "retire a worker", "kill the scheduler")
_OTHERS = ("kill the driver", "kill the coordinator", "kill the coordinator")


@dataclass
class Cluster:
    """A cluster whose parts are replaced when they are killed."""

    loopback: LoopbackCluster
    scheduler: subprocess.Popen[bytes]
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    started: int = 0

    @classmethod
    def start(cls, folder: Path) -> Cluster:
        # With the engine's own settings: it starts tasks of killed workers again.
        loopback = LoopbackCluster(folder, settings={})
        cluster = cls(loopback, loopback.start_scheduler())
        cluster.fill()
        return cluster

    def fill(self) -> None:
        """Start workers until there are enough."""
        while len(self.workers) < _WORKERS:
            self.started += 1
            name = f"chaos-{self.started}"
            self.workers[name] = self.loopback.start_worker(label=name)

    def kill_worker(self, name: str) -> None:
        end_process(self.workers.pop(name))
        self.fill()

    def retire_worker(self, name: str) -> None:
        # It may leave before its connection is answered.
        with suppress(subprocess.SubprocessError):
            self.loopback.retire(name)
        # Its process ends by itself or is ended with the round.
        self.workers.pop(name)
        self.fill()

    def replace_scheduler(self) -> None:
        end_process(self.scheduler)
        self.workers.clear()
        self.scheduler = self.loopback.start_scheduler()
        self.fill()

    def sweep(self) -> None:
        """End the processes that belong to the cluster no more."""
        kept = [self.scheduler, *self.workers.values()]
        for process in [one for one in self.loopback.processes if one not in kept]:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            self.loopback.processes.remove(process)


class Round:
    """The faults of one seed, and what was done."""

    def __init__(self, seed: int, cluster: Cluster, job: ChaosJob) -> None:
        self._chance = random.Random(f"chaos {seed}")
        self._cluster = cluster
        self._job = job
        self._began = time.monotonic()
        self._frozen: list[tuple[float, subprocess.Popen[bytes]]] = []
        self._running: subprocess.Popen[str] | None = None
        self.log: list[str] = [f"seed {seed}"]
        faults = [*self._chance.choices(_OTHERS, k=self._chance.randint(0, 3))]
        faults += self._chance.choices(_LOSING, k=self._chance.randint(0, _LOSSES_MAX))
        self._chance.shuffle(faults)
        self._faults = iter(faults)
        places = self._chance.choices([*EXECUTOR_PLACES], k=self._chance.randint(0, 2))
        self._kills_at = [f"{place}@{self._chance.randint(1, 6)}=kill" for place in places]

    def run(self) -> None:
        """Run the job to its end, through all faults."""
        fault_at = self._next_at()
        try:
            while not self._has_succeeded():
                assert time.monotonic() < self._began + ROUND_S, "the round does not end"
                self._thaw()
                self._keep_running()
                if time.monotonic() >= fault_at:
                    fault = next(self._faults, None)
                    fault_at = float("inf") if fault is None else self._next_at()
                    if fault is not None:
                        self._do(fault)
                        fault_at = self._next_at()
                time.sleep(0.01)
        finally:
            self._thaw(every=True)
            if self._running is not None:
                end_process(self._running)
            self._cluster.sweep()
        wait_until(
            lambda: not processes_with(self._job.marker),
            within_s=LEASE_S + MARGIN_S,
            what="the end of all commands",
        )

    def _next_at(self) -> float:
        return time.monotonic() + self._chance.uniform(0.1, 1.2)

    def _note(self, what: str) -> None:
        self.log.append(f"{time.monotonic() - self._began:.2f} s: {what}")

    def _has_succeeded(self) -> bool:
        return self._running is None and bool(self._ended("job.succeeded"))

    def _ended(self, *types: str) -> list[dict[str, Any]]:
        return [one for one in self._job.events() if one["type"] in types]

    def _keep_running(self) -> None:
        """Start the coordinator, or another one when it has ended."""
        if self._running is not None:
            code = self._running.poll()
            if code is None:
                return
            assert self._running.stderr is not None
            said = self._running.stderr.read()
            self._note(f"the coordinator ended with {code}: {said[-300:].strip()}")
            end_process(self._running)
            self._running = None
            assert "Traceback" not in said, said
            assert code in (-signal.SIGKILL, 0, 3, 7), said
            if code == 0:
                return
            if code == 3:
                self._approve()
        is_new = not self._ended("job.submitted")
        armed = self._kills_at.pop() if self._kills_at else ""
        self._note(f"{'run' if is_new else 'resume'} {armed}")
        command = ("run", "spec.yaml") if is_new else ("resume", "latest")
        self._running = start_orc(
            *command, "--no-input", cwd=self._job.folder, ORC_FAILPOINTS=armed
        )

    def _approve(self) -> None:
        """A person lets a step run again whose command was lost."""
        asked = {one["step"] for one in self._ended("approval.requested", "step.waiting")}
        done = run_orc("approve", "latest", "once", cwd=self._job.folder)
        self._note(f"approve {asked}: {done.returncode} {done.stderr.strip()[-200:]}")
        assert done.returncode == 0, done

    def _do(self, fault: str) -> None:
        worker = self._chance.choice(sorted(self._cluster.workers))
        self._note(f"{fault} ({worker})")
        match fault:
            case "kill a worker":
                self._cluster.kill_worker(worker)
            case "retire a worker":
                self._cluster.retire_worker(worker)
            case "freeze a worker":
                process = self._cluster.workers[worker]
                os.kill(process.pid, signal.SIGSTOP)
                frozen_s = self._chance.uniform(0.2, 3 * LEASE_S)
                self._frozen.append((time.monotonic() + frozen_s, process))
            case "kill the scheduler":
                self._cluster.replace_scheduler()
            case "kill the driver":
                for pid in self._drivers():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            case "kill the coordinator" if self._running is not None:
                with suppress(ProcessLookupError):
                    os.kill(self._running.pid, signal.SIGKILL)

    def _drivers(self) -> Iterator[int]:
        """The drivers of this job's coordinator."""
        assert self._running is not None
        children = Path(f"/proc/{self._running.pid}/task/{self._running.pid}/children")
        with suppress(OSError):
            for pid in children.read_text().split():
                if "drivers/dask.py" in Path(f"/proc/{pid}/cmdline").read_text():
                    yield int(pid)

    def _thaw(self, *, every: bool = False) -> None:
        now = time.monotonic()
        for until, process in self._frozen:
            if every or until <= now:
                self._note("thaw")
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)
        self._frozen = [] if every else [one for one in self._frozen if one[0] > now]
