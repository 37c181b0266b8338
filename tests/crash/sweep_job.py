"""A small job with every kind of step, its expected result, and the checks after crashes.

The expected result is written here by hand, and not taken from a run.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.model_server import Asked, Fails, Says
from tests.processes import read_events

_SPEC = """\
project: sweep
provider: ollama/model-a
concurrency: 3
output_dir: delivered
hooks: {succeeded: 'test -d delivered/rivers; echo hook >> "$ORC_COUNTER"'}
steps:
  outline:
    prompt: Name two rivers.
    output: {format: json}
  river:
    for_each: ${{ steps.outline.output.rivers }}
    as: river
    prompt: Write of the ${{ river }}.
    files: [{path: "rivers/${{ river }}.md"}]
  shout:
    needs: river
    run: |
      echo shout >> "$ORC_COUNTER"
      mkdir -p loud
      cat rivers/*.md | tr a-z A-Z > loud/all.txt
      cp loud/all.txt "$ORC_ARTIFACTS/copy.txt"
      cat loud/all.txt
    files: ["loud/*.txt"]
  count:
    python: counting:count
    args: {texts: "${{ steps.river.output }}"}
  sum:
    value: {words: "${{ steps.count.output.words }}", loud: "${{ steps.shout.output }}"}
"""
_MODULE = """
import os

def count(texts):
    with open(os.environ["ORC_COUNTER"], "a") as file:
        file.write("count\\n")
    return {"words": sum(len(text.split()) for text in texts)}
"""
_RHINE = "The Rhine is long.\n" + "It flows and flows.\n" * 80
_ELBE = "The Elbe is calm."
_LOUD = (_ELBE + _RHINE).upper()

ORDINARY = ("outline", "river", "river[0]", "river[1]", "shout", "count", "sum")
CALLS = 3
SIDE_EFFECTS = ("shout", "count")
FILES = {
    "sweep/rivers/Rhine.md": _RHINE,
    "sweep/rivers/Elbe.md": _ELBE,
    "sweep/loud/all.txt": _LOUD,
}
_WORDS = 4 + 4 * 80 + 4
OUTPUTS: dict[str, Any] = {
    "outline": {"rivers": ["Rhine", "Elbe"]},
    "river[0]": _RHINE,
    "river[1]": _ELBE,
    "river": [_RHINE, _ELBE],
    "shout": _LOUD.removesuffix("\n"),
    "count": {"words": _WORDS},
    "sum": {"words": _WORDS, "loud": _LOUD.removesuffix("\n")},
}
_VOLATILE = frozenset(
    "job_id started_at finished_at duration_s ledger_head cost_usd usage attempts provider_calls "
    "in_doubt".split()
)


def write_job(folder: Path) -> None:
    """Write the spec and its module to the folder."""
    (folder / "spec.yaml").write_text(_SPEC)
    (folder / "counting.py").write_text(_MODULE)


def answer(asked: Asked) -> Says | Fails:
    """The reply of the model to each prompt."""
    if "two rivers" in asked.last:
        return Says('{"rivers": ["Rhine", "Elbe"]}')
    return Says(_RHINE if "Rhine" in asked.last else _ELBE)


def environment(folder: Path, url: str) -> dict[str, str]:
    """The model's address, and where commands and functions count their side effects."""
    return {"OLLAMA_BASE_URL": url, "ORC_COUNTER": str(folder / "counter")}


@dataclass
class Crashes:
    """What the crashes of one job may have cost, read from its ledger after each crash.

    An attempt or a call counts once, although a process that dies before its first commit leaves
    the ledger as it was: after that, the same ones are without an end.
    """

    in_flight: set[tuple[str, int]] = field(default_factory=set)
    in_doubt: set[tuple[str, int, int]] = field(default_factory=set)
    before: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def last_type(self) -> str:
        """The type of the last committed event; None without events."""
        return str(self.before[-1][2]) if self.before else ""

    def take(self, folder: Path) -> None:
        """Read what the killed process had committed."""
        events = read_committed(folder)
        rows = [_row(event) for event in events]
        assert rows[: len(self.before)] == self.before, "a committed event is gone"
        self.before = rows
        running: dict[str, int] = {}
        asked: dict[str, tuple[str, int, int]] = {}
        for event in events:
            step = event["step"]
            match event["type"]:
                case "step.started":
                    running[step] = event["attempt"]
                case "step.succeeded" | "step.failed" | "step.interrupted":
                    running.pop(step, None)
                    asked.pop(step, None)
                case "llm.requested":
                    assert step not in asked, f"{step} asks twice at once"
                    asked[step] = (step, event["attempt"], event["data"]["call"])
                case "llm.responded" | "llm.failed":
                    del asked[step]
        self.in_flight.update(running.items())
        self.in_doubt.update(asked.values())


def read_committed(folder: Path) -> list[dict[str, Any]]:
    """The events of the folder's ledger; empty if there is no ledger yet."""
    try:
        return read_events(folder / "runs.db")
    except sqlite3.OperationalError:
        return []


def check_end(folder: Path, crashes: Crashes, *, paid: int) -> None:
    """Check that the job ended as expected, and that no committed work was repeated."""
    events = read_committed(folder)
    rows = [_row(event) for event in events]
    assert rows[: len(crashes.before)] == crashes.before, "a committed event is gone"
    assert {event["job_id"] for event in events} == {events[0]["job_id"]}
    manifest = read_manifest(folder)
    assert manifest["status"] == "succeeded"
    assert sorted(manifest["completed_steps"]) == sorted(ORDINARY)
    assert manifest["pending_steps"] == []
    assert {step: entry["status"] for step, entry in manifest["steps"].items()} == dict.fromkeys(
        ORDINARY, "succeeded"
    )
    assert {file["path"]: file["sha256"] for file in manifest["files"]} == {
        path: hashlib.sha256(text.encode()).hexdigest() for path, text in FILES.items()
    }
    [run_folder] = folder.glob("runs/*")
    assert read_texts(run_folder / "outputs") == FILES
    assert read_texts(folder / "delivered") == {
        path.removeprefix("sweep/"): text for path, text in FILES.items()
    }
    assert (run_folder / "artifacts/shout/copy.txt").read_text() == _LOUD
    assert read_outputs(folder) == OUTPUTS
    _check_events(events)
    _check_costs(folder, events, crashes, paid=paid)
    left = [path for path in folder.rglob("*") if path.name.endswith(".orc-tmp")]
    assert left == []


def _check_events(events: list[dict[str, Any]]) -> None:
    succeeded: Counter[str] = Counter()
    for event in events:
        if event["type"] == "step.started":
            assert not succeeded[event["step"]], f"{event['step']} ran again"
        elif event["type"] == "step.succeeded":
            succeeded[event["step"]] += 1
    assert succeeded == dict.fromkeys(ORDINARY, 1)


def _check_costs(
    folder: Path, events: list[dict[str, Any]], crashes: Crashes, *, paid: int
) -> None:
    types = Counter(event["type"] for event in events)
    assert types["llm.responded"] == CALLS, "a reply that was committed was asked for again"
    in_doubt = len(crashes.in_doubt)
    assert CALLS <= paid <= CALLS + in_doubt
    assert read_manifest(folder).get("in_doubt", {}).get("calls", 0) == in_doubt
    ran = Counter((folder / "counter").read_text().split())
    _check_hook(events, told=ran.pop("hook", 0))
    assert set(ran) == set(SIDE_EFFECTS)
    cut = Counter(step for step, _ in crashes.in_flight)
    for step, times in ran.items():
        assert 1 <= times <= 1 + cut[step], f"{step} ran {times} times"


def _check_hook(events: list[dict[str, Any]], *, told: int) -> None:
    """The hook has one start and one end, and its command ran once at most."""
    of_hook = [event for event in events if event["type"].startswith("hook.")]
    assert [event["type"] for event in of_hook] == ["hook.started", "hook.ended"]
    if of_hook[1]["data"]["outcome"] == "exited":
        assert (told, of_hook[1]["data"]["exit_code"]) == (1, 0)
    else:
        assert told <= 1
        assert of_hook[1]["data"]["outcome"] == "unknown"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the folder's one job."""
    [path] = folder.glob("runs/*/manifest.json")
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest


def lasting(value: Any) -> Any:
    """The value without the fields that may differ between runs, or after a crash."""
    if isinstance(value, dict):
        return {key: lasting(item) for key, item in value.items() if key not in _VOLATILE}
    if isinstance(value, list):
        return [lasting(item) for item in value]
    return value


def read_outputs(folder: Path) -> dict[str, Any]:
    """The output of each succeeded step, from the ledger's tables."""
    connection = sqlite3.connect(f"file:{folder / 'runs.db'}?mode=ro", uri=True, timeout=30)
    try:
        blobs = dict(connection.execute("SELECT sha256, content FROM blobs").fetchall())
    finally:
        connection.close()
    found = {}
    for event in read_committed(folder):
        if event["type"] == "step.succeeded":
            output = event["data"]["output"]
            if "sha256" not in output:
                found[event["step"]] = output["value"]
                continue
            content = blobs[output["sha256"]]
            found[event["step"]] = content if output.get("text") else json.loads(content)
    return found


def read_texts(folder: Path) -> dict[str, str]:
    """Every file below the folder, by its relative path."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _row(event: dict[str, Any]) -> tuple[Any, ...]:
    return (event["job_id"], event["version"], event["type"], event["hash"])
