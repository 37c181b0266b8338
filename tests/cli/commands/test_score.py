"""`orc score`: a person's scores of a result, also of a job that has ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command_line import orc, submit, write

SPEC = """\
project: p
secrets: [TOKEN]
steps:
  good: {value: 1}
  each: {for_each: [1, 2], value: "${{ item }}"}
  bad: {run: exit 1}
"""


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TOKEN", "a-secret-token")
    write("spec.yaml", SPEC)
    done = orc("run", "spec.yaml", "--json").lines()[-1]
    assert done["status"] == "failed"
    return str(done["job_id"])


def events(job: str) -> list[dict[str, object]]:
    return [line for line in orc("tail", job, "--json").lines() if line["type"] == "score.recorded"]


def test_numbers_and_booleans_are_recorded_with_the_person_and_the_reason(job: str) -> None:
    said = orc("score", job, "each[1]", "quality=7.5", "good=yes", "--why", "clear")
    assert (said.code, "2 scores of each[1] recorded" in said.err) == (0, True)
    first, second = events(job)
    assert (first["step"], first["name"], first["value"]) == ("each[1]", "quality", 7.5)
    assert (second["value"], second["who"], second["why"]) == (True, "human", {"value": "clear"})
    assert first["by"]
    groups = orc("scores", job, "--json").json()["groups"]
    assert [(group["score"], group["who"], group["mean"]) for group in groups] == [
        ("quality", "human", 7.5),
        ("good", "human", 1),
    ]
    assert orc("verify").code == 0


def test_the_same_score_again_replaces_the_first_one(job: str) -> None:
    for value in ("3", "4"):
        assert orc("score", job, "good", f"taste={value}").code == 0
    (group,) = orc("scores", job, "--json").json()["groups"]
    assert (group["n"], group["mean"], len(events(job))) == (1, 4, 2)


def test_an_equal_score_given_again_is_no_event(job: str) -> None:
    for _ in range(2):
        assert orc("score", job, "good", "taste=3", "--why", "x").code == 0
    assert len(events(job)) == 1


def test_a_secret_in_the_reason_is_masked_before_it_is_stored(job: str) -> None:
    assert orc("score", job, "good", "taste=3", "--why", "a-secret-token " * 200).code == 0
    assert b"a-secret-token" not in Path("runs.db").read_bytes()


def test_a_score_stays_through_a_resume_that_does_not_run_its_step(job: str) -> None:
    assert orc("score", job, "good", "taste=3").code == 0
    assert orc("resume", job).code == 1
    (group,) = orc("scores", job, "--json").json()["groups"]
    assert group["n"] == 1
    assert orc("rerun", job, "--step", "good").code == 1
    assert orc("scores", job, "--json").json()["groups"] == [], "it was about the former result"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["good", "quality"], "quality: must be NAME=VALUE with a number, true or false"),
        (["good", "quality=high"], "quality=high: must be NAME=VALUE with a number, true or false"),
        (["good", "quality=1_000"], "quality=1_000: must be NAME=VALUE with a number"),
        (["good", "quality=\u0663"], "quality=\u0663: must be NAME=VALUE with a number"),
        (["good", "quality=nan"], "quality=nan: must be NAME=VALUE"),
        (["good", "quality=inf"], "quality=inf: must be NAME=VALUE"),
        (["good", "quality=1e300"], "quality: a score is at most 1e+15"),
        (["good", "a b=1"], "'a b' is not a name for a score"),
        (["good", "x=1", "x=2"], "x: is given twice"),
        (["god", "x=1"], "the job has no step 'god'; did you mean 'good'?"),
        (["bad", "x=1"], "bad has no result that could be scored: it is failed"),
        (["good", "x=1", "--why", "y" * 10_001], "--why: it may have 10,000 characters at most"),
    ],
)
def test_what_cannot_be_a_score_is_refused(job: str, arguments: list[str], reason: str) -> None:
    said = orc("score", job, *arguments)
    assert (said.code, reason in said.err) == (2, True), said.err
    assert events(job) == []


def test_what_a_person_said_of_an_item_stays_with_its_result() -> None:
    """The item that did not change keeps its result, the other one runs again, the third is gone."""
    spec = (
        "project: p\ninputs: {rows: {type: table, default: rows.jsonl}}\n"
        "steps: {each: {for_each: '${{ inputs.rows }}', key: '${{ item.id }}', "
        "value: '${{ item.text }}'}}\n"
    )
    write("spec.yaml", spec)
    rows = [{"id": name, "text": "1"} for name in ("same", "other", "gone")]
    write("rows.jsonl", "\n".join(map(json.dumps, rows)))
    assert orc("run", "spec.yaml").code == 0
    for name in ("same", "other", "gone"):
        assert orc("score", "latest", f"each[{name}]", "taste=3").code == 0
    rows = [rows[0], {**rows[1], "text": "2"}]
    write("rows.jsonl", "\n".join(map(json.dumps, rows)))
    assert orc("resume", "latest", "--spec", "spec.yaml").code == 0
    groups = orc("scores", "latest", "--by", "case", "--json").json()["groups"]
    assert [json.loads(group["by"]["case"])["item"]["id"] for group in groups] == ["same"]
    assert orc("verify").code == 0


def test_a_person_with_the_name_of_a_judge_keeps_the_scores_of_both(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(
        "project: p\nsteps:\n  answer: {value: 1}\n"
        "  ann: {needs: answer, value: 2, score: {quality: {value: '${{ output }}', of: answer}}}\n"
    )
    monkeypatch.setenv("LOGNAME", "ann")
    assert orc("score", job, "answer", "quality=9").code == 0
    groups = orc("scores", job, "--json").json()["groups"]
    assert {(group["who"], group["mean"]) for group in groups} == {("judge", 2), ("human", 9)}
    assert orc("verify").code == 0
