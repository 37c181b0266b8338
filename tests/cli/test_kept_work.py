"""Working folders that are kept: by which commands, who names them, and what removes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import orc, submit, write

SPEC = """\
project: kept
steps:
  good: {run: "echo kept-content > left.txt", files: [left.txt]}
  bad: {needs: good, run: "touch half.txt; exit 3"}
  waits: {needs: bad, run: "true"}
"""


def kept(job: str) -> list[str]:
    """The files in the job's working folders, with the folders that are empty."""
    work = Path("runs", job, "work")
    return sorted(str(path.relative_to(work)) for path in work.rglob("*"))


ALL = ["bad.1", "bad.1/half.txt", "bad.1/left.txt"]
ALL += ["good.1", "good.1/left.txt"]


def test_a_run_keeps_all_working_folders_if_asked() -> None:
    assert kept(submit(SPEC)) == []
    assert kept(submit(SPEC, "--keep-work")) == sorted(ALL)


def test_a_resume_a_rerun_and_a_fork_keep_those_of_their_own_attempts() -> None:
    job = submit(SPEC)
    for number, command in enumerate((["resume"], ["rerun", "--step", "bad"]), 2):
        name, *options = command
        assert orc(name, job, *options, "--keep-work").code == 1
        assert [path for path in kept(job) if path.endswith("half.txt")][-1] == (
            f"bad.{number}/half.txt"
        )
    before = kept(job)
    orc("resume", job)
    assert kept(job) == before
    forked = orc("fork", job, "--keep-work", "--json")
    assert [path for path in kept(forked.lines()[0]["job_id"]) if "half" in path] == [
        "bad.1/half.txt"
    ]


def test_show_and_why_name_the_folder_of_a_failed_step() -> None:
    job = submit(SPEC.replace("project: kept", "project: kept\nkeep_work: failed"))
    path = str(Path("runs", job, "work", "bad.1").absolute())

    assert f"kept working folder of bad: {path}" in orc("show", job).out
    assert f"its working folder was kept: {path}" in orc("why", job, "bad").out
    assert orc("why", job, "bad", "--json").json()["work_folder"] == path
    folders = {
        step["step"]: step["work_folder"] for step in orc("show", job, "--json").json()["steps"]
    }
    assert folders == {"good": None, "bad": path, "waits": None}
    assert "kept" not in orc("why", job, "good").out
    assert orc("why", job, "good", "--json").json()["work_folder"] is None
    assert "kept working folder" not in orc("show", job, "--at", "3").out


def test_show_and_why_name_no_folder_if_none_was_kept() -> None:
    job = submit(SPEC)

    assert "working folder" not in orc("show", job).out + orc("why", job, "bad").out


def test_kept_folders_are_no_difference_and_no_leftover() -> None:
    job = submit(SPEC, "--keep-work")

    assert orc("verify").code == 0
    assert "work" not in orc("verify", job).out
    assert "/work/" not in orc("doctor").out
    assert orc("export", job).code == 0
    assert kept(job) == sorted(ALL)


@pytest.mark.parametrize("is_pruned_before", [False, True])
def test_prune_removes_kept_folders_with_the_other_files_of_a_job(is_pruned_before: bool) -> None:
    other = submit(SPEC, "--keep-work")
    job = submit(SPEC.replace("kept-content", "x" * 2000), "--keep-work")
    prune = ("prune", "--job", job, "--yes")
    if is_pruned_before:
        assert orc(*prune).code == 0
    assert kept(job) == sorted(ALL)

    said = orc(*prune, "--files")

    assert said.code == 0, said.err
    assert (
        f"also removed: the working folders in {Path('runs', job, 'work').absolute()}" in said.err
    )
    assert not Path("runs", job, "work").exists()
    assert Path("runs", job, "logs").is_dir()
    assert kept(other) == sorted(ALL)
    assert orc("verify").code == 0


def test_prune_follows_no_link_in_place_of_the_working_folders() -> None:
    job = submit(SPEC.replace("kept-content", "x" * 2000))
    outside = Path("outside")
    outside.mkdir()
    write("outside/file.txt", "stays")
    Path("runs", job, "work").symlink_to(outside.absolute())

    assert orc("prune", "--job", job, "--yes", "--files").code == 0

    assert Path("outside/file.txt").read_text() == "stays"
    assert not Path("runs", job, "work").is_symlink()


def test_redact_names_the_copies_in_kept_folders() -> None:
    job = submit(SPEC.replace("kept-content", "x" * 2000), "--keep-work")
    files = orc("show", job, "--files", "--json").lines()
    [digest] = [file["sha256"] for file in files]

    said = orc("redact", digest, "--yes")

    assert said.code == 0, said.err
    for attempt in ("good.1", "bad.1"):
        path = Path("runs", job, "work", attempt, "left.txt").absolute()
        assert f"not removed: {path} holds the same bytes" in said.err


def test_workspaces_are_kept_only_with_the_working_folders_of_all_attempts() -> None:
    spec = """\
project: shared
steps: {a: {run: "touch scratch", workspace: w}}
"""
    assert not Path("runs", submit(spec), "workspaces").exists()
    job = submit(spec, "--keep-work")
    assert [path.name for path in Path("runs", job, "workspaces", "w").iterdir()] == ["scratch"]
