"""Missing permissions, a full disk, closed output: each is reported, and no event is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import (
    ORC,
    WAIT_S,
    end_process,
    event_types,
    orc_environment,
    run_orc,
    start_orc,
    without_privileges,
)

_SPEC = """
project: places
steps:
  write: {run: echo one > one.txt; echo said, files: [one.txt]}
  after: {needs: write, run: "sleep 0.2; cat one.txt"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(_SPEC)
    return tmp_path


def run_unprivileged(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        without_privileges([str(ORC), *arguments]),
        cwd=cwd,
        env=orc_environment(),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def test_a_read_only_folder_is_refused_before_anything_happens(folder: Path) -> None:
    folder.chmod(0o500)
    try:
        refused = run_unprivileged("run", "spec.yaml", cwd=folder)
    finally:
        folder.chmod(0o700)
    assert refused.returncode == 74
    assert refused.stderr.startswith("orc: cannot create ")
    assert "Permission denied" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert [entry.name for entry in folder.iterdir()] == ["spec.yaml"]


def test_a_read_only_ledger_can_be_read_but_not_written(folder: Path) -> None:
    assert run_orc("run", "spec.yaml", cwd=folder).returncode == 0
    before = event_types(folder / "runs.db")
    for path in folder.glob("runs.db*"):
        if path.is_file():
            path.chmod(0o400)
    refused = run_unprivileged("run", "spec.yaml", cwd=folder)
    listed = run_unprivileged("list", "--json", cwd=folder)
    assert refused.returncode == 74
    assert "runs.db" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert listed.returncode == 0, listed.stderr
    assert event_types(folder / "runs.db") == before


def test_a_runs_folder_that_cannot_be_written_is_refused_before_there_is_a_job(
    folder: Path,
) -> None:
    runs = folder / "runs"
    runs.mkdir(mode=0o500)
    refused = run_unprivileged("run", "spec.yaml", cwd=folder)
    assert refused.returncode == 7
    assert f"{runs}: it is not writable" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert event_types(folder / "runs.db") == []
    runs.chmod(0o700)
    assert run_unprivileged("run", "spec.yaml", cwd=folder).returncode == 0


def test_an_export_names_the_run_folder_that_cannot_be_written(folder: Path) -> None:
    assert run_orc("run", "spec.yaml", cwd=folder).returncode == 0
    shutil.rmtree(folder / "runs")
    (folder / "runs").mkdir(mode=0o500)
    refused = run_unprivileged("export", "latest", cwd=folder)
    assert refused.returncode == 74
    assert f"cannot write the run folder {folder / 'runs'}" in refused.stderr
    assert "Permission denied" in refused.stderr
    assert "give the same command again" in refused.stderr
    assert "resume" not in refused.stderr


def test_an_output_folder_that_cannot_be_written_leaves_a_succeeded_job(folder: Path) -> None:
    target = folder / "target"
    target.mkdir(mode=0o500)
    (folder / "spec.yaml").write_text(_SPEC + "output_dir: target\n")
    ended = run_unprivileged("run", "spec.yaml", cwd=folder)
    assert ended.returncode == 7
    assert "could not be copied to" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert event_types(folder / "runs.db")[-1] == "job.succeeded"
    target.chmod(0o700)
    assert run_unprivileged("resume", "latest", cwd=folder).returncode == 0
    assert (target / "one.txt").read_text() == "one\n"


_WITH_A_FILE_SIZE_LIMIT = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("size_bytes", [20_000, 120_000])
def test_a_full_disk_ends_the_run_and_the_job_can_be_resumed(folder: Path, size_bytes: int) -> None:
    pytest.importorskip("resource", reason="limits file sizes with setrlimit")
    (folder / "spec.yaml").write_text(
        "project: full\nsteps:\n"
        + "".join(
            f"  s{n}: {{needs: {[f's{n - 1}'] if n else []}, value: "
            f"{'x' * 3000}{n}, files: [{{path: s{n}.txt}}]}}\n"
            for n in range(60)
        )
    )
    stopped = subprocess.run(
        [sys.executable, "-c", _WITH_A_FILE_SIZE_LIMIT, str(size_bytes), ORC, "run", "spec.yaml"],
        cwd=folder,
        env=orc_environment(),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert stopped.returncode == 74, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "orc: " in stopped.stderr
    resumed = run_orc("resume", "latest", cwd=folder)
    if resumed.returncode == 6:
        resumed = run_orc("run", "spec.yaml", cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    assert run_orc("verify", cwd=folder).returncode == 0
    assert event_types(folder / "runs.db")[-1] == "job.succeeded"


def test_a_run_whose_stdout_is_closed_runs_its_job_to_the_end(folder: Path) -> None:
    """A program may read only the first line, for the job's id."""
    process = start_orc("run", "spec.yaml", "--json", cwd=folder)
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "launch"
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(WAIT_S) == 0, said
    finally:
        end_process(process)
    assert "Traceback" not in said
    assert event_types(folder / "runs.db")[-1] == "job.succeeded"


def test_a_run_whose_stderr_is_closed_runs_its_job_to_the_end(folder: Path) -> None:
    process = start_orc("run", "spec.yaml", cwd=folder)
    try:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.close()
        assert process.wait(WAIT_S) == 0
    finally:
        end_process(process)
    assert event_types(folder / "runs.db")[-1] == "job.succeeded"


@pytest.mark.parametrize("command", [("tail", "latest"), ("list", "--json"), ("schema",)])
def test_a_command_whose_stdout_is_closed_ends_without_a_message(
    folder: Path, command: tuple[str, ...]
) -> None:
    assert run_orc("run", "spec.yaml", "-q", cwd=folder).returncode == 0
    process = start_orc(*command, cwd=folder)
    try:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(WAIT_S) == 0
    finally:
        end_process(process)


def test_following_a_job_ends_when_stdout_is_closed(folder: Path) -> None:
    assert run_orc("run", "spec.yaml", "-q", cwd=folder).returncode == 0
    process = start_orc("tail", "latest", "-f", "--json", cwd=folder)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(WAIT_S) == 0
    finally:
        end_process(process)
