"""`orc diff`: what counts as a difference between two jobs, and what does not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.command_line import control_characters, orc, submit, write
from tests.cli.sample_ledger import SampleLedger
from tests.processes import end_process, start_orc

SPEC = """\
project: p
provider: replay
inputs: {topic: {type: string, default: cats}}
steps:
  ask: {prompt: "tell of ${{ inputs.topic }}", params: {seed: 1}, files: [{path: told.md}]}
  gone: {value: 1, files: [{path: gone.txt, content: g}]}
"""


@pytest.fixture
def pair(here: Path) -> tuple[str, str]:
    """Two jobs; the second has another prompt, reply, input and parameter, and other steps."""
    write("spec.replay.yaml", json.dumps({"replies": {"ask": [{"text": "first\nsame"}]}}))
    before = submit(SPEC)
    write("spec.replay.yaml", json.dumps({"replies": {"ask": [{"text": "sec\x1b[2J\nsame"}]}}))
    text = SPEC.replace("gone", "come").replace("seed: 1", "seed: 2")
    return before, submit(text, "-i", "topic=dogs")


def diff(*options: str) -> dict[str, Any]:
    return orc("diff", *options, "--json").json()


def test_every_part_that_differs_is_named(pair: tuple[str, str]) -> None:
    found = diff(*pair)

    assert found["same"] is False
    assert {one["name"]: (one["before"], one["after"]) for one in found["settings"]} == {
        "inputs.topic": ("cats", "dogs"),
        "ask.params.seed": (1, 2),
    }
    assert {one["step"]: one["state"] for one in found["steps"]} == {
        "ask": "changed",
        "come": "added",
        "gone": "removed",
    }
    assert {one["path"]: one["state"] for one in found["files"]} == {
        "p/told.md": "changed",
        "p/come.txt": "added",
        "p/gone.txt": "removed",
    }
    (asked,) = [one for one in found["steps"] if one["step"] == "ask"]
    assert {text["what"]: text["diff"]["lines"][1:] for text in asked["texts"]} == {
        "prompt": ["-user: tell of cats", "+user: tell of dogs"],
        "reply": ["-first", "+sec\x1b[2J", " same"],
    }
    assert found["spec"]["diff"]["added"] == found["spec"]["diff"]["removed"] == 2


def test_a_person_sees_a_summary_and_then_the_differences(pair: tuple[str, str]) -> None:
    said = orc("diff", *pair)

    assert control_characters(said.out) == set()
    assert r"+sec\x1b[2J" in said.out
    assert (
        said.out.index("M  ask") < said.out.index("prompt of ask") < said.out.index("file p/told")
    )
    assert "prompt of ask" not in orc("diff", *pair, "--stat").out


def test_one_step_is_compared_alone(pair: tuple[str, str]) -> None:
    found = diff(*pair, "--step", "ask")

    assert [one["step"] for one in found["steps"]] == ["ask"]
    assert [one["path"] for one in found["files"]] == ["p/told.md"]
    assert found["spec"] is None
    said = orc("diff", *pair, "--step", "asc")
    assert said.code == 2
    assert "did you mean 'ask'?" in said.err


def test_the_exit_code_tells_only_where_it_is_asked_to(pair: tuple[str, str]) -> None:
    before, after = pair
    assert orc("diff", before, after).code == 0
    assert orc("diff", before, after, "--exit-code").code == 1
    assert orc("diff", before, before, "--exit-code").code == 0


def test_times_and_caches_are_no_difference(sample: SampleLedger) -> None:
    found = diff(sample.first, sample.second, "--db", str(sample.database))
    assert [one["step"] for one in found["steps"] if one["state"] != "same"] == []
    assert found["same"] is True


def test_long_differences_are_cut_and_say_how_to_see_all(here: Path) -> None:
    spec = "project: p\nsteps:\n  a: {value: 1, files: [{path: x, content: %s}]}\n"
    for word in ("a", "b"):
        submit(spec % json.dumps("".join(f"{word}{n}\n" for n in range(100))))

    cut = orc("diff", "latest~1", "latest").out
    whole = orc("diff", "latest~1", "latest", "--full").out

    assert "more lines: orc diff job_" in cut
    assert "+b99" not in cut
    assert "+b99" in whole


def test_a_long_line_is_whole_in_a_pipe_and_said_to_be_cut_on_a_terminal(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in ("one", "two"):
        submit(f"project: p\nsteps:\n  a: {{value: '{'x' * 200} {word}'}}\n")
    assert "xx two'}" in orc("diff", "latest~1", "latest").out

    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("orc.cli.commands.diff.sys", SimpleNamespace(stdout=Terminal()))
    cut = orc("diff", "latest~1", "latest").out
    assert "xx two'}" not in cut
    assert "... 2 lines cut: orc diff job_" in cut
    assert "xx two'}" in orc("diff", "latest~1", "latest", "--full").out


class Terminal:
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_job_and_its_step_that_no_process_runs_are_interrupted(here: Path) -> None:
    write("spec.yaml", "project: p\nsteps: {a: {run: exec sleep 60}}\n")
    process = start_orc("run", "spec.yaml", "--json", cwd=here)
    try:
        assert process.stdout is not None
        while json.loads(process.stdout.readline()).get("step") != "a":
            pass
        assert statuses() == ("running", "running")
    finally:
        end_process(process)
    assert statuses() == ("interrupted", "interrupted")
    assert "p  interrupted" in orc("diff", "latest", "latest").out


def statuses() -> tuple[str, str]:
    """The status of the latest job and of its step, as `orc diff` shows them."""
    found = diff("latest", "latest")
    return found["after"]["status"], found["steps"][0]["after"]["status"]


def test_binary_files_are_compared_by_their_sizes(here: Path) -> None:
    spec = "project: p\nsteps:\n  a: {run: \"printf '%s' > x.bin\", files: [x.bin]}\n"
    for content in (r"\000", r"\000\001"):
        submit(spec % content.replace("\\", "\\\\"))

    (file,) = diff("latest~1", "latest")["files"]

    assert (file["state"], file["text"]) == ("changed", None)
    assert (file["before"]["size_bytes"], file["after"]["size_bytes"]) == (1, 2)


def test_what_was_removed_cannot_be_compared_and_says_why(here: Path) -> None:
    spec = "project: p\nprovider: replay\nsteps:\n  a: {prompt: x}\n"
    for word in ("one ", "two "):
        write("spec.replay.yaml", json.dumps({"replies": {"a": [{"text": word * 500}]}}))
        submit(spec)
    orc("prune", "--job", "latest~1", "--yes")

    said = orc("diff", "latest~1", "latest")

    assert said.code == 0
    assert "cannot be compared: the bytes of blob" in said.out


def test_jobs_before_the_latest_are_counted_back(sample: SampleLedger) -> None:
    here = ("--db", str(sample.database))

    for name, job in (
        ("latest", sample.fork),
        ("latest~0", sample.fork),
        ("latest~2", sample.first),
    ):
        assert orc("show", name, "--json", *here).json()["job_id"] == job
    said = orc("show", "latest~3", *here)
    assert said.code == 6
    assert "has only 3 jobs, so latest~3 does not exist" in said.err
    for name in ("latest~", "latest~-1", "latest~x", "latest~99999999999"):
        assert orc("show", name, *here).code == 6
