"""A forked `orc` is used like a process that was started: outputs, signals, waiting, its end."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.forkserver import ForkedProcess, SdksAsked, ShellOrc
from tests.processes import WAIT_S, end_process, orc_environment, start_orc


def test_a_forked_process_says_how_it_ended_and_what_it_wrote(tmp_path: Path) -> None:
    process = start_orc("show", "latest", "--json", cwd=tmp_path)
    assert isinstance(process, ForkedProcess)
    out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, process.poll(), out) == (6, 6, "")
    assert f"there is no ledger at {tmp_path}" in err
    process.kill()  # of a process that has ended, which reaches no other process


def test_a_forked_process_is_waited_for_and_killed(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("project: p\nsteps: {wait: {run: exec sleep 60}}\n")
    process = start_orc("run", "spec.yaml", cwd=tmp_path, ORC_DB="own.db")
    try:
        assert process.stderr is not None
        assert "job_" in process.stderr.readline()
        assert (tmp_path / "own.db").is_file(), "the process has its own variables"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        assert process.poll() is None
    finally:
        end_process(process)
    assert process.returncode == process.wait(0) == -signal.SIGKILL


@pytest.mark.parametrize("variable", ["ORC_MARK", "PYTHONUTF8"])
def test_a_process_that_is_found_by_its_variables_is_a_new_one(
    tmp_path: Path, variable: str
) -> None:
    process = start_orc("--version", cwd=tmp_path, **{variable: "1"})
    try:
        assert not isinstance(process, ForkedProcess)
        assert process.wait(WAIT_S) == 0
    finally:
        end_process(process)


def test_what_a_process_imports_is_imported_by_the_server_for_those_after_it() -> None:
    asked = SdksAsked()
    assert asked.modules() == []
    if (pid := os.fork()) == 0:
        asked.find_spec("json")
        asked.find_spec("anthropic")
        os._exit(0)
    os.waitpid(pid, 0)
    assert asked.modules() == ["orc.providers.anthropic"]


def test_a_shell_has_an_orc_that_is_forked_with_its_files_variables_and_folder(
    tmp_path: Path,
) -> None:
    orc = ShellOrc(tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    path = f"{orc.folder}{os.pathsep}{os.environ['PATH']}"

    def run(script: str, fds: list[int]) -> tuple[int, str]:
        done = subprocess.run(
            ["/bin/sh", "-c", script], cwd=work, env={**orc_environment(), "PATH": path},
            pass_fds=fds, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=WAIT_S, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    (work / "spec.yaml").write_text('project: p\nsteps: {a: {value: "${{ 1 + 1 }}"}}\n')
    assert run("orc show latest 2> err", orc.fds) == (6, "")
    assert f"there is no ledger at {work}" in (work / "err").read_text()
    assert run("orc validate /dev/stdin < spec.yaml", orc.fds)[0] == 0
    assert run("ORC_DB=own.db orc run spec.yaml", orc.fds)[0] == 0
    assert (work / "own.db").is_file()
    code, piped = run("orc list --db own.db --json | orc --version", orc.fds)
    assert (code, piped) == run("orc --version", [])
