"""All outputs that list a job's files list the same files, after every amendment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import orc, submit, write

FAN = """\
project: demo
output_dir: given
steps:
  each:
    for_each: [one, two, three]
    value: ${{ item }}
    files: [{path: "${{ item }}.txt", content: "text of ${{ item }}"}]
"""
KEYED = """\
project: demo
output_dir: given
steps:
  each:
    for_each: [{name: x}]
    key: ${{ item.name }}
    value: ${{ item }}
    files: [{path: "${{ item.name }}.txt", content: "text"}]
"""
LOOP = """\
project: demo
output_dir: given
steps:
  each:
    loop: {until: "${{ loop.index >= 3 }}", max_iterations: 5}
    value: ${{ loop.index }}
    files: [{path: "${{ loop.index }}.txt", content: "round ${{ loop.index }}"}]
"""
GROUP = """\
project: demo
output_dir: given
steps:
  each:
    steps:
      lint: {run: "echo l > lint.txt; echo l > $ORC_ARTIFACTS/lint.log", files: [lint.txt]}
      test: {run: "echo t > test.txt; echo t > $ORC_ARTIFACTS/test.log", files: [test.txt]}
"""
PAIR = """\
project: demo
output_dir: given
inputs: {go: {type: boolean, default: true}}
steps:
  a: {value: A, files: [{path: a.txt, content: A}]}
  each: {value: B, needs: a, files: [{path: b.txt, content: B}]}
"""


def amend(text: str, *, code: int = 0) -> None:
    said = orc("resume", "latest", "--spec", write("edited.yaml", text))
    assert said.code == code, said.err


def files_in(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def owned(job_id: str) -> dict[str, Any]:
    """The files of the job by each output that lists them; paths without the project."""
    run_folder = Path("runs") / job_id
    shutil.rmtree("copy", ignore_errors=True)
    assert orc("export", job_id, "--to", "copy").code == 0
    manifest = json.loads((run_folder / "manifest.json").read_text("utf-8"))
    shown = orc("show", job_id, "--files", "--json").lines()
    table = orc("show", job_id, "--files").out.splitlines()[1:]
    found = {
        "manifest": [file["path"].removeprefix("demo/") for file in manifest["files"]],
        "show --json": [line["path"].removeprefix("demo/") for line in shown],
        "show": [line.split()[0].removeprefix("demo/") for line in table],
        "run folder": list(files_in(run_folder / "outputs/demo")),
        "export": list(files_in(Path("copy/outputs/demo"))),
    }
    if manifest["status"] == "succeeded":
        shutil.rmtree("given", ignore_errors=True)
        assert orc("resume", job_id).code == 0
        found["output_dir"] = list(files_in(Path("given")))
    return found


def artifacts(folder: Path) -> list[str]:
    return list(files_in(folder / "artifacts"))


def agree(job_id: str, *paths: str) -> None:
    found = owned(job_id)
    assert found == dict.fromkeys(found, sorted(paths))
    verified = orc("verify", job_id)
    assert verified.code == 0, verified.out + verified.err
    assert artifacts(Path("copy")) == artifacts(Path("runs") / job_id)


@pytest.mark.parametrize(
    ("before", "old", "after", "new"),
    [
        (FAN, ["one.txt", "two.txt", "three.txt"],
         FAN.replace("one, two, three", "two"), ["two.txt"]),
        (KEYED, ["x.txt"], KEYED.replace("{name: x}", "{name: y}"), ["y.txt"]),
        (KEYED.replace("${{ item.name }}.txt", "same.txt"), ["same.txt"],
         KEYED.replace("${{ item.name }}.txt", "same.txt").replace("{name: x}", "{name: y}"),
         ["same.txt"]),
        (LOOP, ["1.txt", "2.txt", "3.txt"], LOOP.replace(">= 3", ">= 1"), ["1.txt"]),
        (GROUP, ["lint.txt", "test.txt"], GROUP[: GROUP.index("      test:")], ["lint.txt"]),
        (PAIR, ["a.txt", "b.txt"], PAIR[: PAIR.index("  each:")], ["a.txt"]),
        (PAIR, ["a.txt", "b.txt"], PAIR.replace("path: b.txt", "path: c.txt"), ["a.txt", "c.txt"]),
        (PAIR, ["a.txt", "b.txt"], PAIR.replace("path: b.txt", "path: b.txt/c"),
         ["a.txt", "b.txt/c"]),
        (PAIR, ["a.txt", "b.txt"],
         PAIR.replace("needs: a,", "needs: a, if: 'not inputs.go',"), ["a.txt"]),
    ],
    ids=["items", "key", "key-same-path", "rounds", "member", "step", "path", "folder", "skipped"],
)  # fmt: skip
def test_all_outputs_agree_on_the_files_of_an_amended_job(
    before: str, old: list[str], after: str, new: list[str]
) -> None:
    job_id = submit(before)
    agree(job_id, *old)
    shutil.rmtree("given")
    amend(after)
    agree(job_id, *new)
    shutil.rmtree("runs")
    assert orc("export", job_id).code == 0
    agree(job_id, *new)
    assert orc("rebuild").code == 0
    agree(job_id, *new)
    shutil.rmtree("given")
    amend(before)
    agree(job_id, *old)


def test_a_step_that_fails_after_the_amendment_owns_no_file() -> None:
    job_id = submit(PAIR)
    failing = PAIR.replace("value: B,", 'run: "exit 3",')
    amend(failing, code=1)
    agree(job_id, "a.txt")


def test_the_artifacts_of_a_removed_member_go_from_the_run_folder() -> None:
    job_id = submit(GROUP)
    folder = Path("runs") / job_id
    assert artifacts(folder) == ["each.lint/lint.log", "each.test/test.log"]
    amend(GROUP[: GROUP.index("      test:")])
    assert artifacts(folder) == ["each.lint/lint.log"]
    agree(job_id, "lint.txt")


def test_former_files_of_an_older_version_are_reported_and_removed_by_export() -> None:
    job_id = submit(FAN)
    folder = Path("runs") / job_id / "outputs/demo"
    left = files_in(folder)
    amend(FAN.replace("one, two, three", "two"))
    for name, text in left.items():
        (folder / name).write_text(text, encoding="utf-8")
    verified = orc("verify", job_id)
    assert verified.code == 5
    assert "outputs/demo/one.txt is not a file of the job any more" in verified.out + verified.err
    assert orc("export", job_id).code == 0
    agree(job_id, "two.txt")


def test_a_file_with_other_bytes_at_the_path_of_a_former_file_is_left_alone() -> None:
    job_id = submit(FAN)
    folder = Path("runs") / job_id / "outputs/demo"
    (folder / "one.txt").write_text("somebody's own", encoding="utf-8")
    amend(FAN.replace("one, two, three", "two"))
    assert orc("export", job_id).code == 0
    assert list(files_in(folder)) == ["one.txt", "two.txt"]
    assert orc("verify", job_id).code == 0


def test_a_file_that_is_not_captured_any_more_is_not_seen_downstream() -> None:
    text = """\
