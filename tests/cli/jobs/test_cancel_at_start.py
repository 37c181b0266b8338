"""A job that a process in the background is about to run: a cancel is not lost in its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from orc.cli.jobs import cancel
from orc.ledger.files.runner_log import new_runner_log
from tests.cli.command_line import orc, write


def test_a_cancel_waits_until_the_runner_has_the_job(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancel, "_START_WAIT_S", 0.0)
    spec = write("spec.yaml", "project: begun\nsteps: {a: {run: 'true'}}\n")
    job_id = orc("submit", spec, "--json").json()["job_id"]
    log = new_runner_log(
        here / "runs.db", job_id, command=["orc"], version=1, started_at="2026-01-02T03:04:05Z"
    )
    assert log is not None
    said = orc("cancel", job_id)
    assert said.code == 7
    assert f"when it has started, `orc cancel {job_id}`" in said.err
    assert orc("show", job_id, "--json").json()["status"] != "cancelled"
    log.close()
    assert orc("cancel", job_id).code == 0
    assert orc("show", job_id, "--json").json()["status"] == "cancelled"
