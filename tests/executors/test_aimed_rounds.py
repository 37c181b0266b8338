"""Faults that are aimed at one guard each, on a real cluster; see `test_chaos.py` for faults at random.

A fault at random seldom finds the moment at which a guard matters. Each round here ends wrong if
its guard is removed: the lease of commands and the wait for it, that a command starts only after
its placement, that a worker starts no copy twice, and that orders of an earlier owner count no
more. A round takes 5 to 30 s.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orc.ledger.exit_codes import OWNED
from tests.executors.clusters import LoopbackCluster, loopback_cluster, needs_dask
from tests.processes import (
    end_process,
    has_event,
    needs_proc,
    orc_environment,
    run_orc,
    start_orc,
    wait_until,
)

pytestmark = [needs_dask, needs_proc, pytest.mark.torture]

LEASE_S = 2.0
WAIT_S = 60.0
# Longer than until the next attempt starts: a frozen worker is missed at a census, and waited for.
LONG_S = 90
_MARK = """
for pid in $(sed -n "s/^start $ORC_STEP [0-9]* //p" "$MARKS"); do
  # What is dead has none; its parent may be frozen, and leave it unreaped.
  if { tr '\\0' '\\n' <"/proc/$pid/environ"; } 2>/dev/null | grep -qx "ORC_STEP=$ORC_STEP"; then
    echo "overlap $ORC_STEP $ORC_ATTEMPT $pid" >>"$MARKS"
  fi
done
echo "start $ORC_STEP $ORC_ATTEMPT $$" >>"$MARKS"
"""
# The engine's own message that a worker is to run a task: kept, and sent a second time.
_KEEP = """
def act(dask_scheduler):
    tasks = [ts for ts in dask_scheduler.tasks.values() if ts.processing_on]
    dask_scheduler.kept = [
        (ts.processing_on.address, dask_scheduler._task_to_msg(ts)) for ts in tasks
    ]
    return len(tasks)
"""
_SEND_AGAIN = """
def act(dask_scheduler):
    for worker, message in dask_scheduler.kept:
        dask_scheduler.worker_send(worker, {**message, "run_id": message["run_id"] + 1000})
    return len(dask_scheduler.kept)
"""
_ON_SCHEDULER = """
import sys
from distributed import Client
with Client(sys.argv[1], timeout=20, set_as_default=False) as client:
    print(client.run_on_scheduler(act))
