"""A job whose owner has died goes on elsewhere, or is cancelled: its command on a worker ends first."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.ledger.exit_codes import ENVIRONMENT
from tests.cli.command_line import Said, orc
from tests.executors.clusters import LoopbackCluster, loopback_cluster, needs_dask
from tests.processes import end_process, has_event, needs_proc, start_orc, wait_until

pytestmark = [needs_dask, needs_proc]

SPEC = """
project: moved
executor: cluster
env: {MARK: {mark}}
steps:
  long:
    run: |
      lives() { tr '\\0' '\\n' <"/proc/$1/environ" | grep -qx "ORC_STEP=$ORC_STEP"; } 2>/dev/null
      if test -e "$MARK" && lives "$(cat "$MARK")"; then echo overlap; exit; fi
      echo $$ >"$MARK"
      if test "$ORC_ATTEMPT" = 1; then sleep 60; fi
      echo alone
"""


@pytest.fixture
def left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_cluster: LoopbackCluster
) -> Iterator[Path]:
    """The file with the process of a command that a worker runs; the owner of its job was killed."""
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "mark"
    Path("spec.yaml").write_text(SPEC.replace("{mark}", str(mark)))
    write_sites(cluster=shared_cluster.scheduler_file)
    owner = start_orc("run", "spec.yaml", "--no-input", cwd=tmp_path)
    try:
        wait_until(lambda: mark.exists() and mark.read_text(), within_s=30, what="the command")
    finally:
        end_process(owner)
    yield mark
    # Some of the tests leave it: other tests need its room on the worker.
    if is_running(mark):
        os.killpg(int(mark.read_text()), signal.SIGKILL)
    shared_cluster.wait_until_empty()


@pytest.fixture
def other_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackCluster]:
    with loopback_cluster(tmp_path_factory.mktemp("other"), workers=1) as cluster:
        yield cluster


def write_sites(**files: Path) -> None:
    sites = {
        name: {"engine": "dask", "scheduler_file": str(file), "lease": "2s"}
        for name, file in files.items()
    }
    Path("executors.yaml").write_text(json.dumps({"executors": sites}))


def result() -> object:
    return orc("show", "latest", "--json", "--result", "long").json()["output"]


def is_running(mark: Path) -> bool:
    try:
        return b"ORC_STEP=long" in Path(f"/proc/{mark.read_text().strip()}/environ").read_bytes()
    except OSError:
        return False


def test_an_amendment_ends_what_a_worker_runs_before_the_step_runs_here(left_running: Path) -> None:
    edited = Path("spec.yaml").read_text().replace("executor: cluster", "executor: local")
    Path("edited.yaml").write_text(edited)
    said = orc("resume", "latest", "--spec", "edited.yaml")
    assert said.code == 0, said.err
    assert result() == "alone"


def test_an_executor_in_place_of_another_one_gets_no_second_copy(
    left_running: Path, shared_cluster: LoopbackCluster, other_cluster: LoopbackCluster
) -> None:
    write_sites(cluster=shared_cluster.scheduler_file, other=other_cluster.scheduler_file)
    said = orc("resume", "latest", "--executor", "cluster=other")
    assert said.code == 0, said.err
    assert result() == "alone"
    events = orc("show", "latest", "--events", "--json").lines()
    assert [one["executor"] for one in events if one["type"] == "step.placed"] == [
        "cluster",
        "other",
    ]
    assert "(other)" in orc("show", "latest").out


def test_an_executor_that_has_another_name_now_is_the_same(
    left_running: Path, shared_cluster: LoopbackCluster
) -> None:
    write_sites(other=shared_cluster.scheduler_file)
    owner = start_orc("resume", "latest", "--executor", "cluster=other", cwd=Path.cwd())
    try:
        wait_until(
            lambda: has_event(Path("runs.db"), "step.reattached"), within_s=30, what="the command"
        )
    finally:
        end_process(owner)
    assert is_running(left_running)
    assert cancel("--force").code == 0


def test_what_cannot_be_reached_keeps_a_job_from_going_on_elsewhere(
    left_running: Path, other_cluster: LoopbackCluster
) -> None:
    write_sites(other=other_cluster.scheduler_file)
    refused = orc("resume", "latest", "--executor", "cluster=other")
    assert refused.code == ENVIRONMENT
    assert "long may still run there: " in refused.err
    assert "has no executor 'cluster'" in refused.err
    assert is_running(left_running)
    assert not has_event(Path("runs.db"), "job.resumed")


def cancel(*options: str) -> Said:
    return orc("cancel", "latest", *options)


def test_a_job_whose_executor_is_not_in_the_site_file_can_be_cancelled(left_running: Path) -> None:
    Path("executors.yaml").rename("sites.yaml")
    refused = cancel()
    assert refused.code == ENVIRONMENT
    assert "orc cancel --force" in refused.err
    assert cancel("--force").code == 0
    # Its command goes on: the next attempt there ends it.
    assert is_running(left_running)
    Path("sites.yaml").rename("executors.yaml")
    assert orc("resume", "latest").code == 0
    assert result() == "alone"


def test_a_forced_cancel_ends_what_can_be_reached(left_running: Path) -> None:
    assert cancel("--force").code == 0
    assert not is_running(left_running)
