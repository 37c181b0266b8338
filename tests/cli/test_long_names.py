"""Names in a spec that are as long as allowed, in each other, work in every command."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import orc, work_in, write

LONGEST = [letter * 64 for letter in "abcdef"]
STEP: dict[str, Any] = {
    "run": "echo said; echo made > $ORC_ARTIFACTS/made.txt; echo kept > kept.txt",
    "files": ["kept.txt"],
    "cache": "ledger",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


def spec_with_long_names() -> str:
    """Groups in each other, in a loop in an item with a key, all with the longest names."""
    first, *others = LONGEST
    step: dict[str, Any] = {first: STEP}
    for name in others:
        step = {name: {"steps": step}}
    step[LONGEST[-1]] |= {"for_each": ["k" * 64], "key": "${{ item }}"}
    inner = step[LONGEST[-1]]["steps"][LONGEST[-2]]
    inner["loop"] = {"max_iterations": 2}
    return json.dumps({"project": "p" * 100, "keep_work": "always", "steps": step})


def test_the_longest_names_in_each_other_work_in_every_command(here: Path) -> None:
    said = orc("run", write("spec.yaml", spec_with_long_names()))
    assert said.code == 0, said.err
    names = list(names_in(here))
    assert max(map(len, names)) > 240
    for command in (
        ["verify"],
        ["rebuild"],
        ["export", "latest"],
        *(["export", "latest", "--format", name, "--to", name] for name in FORMATS),
        ["bundle", "latest", "job.bundle"],
        ["import", "job.bundle", "--db", "other.db"],
        ["verify", "--db", "other.db"],
        ["fork", "latest", "--set", "keep_work=failed"],
        ["show", "latest", "--files"],
        ["blame", "kept.txt"],
        ["run", "spec.yaml"],
        ["verify"],
        ["prune", "--older-than", "1ms", "--files", "--yes"],
    ):
        said = orc(*command)
        assert said.code == 0, (command, said)


FORMATS = ("html", "junit", "otel", "ro-crate")


def names_in(folder: Path) -> Iterator[str]:
    """The names of all files and folders below the folder."""
    for _, folders, files in os.walk(folder):
        yield from (*folders, *files)


@pytest.mark.parametrize("length", [246, 600])
def test_a_ledger_whose_path_is_too_long_is_said_to_be_that(length: int, here: Path) -> None:
    folder = here
    while length - len(str(folder)) > 200:
        folder /= "x" * 100
    folder.mkdir(parents=True, exist_ok=True)
    name = "y" * (length - len(str(folder)) - 1) if length > 500 else "y" * length
    spec = write("spec.yaml", "project: p\nsteps: {a: {value: 1}}\n")
    said = orc("run", spec, "--db", folder / name)
    assert said.code == 74
    assert "name a ledger with a shorter path" in said.err


def test_an_id_that_the_ledger_would_not_take_is_refused_before_the_job(here: Path) -> None:
    for number, leaf in enumerate(
        ({"run": "true"}, {"workflow": "w0.yaml"}, {"workflow": "w1.yaml"})
    ):
        step: dict[str, Any] = {"leaf": leaf}
        for level in range(14):
            step = {
                f"{'abc'[number]}{level}{'x' * 61}": {
                    "for_each": [1], "as": f"v{level}", "key": "k", "steps": step,
                }
            }  # fmt: skip
        write(f"w{number}.yaml", json.dumps({"project": "p", "steps": step}))
    assert orc("validate", "w1.yaml").code == 0
    for command in ("validate", "run", "plan"):
        said = orc(command, "w2.yaml")
        assert said.code == 2
        assert "step 'leaf' is in so many groups that its whole id" in said.err
    assert not Path("runs.db").exists()
