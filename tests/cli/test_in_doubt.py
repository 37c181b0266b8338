"""What was under way when the process died: done again, asked about, or failed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.processes import end_process, run_orc, start_orc

SPEC = """\
project: doubt
steps:
  pay:
    on_unknown: HOW
    run: "echo once >> ../../../../paid; until [ -e ../../../../go ]; do sleep 0.05; done"
  after: {needs: pay, value: done}
"""


def kill_while_it_pays(folder: Path, how: str) -> None:
    """A run whose process dies while its command is at work."""
    (folder / "spec.yaml").write_text(SPEC.replace("HOW", how))
    process = start_orc("run", "spec.yaml", "--json", cwd=folder)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if '"step.started"' in line:
                break
        while not (folder / "paid").exists():
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    finally:
        end_process(process)
    (folder / "go").touch()


def paid(folder: Path) -> int:
    return len((folder / "paid").read_text().splitlines())


def test_by_default_it_is_done_again(tmp_path: Path) -> None:
    kill_while_it_pays(tmp_path, "retry")
    assert run_orc("resume", "latest", cwd=tmp_path).returncode == 0
    assert paid(tmp_path) == 2


@pytest.mark.parametrize(("answer", "code", "times"), [("approve", 0, 2), ("reject", 1, 1)])
def test_a_person_is_asked_first_and_decides(
    tmp_path: Path, answer: str, code: int, times: int
) -> None:
    kill_while_it_pays(tmp_path, "ask")
    said = run_orc("resume", "latest", cwd=tmp_path)
    assert said.returncode == 3
    assert "pay asks: it was under way when its process died" in said.stderr
    assert run_orc("resume", "latest", cwd=tmp_path).returncode == 3
    assert run_orc(answer, "latest", "pay", cwd=tmp_path).returncode == 0
    assert run_orc("resume", "latest", cwd=tmp_path).returncode == code
    assert paid(tmp_path) == times


def test_it_fails_where_the_spec_says_so_and_a_resume_does_it_again(tmp_path: Path) -> None:
    kill_while_it_pays(tmp_path, "fail")
    said = run_orc("resume", "latest", cwd=tmp_path)
    assert said.returncode == 7
    assert "pay: connection: it was under way when its process died" in said.stderr
    assert paid(tmp_path) == 1
    assert run_orc("resume", "latest", cwd=tmp_path).returncode == 0
    assert paid(tmp_path) == 2