"""


@dataclass(frozen=True)
class Job:
    """A job on the cluster in a folder of its own; its commands leave marks outside of theirs."""

    folder: Path
    marks: Path

    @property
    def database(self) -> Path:
        return self.folder / "runs.db"

    def write(self, cluster: LoopbackCluster, steps: dict[str, str]) -> None:
        """Write the spec, with a command for each step, and the site file."""
        self.folder.mkdir(mode=0o700)
        self.marks.touch()
        site = {"engine": "dask", "scheduler_file": str(cluster.scheduler_file), "lease": "2s"}
        spec = {
            "project": "aimed",
            "executor": "cluster",
            "env": {"MARKS": str(self.marks)},
            "steps": {
                name: {"run": _MARK + command, "needs": [before] if before else []}
                for (name, command), before in zip(steps.items(), [None, *steps], strict=False)
            },
        }
        (self.folder / "spec.yaml").write_text(json.dumps(spec))
        (self.folder / "executors.yaml").write_text(json.dumps({"executors": {"cluster": site}}))

    def moved(self, folder: Path) -> Job:
        """A copy of the ledger, as of a person who saved it."""
        shutil.copytree(self.folder, folder)
        return Job(folder, self.marks)

    def starts(self) -> list[list[str]]:
        """The step, the attempt and the process of each start, in order."""
        lines = [line.split() for line in self.marks.read_text().splitlines()]
        return [line[1:] for line in lines if line[0] == "start"]

    def problems(self) -> list[str]:
        """Overlaps, and attempts that were started twice."""
        overlaps = [one for one in self.marks.read_text().splitlines() if "overlap" in one]
        starts = Counter((step, attempt) for step, attempt, _ in self.starts())
        return overlaps + [f"{one} started {n} times" for one, n in starts.items() if n > 1]

    def wait_for_start(self, number: int = 1) -> int:
        """The process of the last command, once there are so many starts."""
        wait_until(lambda: len(self.starts()) >= number, within_s=WAIT_S, what="a start")
        return int(self.starts()[-1][2])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LoopbackCluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with loopback_cluster(folder, workers=0) as found:
        yield found


def is_stopped(process: subprocess.Popen[str]) -> bool:
    status = Path(f"/proc/{process.pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "T"


def on_scheduler(cluster: LoopbackCluster, act: str) -> int:
    """Let `act` run in the scheduler; how many tasks it had to do with."""
    done = subprocess.run(
        [sys.executable, "-c", act + _ON_SCHEDULER, cluster.address],
        capture_output=True, text=True, timeout=WAIT_S, env=orc_environment(), check=True,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.parametrize("fault", ["frozen", "retired"])
def test_the_command_of_a_lost_worker_is_dead_before_the_next_attempt(
    cluster: LoopbackCluster, tmp_path: Path, fault: str
) -> None:
    job = Job(tmp_path / "job", tmp_path / "marks")
    job.write(cluster, {"long": f'test "$ORC_ATTEMPT" -gt 1 || sleep {LONG_S:g}'})
    worker = cluster.start_worker(label="first")
    running = start_orc("run", "spec.yaml", "--no-input", cwd=job.folder)
    try:
        job.wait_for_start()
        cluster.start_worker(label="second")
        if fault == "frozen":
            os.kill(worker.pid, signal.SIGSTOP)
        else:
            cluster.retire("first")
        assert running.wait(WAIT_S) == 0
    finally:
        end_process(running)
    assert job.problems() == []
    assert [attempt for _, attempt, _ in job.starts()] == ["1", "2"]


def test_a_command_that_was_not_placed_has_not_started(
    cluster: LoopbackCluster, tmp_path: Path
) -> None:
    job = Job(tmp_path / "job", tmp_path / "marks")
    job.write(cluster, {"placed": "sleep 1"})
    cluster.start_worker()
    killed = run_orc(
        "run", "spec.yaml", "--no-input", cwd=job.folder, ORC_FAILPOINTS="placed.before_commit=kill"
    )
    assert killed.returncode == -signal.SIGKILL
    done = run_orc("resume", "latest", "--no-input", cwd=job.folder)
    assert done.returncode == 0, done.stderr
    assert job.problems() == []
    assert len(job.starts()) == 1


def test_a_worker_that_gets_a_task_again_does_not_start_its_copy_again(
    cluster: LoopbackCluster, tmp_path: Path
) -> None:
    job = Job(tmp_path / "job", tmp_path / "marks")
    job.write(cluster, {"once": 'until test -e "$MARKS.go"; do sleep 0.05; done'})
    cluster.start_worker()
    running = start_orc(
        "run", "spec.yaml", "--no-input", cwd=job.folder, ORC_FAILPOINTS="ended.before_commit=kill"
    )
    try:
        job.wait_for_start()
        assert on_scheduler(cluster, _KEEP) == 1
        job.marks.with_suffix(".go").touch()
        assert running.wait(WAIT_S) == -signal.SIGKILL
    finally:
        end_process(running)
    # Nobody has committed the end, and the engine has forgotten that the task was done.
    assert on_scheduler(cluster, _SEND_AGAIN) == 1
    done = run_orc("resume", "latest", "--no-input", cwd=job.folder)
    assert done.returncode == 0, done.stderr
    assert job.problems() == []
    assert len(job.starts()) == 1


def test_an_owner_that_was_superseded_while_it_slept_starts_nothing(
    cluster: LoopbackCluster, tmp_path: Path
) -> None:
    job = Job(tmp_path / "job", tmp_path / "marks")
    job.write(cluster, {"first": "sleep 3", "second": "sleep 1", "third": "true"})
    for _ in range(2):
        cluster.start_worker()
    sleeper = start_orc(
        "run", "spec.yaml", "--no-input", cwd=job.folder, ORC_FAILPOINTS="allow.before_send=stop"
    )
    try:
        wait_until(lambda: is_stopped(sleeper), within_s=WAIT_S, what="the stop")
        later = job.moved(tmp_path / "later")
        owner = start_orc("resume", "latest", "--no-input", cwd=later.folder)
        try:
            later.wait_for_start()
            os.kill(sleeper.pid, signal.SIGCONT)
            assert owner.wait(WAIT_S) == 0, owner.communicate()
            _, said = sleeper.communicate(timeout=WAIT_S)
        finally:
            end_process(owner)
    finally:
        end_process(sleeper)
    assert later.problems() == []
    assert [step for step, _, _ in later.starts()] == ["first", "second", "third"]
    assert has_event(later.database, "job.succeeded")
    assert sleeper.returncode == OWNED, said
    assert "another process runs this job now" in said
    assert "Traceback" not in said
    assert not has_event(job.database, "step.succeeded")
