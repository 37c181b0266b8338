"""`orc replay`: a job runs again from its recorded replies and decisions, and is compared."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.command_line import orc, write
from tests.cli.recordings import SPEC, answer
from tests.model_server import Asked, Fails, ModelServer, Says


@pytest.fixture
def recorded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that succeeded; its model server has ended."""
    with ModelServer(answer) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        assert orc("run", write("spec.yaml", SPEC)).code == 0


def test_a_replay_runs_offline_without_a_difference(recorded: None) -> None:
    job = orc("list", "--json").json()["job_id"]
    said = orc("replay", job, "--json")
    assert said.code == 0
    result = said.json()
    assert (result["job_id"], result["differences"], result["first"]) == (job, 0, None)
    with sqlite3.connect("runs.db") as connection:
        (data,) = connection.execute(
            "SELECT data FROM events WHERE job_id = ? AND version = 1", (result["replay"],)
        ).fetchone()
    connection.close()
    assert json.loads(data)["replay_of"] == job
    assert "do not differ" in orc("replay", job).out


def test_a_replay_of_a_replay_has_no_difference(recorded: None) -> None:
    assert orc("replay", "latest").code == 0
    assert orc("replay", "latest").code == 0


def test_a_replay_shows_the_first_difference(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = SPEC + '  dice: {run: "od -An -N8 -tx8 /dev/urandom"}\n'
    with ModelServer(answer) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        assert orc("run", write("spec.yaml", chance)).code == 0
    said = orc("replay", "latest")
    assert said.code == 5
    lines = said.out.splitlines()
    assert lines[0] == "step dice: output differs"
    assert lines[1].startswith("  recorded: ")
    assert lines[1].split(": ")[1] != lines[2].split(": ")[1]


def test_a_difference_of_several_lines_is_shown_in_lines(here: Path) -> None:
    run = "echo first; od -An -N8 -tx8 /dev/urandom"
    assert (
        orc("run", write("spec.yaml", f"project: p\nsteps: {{dice: {{run: '{run}'}}}}\n")).code == 0
    )
    said = orc("replay", "latest", "-q").out
    assert "  recorded:\n      | first\n" in said
    assert "  replayed:\n      | first\n" in said
    assert "\\x0a" not in said


def test_a_replay_copies_nothing_to_the_output_dir(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelServer(answer) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        spec = write("spec.yaml", SPEC.replace("provider:", "output_dir: out\nprovider:"))
        assert orc("run", spec).code == 0
    (here / "out/facts.json").unlink()
    assert orc("replay", "latest").code == 0
    assert not (here / "out/facts.json").exists()


def test_a_job_that_has_not_ended_is_not_replayed(here: Path) -> None:
    assert orc("replay", "latest").code == 6


def test_a_run_that_was_switched_and_answered_from_the_cache_is_replayed_alike(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer_model_b(asked: Asked) -> Says | Fails:
        return Fails(503) if asked.model == "model-a" else answer(asked)

    spec = SPEC.replace("steps:", "fallback: [ollama/model-b]\ncache: ledger\nsteps:")
    with ModelServer(answer_model_b) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        monkeypatch.setenv("CB_THRESHOLD", "0")
        assert orc("run", write("spec.yaml", spec)).code == 0
        assert orc("replay", "latest").code == 0
        assert orc("run", "spec.yaml").code == 0
        asked = len(server.seen)
    assert orc("replay", "latest").code == 0
    assert len(server.seen) == asked


def test_replies_of_a_failed_attempt_before_a_resume_are_not_replayed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelServer(lambda asked: Says("no JSON")) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        assert orc("run", write("spec.yaml", SPEC)).code == 1
        server.answer = answer
        assert orc("resume", "latest").code == 0
    said = orc("replay", "latest")
    assert said.code == 0, said.out + said.err


def test_a_replay_repeats_the_recorded_decisions(here: Path) -> None:
    text = """\
project: gated
steps:
  gate: {approval: {message: "Publish?", options: [approve, later, reject]}}
  go: {needs: gate, value: "${{ steps.gate.output.decision }}"}
"""
    job = orc("run", write("s.yaml", text), "--json").lines()[-1]["job_id"]
    assert orc("replay", "latest", "--json").json()["status"] == "waiting"
    assert orc("approve", job, "gate", "--option", "later", "--comment", "soon").code == 0
    assert orc("resume", job).code == 0
    said = orc("replay", job, "--json")
    assert said.code == 0, said.err
    assert said.json()["differences"] == 0
    events = orc("tail", "latest", "--json", "--type", "approval.decided").lines()
    assert [(one["option"], one["comment"]) for one in events] == [("later", "soon")]


KEPT = """\
project: kept
provider: replay
steps:
  rows: {value: ROWS}
  each:
    for_each: ${{ steps.rows.output }}
    key: ${{ item }}
    steps:
      ask: {prompt: "Say ${{ item }}"}
      end: {value: "${{ steps.ask.output }}!"}
"""


def test_prompts_in_items_that_an_amendment_kept_are_replayed(here: Path) -> None:
    names = ("a", "b", "c", "d")
    replies = {f"each[{name}]/ask": [{"text": f"It is {name}"}] for name in names}
    write("spec.replay.yaml", json.dumps({"replies": replies}))
    assert orc("run", write("spec.yaml", KEPT.replace("ROWS", "[a, b]"))).code == 0
    for rows in ("[b, c]", "[c, b, d]"):
        write("spec.yaml", KEPT.replace("ROWS", rows))
        assert orc("resume", "latest", "--spec", "spec.yaml").code == 0
    steps = orc("show", "latest", "--json").json()["steps"]
    assert [step["step"] for step in steps if step["reused_from"]], "items were kept"
    said = orc("replay", "latest", "--json")
    assert (said.code, said.json()["first"]) == (0, None)
