"""Modes and empty folders are kept on every way out of a step: none of them restores less."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from orc.worker.file_modes import restored_bits
from tests.cli.command_line import orc, submit, work_in

SPEC = """\
project: whole
output_dir: delivered
steps:
  make:
    run: |
      for name in plain tool key locked setuid; do echo $name > $name; done
      chmod +x tool
      chmod 600 key
      chmod 444 locked
      chmod 4755 setuid
      mkdir -p empty/in
      cp tool "$ORC_ARTIFACTS/tool"; chmod +x "$ORC_ARTIFACTS/tool"
    files: [plain, tool, key, locked, setuid, empty/]
    cache: ledger
  use:
    needs: make
    run: |
      stat -c '%a %n' plain tool key locked setuid
      find empty
  shared: {needs: make, workspace: w, run: "stat -c '%a %n' plain tool key locked setuid; find empty"}
"""
RECORDED = {"key": "600", "locked": "444", "plain": None, "setuid": "755", "tool": "755"}


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the job has run, and the job's id."""
    with pytest.MonkeyPatch.context() as patches:
        folder = work_in(tmp_path_factory.mktemp("whole"), patches)
        return folder, submit(SPEC)


@pytest.fixture
def project(run_once: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """The same, with that folder as the current one."""
    work_in(run_once[0], monkeypatch)
    return run_once


def modes_in(folder: Path) -> dict[str, int]:
    return {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()
    }


def check_published(folder: Path) -> None:
    """A run folder, or a copy of it: private, and each mode as it was recorded."""
    expected = {name: int(mode or "600", 8) for name, mode in RECORDED.items()}
    assert modes_in(folder / "outputs/whole") == expected
    assert (folder / "outputs/whole/empty/in").is_dir()
    assert modes_in(folder / "artifacts/make") == {"tool": 0o755}


def check_steps(job_id: str) -> None:
    """What the steps after saw in their working folders."""
    expected = [
        f"{restored_bits(RECORDED[name]):o} {name}"
        for name in ("plain", "tool", "key", "locked", "setuid")
    ]
    for step in ("use", "shared"):
        lines = orc("logs", job_id, step).out.splitlines()
        assert lines[-7:] == [*expected, "empty", "empty/in"]


def check_recorded(job_id: str) -> None:
    """The table `files`, which `orc rebuild` derives again."""
    found = {
        line["path"]: line["mode"] for line in orc("show", job_id, "--files", "--json").lines()
    }
    assert found == {f"whole/{name}": mode for name, mode in RECORDED.items()}


def test_the_steps_after_the_run_folder_and_the_tables_have_all(project: tuple[Path, str]) -> None:
    folder, job_id = project
    check_steps(job_id)
    check_published(folder / "runs" / job_id)
    check_recorded(job_id)
    assert orc("verify", job_id).code == 0


def test_the_copies_in_output_dir_follow_the_umask_as_files_of_the_user(
    project: tuple[Path, str],
) -> None:
    folder, _ = project
    expected = {name: restored_bits(mode) for name, mode in RECORDED.items()}
    assert modes_in(folder / "delivered") == expected
    assert (folder / "delivered/empty/in").is_dir()


@pytest.mark.parametrize("way", ["fork", "rerun", "cache", "replay"])
def test_a_result_that_is_used_again_has_all(project: tuple[Path, str], way: str) -> None:
    folder, job_id = project
    commands = {
        "fork": ("fork", job_id, "--from", "use"),
        "rerun": ("rerun", job_id, "--step", "use"),
        "cache": ("run", "spec.yaml"),
        "replay": ("replay", job_id),
    }
    said = orc(*commands[way], "--json")
    assert said.code == 0, said.err
    ended = next(line for line in reversed(said.lines()) if "job_id" in line)
    again = str(ended["job_id"])
    check_steps(again)
    check_published(folder / "runs" / again)
    check_recorded(again)
    reused = orc("tail", again, "--type", "step.reused").out
    assert ("make" in reused) == (way in ("fork", "cache"))


def test_an_export_a_bundle_and_a_backup_have_all(project: tuple[Path, str]) -> None:
    folder, job_id = project
    assert orc("export", job_id, "--to", "exported").code == 0
    check_published(folder / "exported")
    for name in ("other", "copied"):
        (folder / name).mkdir()
    assert orc("bundle", job_id, "job.bundle").code == 0
    assert orc("import", "job.bundle", "--db", "other/runs.db").code == 0
    assert orc("backup", "copied/runs.db").code == 0
    assert orc("rebuild", "--db", "copied/runs.db").code == 0
    for name in ("other", "copied"):
        database = folder / name / "runs.db"
        assert orc("export", job_id, "--db", database, "--to", folder / name / "out").code == 0
        check_published(folder / name / "out")


def test_a_crate_in_a_zip_file_has_all(project: tuple[Path, str]) -> None:
    _, job_id = project
    assert orc("export", job_id, "--format", "ro-crate", "--to", "crate.zip").code == 0
    with zipfile.ZipFile("crate.zip") as archive:
        modes = {entry.filename: entry.external_attr >> 16 & 0o7777 for entry in archive.infolist()}
    assert {name: modes[f"outputs/whole/{name}"] for name in RECORDED} == {
        name: int(mode or "600", 8) for name, mode in RECORDED.items()
    }
    assert modes["outputs/whole/empty/in/"] == 0o700


def test_verify_compares_modes_and_empty_folders_and_export_restores_them(
    project: tuple[Path, str],
) -> None:
    folder, job_id = project
    outputs = folder / "runs" / job_id / "outputs/whole"
    (outputs / "tool").chmod(0o644)
    (outputs / "empty/in").rmdir()
    (verdict,) = orc("verify", job_id, "--json").lines()[:1]
    said = json.dumps(verdict)
    assert "tool has the mode 644 in the run folder; 755 was recorded" in said
    assert "the folder outputs/whole/empty/in is missing from the run folder" in said
    assert orc("export", job_id).code == 0
    check_published(folder / "runs" / job_id)
    assert orc("verify", job_id).code == 0
