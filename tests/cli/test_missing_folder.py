"""A current folder that was removed is named as the reason, whatever the command then misses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orc.cli.command_table import COMMANDS
from tests.cli.command_line import orc, work_in, write

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


def test_commands_that_name_only_whole_paths_need_no_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_in(tmp_path, monkeypatch)
    spec = write(
        "spec.yaml", "project: p\nsteps:\n  a: {run: echo hi}\n  g: {approval: Ok?}\n"
    ).absolute()
    database = ("--db", tmp_path / "runs.db")
    job = orc("submit", spec).out.split()[0]
    removed = tmp_path / "removed"
    removed.mkdir()
    os.chdir(removed)
    removed.rmdir()
    for command, *words in (
        ("validate", spec),
        ("plan", spec, *database),
        ("graph", spec),
        ("work", "--stop-when-empty", *database),
        ("show", job, *database),
        ("why", job, "g", *database),
        ("approve", job, "g", *database),
        ("resume", job, *database),
        ("resume", job, "--spec", spec, *database),
        ("rerun", job, "--step", "a", *database),
        ("fork", job, *database),
        ("replay", job, *database),
        ("export", job, "--format", "html", "--to", tmp_path / "job.html", *database),
        ("bundle", job, tmp_path / "job.orc", *database),
        ("import", tmp_path / "job.orc", "--db", tmp_path / "other.db"),
        ("prune", "--older-than", "1d", *database),
        ("verify", *database),
        ("submit", spec, *database),
        ("run", spec, "--output-dir", tmp_path / "out", *database),
    ):
        said = orc(command, *words)
        assert "the current folder was removed" not in said.err, said
        assert said.code in (0, 3), said
    assert orc("plan", spec).code == 74
    with_output = spec.with_name("other.yaml")
    with_output.write_text("project: q\noutput_dir: out\nsteps: {a: {value: 1}}\n")
    assert orc("validate", with_output).code == 0
    said = orc("run", with_output, *database)
    assert "output_dir: 'out' would be in the current folder, which was removed" in said.err
