"""A job whose calls are in batches is killed at every place, and continued: nothing is paid twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from orc.ledger.failpoints import BATCH_PLACES
from orc.scheduler.batches import follower
from tests.batch_server import BatchServer
from tests.batches.jobs import (
    both_apis,
    echo,
    events,
    fan_out,
    lead_to,
    output_of,
    query,
    write_spec,
)
from tests.cli.command_line import orc
from tests.processes import has_event, run_orc

COMMITS = ("ledger.after_insert", "ledger.after_commit")
MANY = 12
"""More commits than the job has."""


def continue_killed(
    api: str, failpoint: str, folder: Path, patches: pytest.MonkeyPatch
) -> BatchServer:
    """Run the job with the failpoint, and resume it until it has succeeded; the server."""
    write_spec(fan_out(api))
    with BatchServer(echo) as server:
        environment = server.environment()
        run = run_orc("run", "spec.yaml", "-q", cwd=folder, ORC_FAILPOINTS=failpoint, **environment)
        assert run.returncode in (-9, 0), run.stderr
        if run.returncode:
            # Killed before its first commit, there is no job yet.
            is_there = has_event(folder / "runs.db", "job.submitted")
            words = ("resume", "latest") if is_there else ("run", "spec.yaml")
            lead_to(server, patches)
            patches.setattr(follower, "POLL_FIRST_S", 0.02)
            patches.setattr(follower, "FIND_WAIT_S", 0.05)
            again = orc(*words, "-q")
            assert again.code == 0, again.err
    assert output_of("all") == "A B C"
    assert orc("verify").code == 0
    return server


@both_apis
@pytest.mark.parametrize("place", BATCH_PLACES)
def test_a_job_that_is_killed_at_a_place_of_its_batch_submits_nothing_twice(
    api: str, place: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = continue_killed(api, f"{place}=kill", folder, monkeypatch)
    assert len(server.batches) == 1
    assert len(set(server.all_custom_ids)) == 3
    # Before the submission, nobody knows that it was not sent: the policy submits it again.
    is_lost = place == "batch.before_submit"
    assert len(events("batch.submitted")) == 1 + is_lost
    assert query("SELECT calls_in_doubt FROM jobs") == [(3 * is_lost,)]


@pytest.mark.torture
@both_apis
@pytest.mark.parametrize("place", COMMITS)
@pytest.mark.parametrize("count", range(1, MANY))
def test_a_job_that_is_killed_at_any_commit_submits_nothing_twice(
    api: str, place: str, count: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = continue_killed(api, f"{place}@{count}=kill", folder, monkeypatch)
    assert len(server.batches) == 1
    assert len(set(server.all_custom_ids)) == 3
