"""A current folder that was removed is named as the reason, whatever the command then misses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orc.cli.command_table import COMMANDS
from tests.cli.command_line import orc, work_in

ARGUMENTS = {
    "approve": ["latest", "a"],
    "backup": ["copy.db"],
    "blame": ["a.txt"],
    "bundle": ["latest", "job.bundle"],
    "cancel": ["latest"],
    "chaos": ["spec.yaml"],
    "cluster": ["certs", "certs"],
    "diff": ["latest", "latest"],
    "export": ["latest"],
    "fork": ["latest"],
    "graph": ["spec.yaml"],
    "import": ["job.bundle"],
    "init": ["translate"],
    "logs": ["latest", "a"],
    "plan": ["spec.yaml"],
    "prune": ["--older-than", "1d"],
    "redact": ["0123456789"],
    "reject": ["latest", "a"],
    "replay": ["latest"],
    "rerun": ["latest", "--step", "a"],
    "resume": ["latest"],
    "run": ["spec.yaml"],
    "search": ["word"],
    "show": ["latest"],
    "submit": ["spec.yaml"],
    "tail": ["latest"],
    "validate": ["spec.yaml"],
    "why": ["latest", "a"],
}
NEED_NO_FOLDER = {"schema"}


@pytest.mark.parametrize("command", sorted({*COMMANDS} - NEED_NO_FOLDER))
def test_a_removed_current_folder_is_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_in(tmp_path, monkeypatch)
    removed = tmp_path / "removed"
    removed.mkdir()
    os.chdir(removed)
    removed.rmdir()
    said = orc(command, *ARGUMENTS.get(command, ()))
    assert "Traceback" not in said.err
    assert "the current folder was removed; change to one that exists" in said.err, said
    assert said.code
