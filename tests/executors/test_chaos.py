"""Parts of a cluster, drivers and coordinators are killed at random, and the job ends all the same.

A round that fails prints its seed and what was done; `ORC_CHAOS_SEED` runs that round alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.cli.chaos.comparison import End
from orc.scheduler.executors.lease_wait import MARGIN_S
from tests.executors.chaos_job import ChaosJob
from tests.executors.chaos_round import LEASE_S, Cluster, Round
from tests.executors.clusters import needs_dask
from tests.processes import needs_proc, new_marker, run_orc

pytestmark = [needs_dask, needs_proc]
ROUNDS = int(os.environ.get("ORC_CHAOS_ROUNDS", "200"))
FIRST_SEED = int(os.environ.get("ORC_CHAOS_SEED", "1"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = Cluster.start(tmp_path_factory.mktemp("chaos-cluster"))
    yield found
    found.loopback.close()


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> End:
    """The result of the job without a fault."""
    job = new_job(cluster, tmp_path_factory.mktemp("undisturbed"))
    done = run_orc("run", "spec.yaml", "--no-input", cwd=job.folder)
    assert done.returncode == 0, done.stderr
    assert [*job.problems(None)] == []
    return job.end()


def new_job(cluster: Cluster, folder: Path, long_s: float = 0.5) -> ChaosJob:
    job = ChaosJob(folder / "job", new_marker())
    scheduler_file = cluster.loopback.scheduler_file
    job.write(scheduler_file=scheduler_file, lease_s=LEASE_S, long_s=long_s)
    return job


def check_round(seed: int, cluster: Cluster, folder: Path, undisturbed: End) -> None:
    # In every third round, long enough that a command which outlives its lease is seen.
    job = new_job(cluster, folder, LEASE_S + MARGIN_S + 3 if seed % 3 == 0 else 0.5)
    one = Round(seed, cluster, job)
    try:
        one.run()
        assert [*job.problems(undisturbed)] == []
        verified = run_orc("verify", cwd=job.folder)
        assert verified.returncode == 0, verified
    except BaseException:
        # Shown with the failure.
        print(*one.log, sep="\n")
        print(run_orc("tail", "latest", cwd=job.folder).stdout)
        raise


def test_a_job_ends_although_parts_of_its_cluster_are_killed(
    cluster: Cluster, tmp_path: Path, undisturbed: End
) -> None:
    check_round(FIRST_SEED, cluster, tmp_path, undisturbed)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + ROUNDS))
def test_many_jobs_end_although_parts_of_their_cluster_are_killed(
    cluster: Cluster, tmp_path: Path, undisturbed: End, seed: int
) -> None:
    check_round(seed, cluster, tmp_path, undisturbed)
