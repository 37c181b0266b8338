"""An amended job has the same steps and files in list, pages, run folder, export and rebuild."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.command_line import Said, orc, submit, write

SPEC = """\
project: demo
defaults: {cache: ledger}
steps:
  all:
    steps:
      m: {run: "echo m; echo art > $ORC_ARTIFACTS/a", files: [{path: m.txt, content: M}]}
      n: {run: "echo n; echo art > $ORC_ARTIFACTS/a", files: [{path: n.txt, content: N}]}
  each:
    for_each: [1, 2, 3]
    run: "echo ${{ item }} > out-${{ item }}.txt"
    files: ["out-${{ item }}.txt"]
  end: {needs: [all, each], cache: "off", run: "test -e fixed"}
"""


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def check(expected: str) -> dict[str, Any]:
    """Check that everything that shows the job agrees; returns its manifest."""
    (job,) = orc("list", "--json").lines()
    folder, copy = Path("runs") / job["job_id"], Path(f"copy{len(list(Path().iterdir()))}")
    assert orc("export", job["job_id"], "--to", copy).code == 0
    assert files_in(folder) == files_in(copy)
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    shown = f"{job['steps_succeeded']}/{job['steps_total']}"
    assert shown == f"{len(manifest['completed_steps'])}/{len(manifest['steps'])}" == expected
    said = orc("verify", job["job_id"])
    assert said.code == 0, said.err
    return manifest


def amend(text: str) -> Said:
    return orc("resume", "latest", "--spec", write("edited.yaml", text))


def test_an_amended_job_is_the_same_everywhere() -> None:
    submit(SPEC)
    submit_again = SPEC.replace("test -e fixed", "'true'")
    manifest = check("7/8")
    assert manifest["failures"][0]["step"] == "end"

    assert amend(submit_again.replace("[1, 2, 3]", "[1]")).code == 0
    manifest = check("6/6")
    assert [file["path"] for file in manifest["files"]] == [
        "demo/m.txt",
        "demo/n.txt",
        "demo/out-1.txt",
    ]

    fewer = "\n".join(line for line in submit_again.splitlines() if "      n:" not in line)
    assert amend(f"{fewer}\n").code == 0
    manifest = check("7/7")
    assert list(manifest["steps"]) == [
        "all", "each", "end", "all/m", "each[0]", "each[1]", "each[2]"
    ]  # fmt: skip
    folder = Path("runs") / manifest["job_id"]
    assert not (folder / "artifacts/all.n/a").exists()

    assert orc("rerun", "latest", "--step", "all").code == 0
    check("7/7")
