"""`orc backup`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command_line import write
from tests.processes import end_process, has_event, run_orc, start_orc, wait_until


def test_a_backup_is_made_while_a_job_runs(here: Path) -> None:
    write("spec.yaml", "project: slow\nsteps: {a: {run: 'printf 1'}, b: {needs: a, run: sleep 30}}")
    process = start_orc("run", "spec.yaml", "--quiet", cwd=here)
    try:
        wait_until(lambda: has_event(here / "runs.db", "step.started", step="b"))
        made = run_orc("backup", "copy.db", "--json", cwd=here)
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout)["jobs"] == 1
        assert process.poll() is None
        # The run folder is newer than the copy of the ledger: `verify` reports that for this job only.
        verified = run_orc("verify", "--json", "--db", "copy.db", cwd=here)
        assert json.loads(verified.stdout.splitlines()[-1])["problems"] == []
        assert run_orc("show", "latest", "--db", "copy.db", cwd=here).returncode == 0
        again = run_orc("backup", "copy.db", cwd=here)
        assert (again.returncode, "exists already" in again.stderr) == (2, True)
        assert run_orc("backup", "copy.db", "--force", cwd=here).returncode == 0
        assert run_orc("cancel", "latest", cwd=here).returncode in (0, 8)
    finally:
        end_process(process)
