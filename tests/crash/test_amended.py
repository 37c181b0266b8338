"""An amended job that is killed and resumed ends like a new job of the edited spec."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.crash.test_kill import run_and_kill
from tests.crash.thirty_steps import environment, write_spec
from tests.processes import read_events, run_orc

MOMENTS = 3
CHANGED = "s08"
GONE = "s29"


def write_edited(folder: Path) -> None:
    """The spec of thirty steps, with one step changed, one removed and one added."""
    write_spec(folder)
    document = yaml.safe_load((folder / "spec.yaml").read_text())
    steps = document["steps"]
    steps[CHANGED]["run"] += f"\necho again >> {CHANGED}.txt"
    del steps[GONE]
    steps["more"] = {"value": f"${{{{ steps.{CHANGED}.output }}}}"}
    (folder / "edited.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    (folder / "edited.replay.yaml").write_text((folder / "spec.replay.yaml").read_text())


def read_end(folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The files and outputs of the folder's only job, from its manifest."""
    [path] = folder.glob("runs/*/manifest.json")
    manifest = json.loads(path.read_text())
    assert manifest["status"] == "succeeded"
    outputs = {
        event["step"]: event["data"]["output"]
        for event in read_events(folder / "runs.db")
        if event["type"] == "step.succeeded" and event["step"] in manifest["steps"]
    }
    return {file["path"]: file["sha256"] for file in manifest["files"]}, outputs


@pytest.fixture(scope="module")
def of_the_edited_spec(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The result of the edited spec, run as a new job."""
    folder = tmp_path_factory.mktemp("edited")
    write_edited(folder)
    ended = run_orc("run", "edited.yaml", "-q", cwd=folder, **environment(folder))
    assert ended.returncode == 0, ended.stderr
    return read_end(folder)


@pytest.mark.parametrize("seed", range(MOMENTS))
def test_an_amended_job_that_is_killed_ends_like_one_of_the_edited_spec(
    tmp_path: Path, of_the_edited_spec: Any, seed: int
) -> None:
    chance = random.Random(seed)
    write_edited(tmp_path)
    # Amended after its end, or after it was killed halfway.
    changes = 1000 if seed % 2 else chance.randint(10, 40)
    run_and_kill(tmp_path, "run", "spec.yaml", changes=changes, delay_s=0.0)
    amend = ("resume", "latest", "--spec", "edited.yaml")
    for _ in range(1 + seed % 2):
        run_and_kill(tmp_path, *amend, changes=chance.randint(0, 25), delay_s=0.01)
    ended = run_orc(*amend, cwd=tmp_path, **environment(tmp_path))
    assert ended.returncode == 0, ended.stderr

    assert read_end(tmp_path) == of_the_edited_spec
    check_that_what_was_kept_stayed(read_events(tmp_path / "runs.db"))
    verified = run_orc("verify", cwd=tmp_path)
    assert verified.returncode == 0, verified.stderr


def check_that_what_was_kept_stayed(events: list[dict[str, Any]]) -> None:
    done: set[str] = set()
    amendments = 0
    for event in events:
        if event["type"] == "step.succeeded":
            done.add(event["step"])
        elif event["type"] == "job.amended":
            amendments += 1
            data = event["data"]
            done -= {*data["reset"], *data["removed"]}
        elif event["type"] == "step.started":
            assert event["step"] not in done, f"{event['step']} ran again, and was not changed"
    assert amendments == 1
    assert GONE not in done
    assert "more" in done
