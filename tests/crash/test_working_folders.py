"""What a killed run leaves in the folders in which its steps worked, and what a resume removes."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.processes import WAIT_S, end_process, run_orc, start_orc, wait_until

SPEC = """\
project: cut_off
steps:
  first: {run: "echo 1 > first.txt; echo scratch > scratch", files: [first.txt]}
  cut:
    needs: first
    run: |
      echo half > half.txt; ls > "$ORC_ARTIFACTS/seen"
      if [ ! -e "$ORC_SPEC_DIR/go" ]; then touch "$ORC_SPEC_DIR/began"; sleep 600; fi
      cat first.txt; ls
    files: ["*.txt"]
  last: {needs: cut, run: "cat half.txt"}
"""


def kill_in_the_middle(folder: Path) -> Path:
    """Kill a run with SIGKILL while its second step works; the run folder."""
    (folder / "spec.yaml").write_text(SPEC)
    process = start_orc("run", "spec.yaml", "-q", cwd=folder)
    try:
        wait_until(lambda: (folder / "began").exists())
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_S)
    finally:
        end_process(process)
    (folder / "go").touch()
    [run_folder] = (folder / "runs").iterdir()
    return run_folder


def test_a_resume_removes_the_folder_of_the_attempt_that_was_cut_off_and_nothing_else(
    tmp_path: Path,
) -> None:
    run_folder = kill_in_the_middle(tmp_path)
    work = run_folder / "work"
    assert sorted(path.name for path in work.iterdir()) == ["cut.1", "cut.1.artifacts"]
    assert (work / "cut.1" / "half.txt").exists()
    for name in ("mine", "cut.9", "last.1.old"):
        (work / name).mkdir()
        (work / name / "file").write_text("of the user")

    resumed = run_orc("resume", "latest", cwd=tmp_path)

    assert resumed.returncode == 0, resumed.stderr
    assert sorted(path.name for path in work.iterdir()) == ["cut.9", "last.1.old", "mine"]
    assert all(path.read_text() == "of the user" for path in work.glob("*/file"))
    log = (run_folder / "logs" / "cut.2.log").read_text()
    assert log.split() == ["1", "first.txt", "half.txt"]


def test_a_resume_follows_no_link_in_place_of_the_folder_of_an_attempt(tmp_path: Path) -> None:
    run_folder = kill_in_the_middle(tmp_path)
    outside = tmp_path / "outside"
    (run_folder / "work" / "cut.1").rename(outside)
    (run_folder / "work" / "cut.1").symlink_to(outside)

    resumed = run_orc("resume", "latest", cwd=tmp_path)

    assert resumed.returncode == 0, resumed.stderr
    assert (outside / "half.txt").read_text() == "half\n"
    assert not (run_folder / "work").exists()


def test_a_resume_with_keep_work_still_removes_what_was_cut_off(tmp_path: Path) -> None:
    run_folder = kill_in_the_middle(tmp_path)

    resumed = run_orc("resume", "latest", "--keep-work", cwd=tmp_path)

    assert resumed.returncode == 0, resumed.stderr
    names = [path.name for path in (run_folder / "work").iterdir() if path.suffix != ".artifacts"]
    assert sorted(names) == ["cut.2", "last.1"]
