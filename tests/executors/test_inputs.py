"""Inputs that are files and tables, on the workers of a real cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import orc
from tests.executors.clusters import LoopbackCluster, needs_dask
from tests.processes import wait_until

CSV = "question;answer\nWhat is 1+1?;2\nTwo?;3\n"
SPEC = """\
project: elsewhere
executor: cluster
inputs:
  logo: {type: file, default: logo.bin}
  notes: {type: files, default: "notes/**/*.md"}
  questions: {type: table, default: questions.csv, columns: {answer: integer}}
steps:
  place: {run: 'echo "$ORC_INPUTS"'}
  whole: {run: 'cd "$ORC_INPUTS" && find . -type f | sort && cat questions/questions.csv'}
  sum: {run: 'sha256sum < "$ORC_INPUTS"/logo/${{ inputs.logo.path }}'}
  item:
    for_each: ${{ inputs.notes }}
    run: cat "$ORC_INPUTS"/notes/${{ item.path }}; find "$ORC_INPUTS"/notes -type f | wc -l
  row:
    for_each: ${{ inputs.questions }}
    run: echo ${{ item.question }} is ${{ item.answer }}
  kept: {run: 'echo x >> "$ORC_INPUTS"/questions/questions.csv', continue_on_error: true}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes" / "sub").mkdir(parents=True)
    (tmp_path / "notes" / "a.md").write_text("first\n")
    (tmp_path / "notes" / "sub" / "b c.md").write_text("second\n")
    (tmp_path / "questions.csv").write_text(CSV)
    (tmp_path / "logo.bin").write_bytes(bytes(range(256)) * 1000)
    return tmp_path


def result(step: str) -> Any:
    return orc("show", "latest", "--json", "--result", step).json()["output"]


@needs_dask
def test_a_placed_command_reads_files_and_tables(
    folder: Path, shared_cluster: LoopbackCluster
) -> None:
    site = f"{{engine: dask, scheduler_file: {shared_cluster.scheduler_file}, lease: 5s}}"
    (folder / "executors.yaml").write_text(f"executors: {{cluster: {site}}}\n")
    (folder / "spec.yaml").write_text(SPEC)
    said = orc("run", "spec.yaml", "--quiet")
    assert said.code == 0, said.err
    place = Path(result("place"))
    assert not place.is_relative_to(folder), "the inputs are on the worker"
    # They go with the attempt: a worker removes the folders of all that have ended, from time to time.
    wait_until(lambda: not place.exists(), what="the removal of the inputs")
    assert result("whole").splitlines() == [
        "./logo/logo.bin",
        "./notes/a.md",
        "./notes/sub/b c.md",
        "./questions/questions.csv",
        *CSV.splitlines(),
    ]
    assert result("item") == ["first\n1", "second\n1"]
    assert result("row") == ["What is 1+1? is 2", "Two? is 3"]
    assert (folder / "questions.csv").read_text() == CSV
    events = orc("show", "latest", "--events", "--json").lines()
    placed = {event["step"] for event in events if event["type"] == "step.placed"}
    assert placed == {
        *("place", "whole", "sum", "kept"),
        *("item[0]", "item[1]", "row[0]", "row[1]"),
    }
