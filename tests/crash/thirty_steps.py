"""A job of thirty steps of every kind, and the checks after any number of kills."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.processes import read_events, run_orc

STEPS = 30
_SEED = 20_260_102
_MODULE = """
import os, time

def work(name, seen):
    with open(os.environ["ORC_COUNTER"], "a") as file:
        file.write(name + "\\n")
    time.sleep(0.02)
    return {"name": name, "seen": sorted(seen), "size": len(str(seen))}
"""


@dataclass(frozen=True)
class Result:
    """The part of the result in which two runs of the job must agree."""

    files: dict[str, str]
    outputs: dict[str, Any]


def write_spec(folder: Path) -> None:
    """Write the spec, the recorded replies and the module to the folder."""
    chance = random.Random(_SEED)
    steps: dict[str, Any] = {}
    replies: dict[str, Any] = {}
    for number in range(STEPS):
        step_id = f"s{number:02}"
        kind = ("run", "python", "run", "prompt", "value", "run")[number % 6]
        needs = sorted(chance.sample(sorted(steps)[-8:], min(len(steps), chance.choice((0, 1, 2)))))
        steps[step_id] = {"needs": needs, **_step(kind, step_id, needs)}
        if kind == "prompt":
            replies[step_id] = [
                {"text": f"Text of {step_id}.\n" * chance.choice((1, 200)), "latency_s": 0.03}
            ]
    document = {"project": "thirty", "provider": "replay", "concurrency": 3, "steps": steps}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    (folder / "spec.replay.yaml").write_text(yaml.safe_dump({"version": 1, "replies": replies}))
    (folder / "working.py").write_text(_MODULE)


def _step(kind: str, step_id: str, needs: list[str]) -> dict[str, Any]:
    seen = [f"${{{{ steps.{need}.output }}}}" for need in needs]
    if kind == "run":
        shown = "".join(f" ${{{{ steps.{need}.status }}}}" for need in needs)
        script = (
            f'echo {step_id} >> "$ORC_COUNTER"\nsleep 0.02\n'
            f"echo {step_id}{shown} > {step_id}.txt\nmkdir -p deep\n"
            f"cp {step_id}.txt deep/{step_id}.txt\nls deep/{step_id}.txt\ncat {step_id}.txt"
        )
        return {"run": script, "files": [f"{step_id}.txt", f"deep/{step_id}.*"]}
    if kind == "python":
        return {"python": "working:work", "args": {"name": step_id, "seen": list(needs)}}
    if kind == "prompt":
        return {"prompt": f"Write {step_id}.", "files": [{"path": f"{step_id}.md"}]}
    return {"value": {"of": step_id, "seen": seen}}


def environment(folder: Path) -> dict[str, str]:
    """The environment variable that names the folder where steps count their side effects."""
    return {"ORC_COUNTER": str(folder / "counter")}


def read_result(folder: Path) -> Result:
    """The files and outputs of the folder's only job, from its manifest and its ledger."""
    [manifest_path] = folder.glob("runs/*/manifest.json")
    manifest = json.loads(manifest_path.read_text())
    assert manifest["status"] == "succeeded"
    files = {file["path"]: file["sha256"] for file in manifest["files"]}
    outputs = {
        event["step"]: event["data"]["output"]
        for event in read_events(folder / "runs.db")
        if event["type"] == "step.succeeded"
    }
    return Result(files, outputs)


def check_after_crashes(folder: Path, *, as_in: Result) -> None:
    """Check the result, that no committed work was repeated, and that the ledger verifies."""
    assert read_result(folder) == as_in
    events = read_events(folder / "runs.db")
    started: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    succeeded: set[str] = set()
    for event in events:
        step = event["step"]
        if event["type"] == "step.started":
            assert step not in succeeded, f"{step} ran again after it had succeeded"
            started[step] += 1
        elif event["type"] == "llm.responded":
            answered[step] += 1
        elif event["type"] == "step.succeeded":
            assert step not in succeeded, f"{step} succeeded twice"
            succeeded.add(step)
    assert len(succeeded) == STEPS
    assert set(answered.values()) == {1}
    ran = Counter((folder / "counter").read_text().split())
    for step, times in ran.items():
        assert 1 <= times <= started[step], f"{step} ran {times} times in {started[step]} attempts"
    verified = run_orc("verify", cwd=folder)
    assert verified.returncode == 0, verified.stderr
