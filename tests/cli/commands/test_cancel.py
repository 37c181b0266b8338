"""`orc cancel`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orc.cli.jobs import owner_request
from orc.ledger import OwnerLock
from tests.cli.command_line import orc, write
from tests.cli.conftest import Kept


def test_cancel_tells_a_job_that_had_ended_already(kept: Kept) -> None:
    said = orc("cancel", kept.failed, "--db", kept.database)
    as_json = orc("cancel", kept.failed, "--json", "--db", kept.database)

    assert said.code == as_json.code == 8
    assert said.err == f"{kept.failed} has already ended: failed\n"
    assert as_json.json() == {"job_id": kept.failed, "status": "failed", "had_ended": True}


def test_a_cancelled_job_is_published_when_it_is_cancelled_again(here: Path) -> None:
    """A killed `orc cancel` may have recorded the end of the job and not published it."""
    orc("run", write("spec.yaml", "project: p\nsteps: {gate: {approval: Publish?}}\n"))
    [folder] = (here / "runs").iterdir()
    before = (folder / "manifest.json").read_bytes()
    assert orc("cancel", "latest").code == 0
    (folder / "manifest.json").write_bytes(before)
    said = orc("cancel", "latest", "--json")
    assert (said.code, said.json()["had_ended"]) == (8, True)
    assert json.loads((folder / "manifest.json").read_bytes())["status"] == "cancelled"


def test_an_owner_that_does_not_answer_is_named_after_a_bounded_wait(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_request, "ANSWER_WAIT_S", 0.01)
    orc("run", write("spec.yaml", "project: p\nsteps: {gate: {approval: Publish?}}\n"))
    [folder] = (here / "runs").iterdir()
    lock = OwnerLock(here / "runs.db", folder.name)
    lock.acquire()
    try:
        asked = [orc("cancel", "latest"), orc("approve", "latest", "gate")]
    finally:
        lock.release()
    assert [said.code for said in asked] == [75, 75]
    what = ["ended it", "recorded the decision"]
    for said, done in zip(asked, what, strict=True):
        assert f"its owner has not {done} within 10 ms; it may still do so" in said.err