project: demo
steps:
  write: {run: "echo x | tee a.txt > b.txt", files: [a.txt, b.txt]}
  ask: {needs: write, approval: {message: "Go on?"}}
  read: {needs: ask, run: cat a.txt}
"""
    said = orc("run", write("spec.yaml", text), "--json")
    job_id = said.lines()[0]["job_id"]
    orc("resume", job_id, "--spec", write("edited.yaml", text.replace("[a.txt, b.txt]", "[b.txt]")))
    assert orc("approve", job_id, "ask").code == 0
    said = orc("resume", job_id)
    assert (said.code, "a.txt: No such file" in said.err) == (1, True), said.err
    assert list(files_in(Path("runs") / job_id / "outputs/demo")) == ["b.txt"]
    assert orc("verify", job_id).code == 0


def test_an_output_dir_keeps_the_copies_of_former_files() -> None:
    submit(FAN)
    amend(FAN.replace("one, two, three", "two"))
    assert list(files_in(Path("given"))) == ["one.txt", "three.txt", "two.txt"]


@pytest.mark.parametrize("how", ["path", "copy", "digest"])
def test_blame_reports_a_file_that_no_step_owns_any_more(how: str) -> None:
    job_id = submit(FAN)
    shown = orc("show", job_id, "--files", "--json").lines()
    digest = next(line["sha256"] for line in shown if line["path"] == "demo/one.txt")
    amend(FAN.replace("one, two, three", "two"))
    name = {"path": "demo/one.txt", "copy": "given/one.txt", "digest": digest}[how]
    said = orc("blame", name)
    assert said.code == 0, said.err
    assert "was written by step each[0], attempt 1" in said.out
    assert "no longer a file of" in said.out


def test_a_reused_file_that_its_step_has_lost_is_found_by_its_bytes() -> None:
    submit(PAIR)
    assert orc("fork", "latest", "--spec", write("edited.yaml", PAIR)).code == 0
    amend(PAIR.replace("path: b.txt", "path: c.txt"))
    fork = orc("list", "--json").lines()[0]["job_id"]
    agree(fork, "a.txt", "c.txt")
    said = orc("blame", "demo/b.txt", "--job", fork)
    assert said.code == 0, said.err
    assert "no longer a file of" in said.out


def test_a_fork_takes_each_file_of_a_fan_out_once() -> None:
    submit(FAN)
    assert orc("fork", "latest", "--spec", write("edited.yaml", FAN)).code == 0
    fork = orc("list", "--json").lines()[0]["job_id"]
    reused = [line for line in orc("tail", fork, "--json").lines() if line["type"] == "step.reused"]
    paths = [file["path"] for line in reused for file in line["files"]]
    assert len(reused) == 4
    assert sorted(paths) == ["demo/one.txt", "demo/three.txt", "demo/two.txt"]
    amend(FAN.replace("one, two, three", "two"))
    agree(fork, "two.txt")


def test_an_imported_job_has_the_files_of_the_amended_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(FAN)
    amend(FAN.replace("one, two, three", "two"))
    assert orc("bundle", job_id, "job.orc").code == 0
    bundle = Path("job.orc").absolute()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert orc("import", bundle).code == 0
    assert orc("export", job_id).code == 0
    assert list(files_in(Path("runs") / job_id / "outputs/demo")) == ["two.txt"]
    assert orc("verify", job_id).code == 0
