"""`orc bundle`: one job in one file; it replaces no file and takes no job that runs."""

from __future__ import annotations

from pathlib import Path

from orc.ledger import OwnerLock
from tests.cli.command_line import orc, submit
from tests.cli.removed_jobs import SPEC


def test_a_bundle_does_not_replace_a_file(here: Path) -> None:
    job = submit(SPEC)
    assert orc("bundle", job, "job.orc").code == 0
    before = Path("job.orc").read_bytes()
    refused = orc("bundle", job, "job.orc")
    assert refused.code == 2
    assert "exists already" in refused.err
    assert Path("job.orc").read_bytes() == before


def test_a_running_job_is_not_bundled(here: Path) -> None:
    job = submit(SPEC)
    lock = OwnerLock(here / "runs.db", job)
    lock.acquire()
    refused = orc("bundle", job, "job.orc")
    lock.release()
    assert refused.code == 75
    assert not Path("job.orc").exists()
