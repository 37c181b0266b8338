"""Local steps with `resources` run together only as far as the machine has them."""

from __future__ import annotations

from pathlib import Path

import pytest

import orc

SPEC = """
project: room
concurrency: 8
steps:
{steps}
"""
STEP = """  s{number}:
    resources: {{gpu: {gpu}}}
    run: |
      echo in >> {folder}/log
      sleep 0.15
      echo out >> {folder}/log
"""


def most_at_once(folder: Path) -> int:
    most = now = 0
    for line in (folder / "log").read_text().split():
        now += 1 if line == "in" else -1
        most = max(most, now)
    return most


@pytest.mark.parametrize(("has", "asks", "most"), [("2", "1", 2), ("1", "1", 1), ("2", "5", 1)])
def test_no_more_steps_run_at_once_than_the_machine_has_resources(
    tmp_path: Path, has: str, asks: str, most: int
) -> None:
    (tmp_path / "executors.yaml").write_text(f"executors: {{local: {{gpu: {has}}}}}\n")
    steps = "".join(STEP.format(number=n, gpu=asks, folder=tmp_path) for n in range(5))
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(steps=steps))
    job = orc.run(path, db=tmp_path / "runs.db")
    assert job.status == "succeeded"
    assert most_at_once(tmp_path) == most


def test_without_a_site_file_resources_are_no_limit(tmp_path: Path) -> None:
    steps = "".join(STEP.format(number=n, gpu=1, folder=tmp_path) for n in range(4))
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(steps=steps))
    assert orc.run(path, db=tmp_path / "runs.db").status == "succeeded"
    assert most_at_once(tmp_path) > 1
