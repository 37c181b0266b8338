"""`orc cancel`."""

from __future__ import annotations

from tests.cli.command_line import orc
from tests.cli.conftest import Kept


def test_cancel_tells_a_job_that_had_ended_already(kept: Kept) -> None:
    said = orc("cancel", kept.failed, "--db", kept.database)
    as_json = orc("cancel", kept.failed, "--json", "--db", kept.database)

    assert said.code == as_json.code == 8
    assert said.err == f"{kept.failed} has already ended: failed\n"
    assert as_json.json() == {"job_id": kept.failed, "status": "failed", "had_ended": True}
