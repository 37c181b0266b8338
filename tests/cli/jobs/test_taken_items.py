"""A fork and a replay take over a fan-out with its items: templates, scores and readers see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import orc, submit, work_in

JUDGED = """\
project: judged
steps:
  answer:
    for_each: [{id: a}, {id: ö}, {id: c}]
    key: ${{ item.id }}
    continue_on_error: true
    if: ${{ item.id != 'ö' }}
    run: 'test ${{ item.id }} != c && echo ${{ item.id }}'
    files: [{path: "${{ item.id }}.txt", content: "${{ item.id }}"}]
    score: {length: "${{ output | length }}"}
  judge:
    for_each: ${{ steps.answer.items }}
    key: ${{ item.key }}
    value: "${{ item.status }} ${{ item.output }}"
    score:
      said: {value: "${{ output | length }}", of: "${{ item.step }}"}
  end: {value: "${{ steps.answer.items }}", needs: judge}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


def fork(*options: str) -> str:
    said = orc("fork", "latest", *options, "--json")
    assert said.code == 0, said.err
    return str(said.lines()[0]["job_id"])


def result(job: str, step: str) -> Any:
    return orc("show", job, "--json", "--result", step).json()["output"]


def scores(job: str) -> list[tuple[Any, ...]]:
    lines = orc("scores", job, "--by", "step", "--json").json()["groups"]
    return [(one["score"], one["n"], one["mean"], one["failed"], one["errors"]) for one in lines]


def test_the_items_of_a_result_are_taken_over_with_it() -> None:
    job = submit(JUDGED)
    (a, o, c) = result(job, "end")
    assert (a["status"], o["status"], c["status"]) == ("succeeded", "skipped", "failed")
    assert (a["key"], o["key"], c["error"]["kind"]) == ("a", "ö", "exit_code")
    for _ in range(2):
        # The second one is a fork of a fork.
        child = fork("--from", "judge")
        assert result(child, "end") == [a, o, c]
        assert scores(child) == scores(job)
        assert orc("verify", child).code == 0
        assert (Path("runs") / child / "outputs/judged/a.txt").read_text() == "a"
    shown = orc("show", child, "--json").json()
    items = {step["step"]: step for step in shown["steps"]}
    assert items["answer[a]"]["reused_from"] == f"{job}/answer[a]"
    assert items["answer[c]"]["attempts"] == 0
    assert "1 step failed, and the job continued" in orc("show", child).out


def test_a_judge_that_is_taken_over_says_the_same_of_the_same_items() -> None:
    job = submit(JUDGED)
    child = fork("--from", "end")
    assert scores(child) == scores(job)
    assert scores(fork("--from", "end")) == scores(job)


def test_a_person_may_score_an_item_that_was_taken_over() -> None:
    job = submit(JUDGED)
    assert orc("score", job, "answer[a]", "taste=3").code == 0
    child = fork("--from", "judge")
    assert ("taste", 1, 3.0, 1, 0) in scores(child)
    assert orc("score", child, "answer[a]", "care=2").code == 0
    assert ("care", 1, 2.0, 1, 0) in scores(child)


def test_a_replay_of_a_fork_has_the_items_too() -> None:
    submit(JUDGED)
    child = fork("--from", "judge")
    said = orc("replay", child, "--json")
    assert said.code == 0, said.err
    replayed = orc("list", "--json").lines()[0]["job_id"]
    assert result(replayed, "end") == result(child, "end")
    assert scores(replayed) == scores(child)


NESTED = """\
project: nested
steps:
  each:
    for_each: [1, 2]
    max_parallel: 1
    loop: {max_iterations: 2, until: "${{ steps.last.output > 9 }}"}
    steps:
      skipped: {if: "${{ false }}", value: 1}
      parts: {for_each: "${{ [item, 2] }}", as: part, value: "${{ part * loop.index }}"}
      last: {needs: [parts], value: "${{ steps.parts.output | sum }}", score: {sum: "${{ output }}"}}
      after: {needs: [skipped, last], value: 1}
  end: {value: "${{ steps.each.items }}"}
"""


def test_what_is_inside_items_is_taken_over() -> None:
    job = submit(NESTED)
    child = fork("--from", "end")
    assert result(child, "end") == result(job, "end")
    rows = [orc("show", one, "--json").json()["steps"] for one in (job, child)]
    names = [[(step["step"], step["status"]) for step in found] for found in rows]
    assert names[0] == names[1]
    assert scores(child) == scores(job)
    assert [orc("verify", one).code for one in (job, child)] == [0, 0]
    assert orc("resume", child).code == 0


def test_a_fork_that_is_amended_keeps_the_items_that_did_not_change() -> None:
    spec = (
        "project: p\ninputs: {rows: {type: table, default: rows.jsonl}}\nsteps:\n"
        '  each: {for_each: "${{ inputs.rows }}", value: "${{ item.a }}"}\n  end: {value: 1}\n'
    )
    rows = Path("rows.jsonl")
    rows.write_text('{"a": 1}\n{"a": 2}\n')
    submit(spec)
    child = fork("--from", "end")
    rows.write_text('{"a": 1}\n{"a": 3}\n')
    assert orc("resume", child, "--spec", "spec.yaml").code == 0
    lines = (Path("runs") / child / "events.jsonl").read_text().splitlines()
    started = [found["step"] for found in map(json.loads, lines) if found["type"] == "step.started"]
    assert started == ["end", "each", "each[1]"]


def test_a_replay_runs_the_steps_that_the_job_has_run() -> None:
    job = submit(JUDGED, "--until", "answer")
    said = orc("replay", job, "--json")
    assert (said.code, said.lines()[-1]["differences"]) == (0, 0)
    replayed = orc("list", "--json").lines()[0]["job_id"]
    steps = orc("show", replayed, "--json").json()["steps"]
    assert {step["step"]: step["status"] for step in steps}["judge"] == "pending"
