"""A fork runs exactly the items again whose work is not that of the job that was forked."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings

from tests.cli.command_line import orc, submit, work_in
from tests.cli.inputs.test_amended import events_of
from tests.cli.inputs.test_kept_downstream import JUDGED, ROWS, Rows, work_of, write_rows

ASKED = """\
project: asked
provider: replay
model: m
inputs: {rows: {type: table, default: rows.jsonl}}
steps:
  ask:
    for_each: ${{ inputs.rows }}
    key: ${{ item.key }}
    prompt: ${{ item.text }}
"""
STOPPED = """\
project: stopped
inputs: {rows: {type: table, default: rows.jsonl}}
steps:
  each:
    for_each: ${{ inputs.rows }}
    key: ${{ item.key }}
    max_parallel: 1
    run: 'test ${{ item.key }} = a || test -e "$ORC_SPEC_DIR"/there'
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


def fork(job: str, *options: str) -> str:
    said = orc("fork", job, *options, "--json")
    assert said.code == 0, said.err
    return str(said.lines()[0]["job_id"])


def ran_and_kept(job: str) -> tuple[set[str], set[str]]:
    """The steps in items that ran, and those that kept their results, since the last submission."""
    names: dict[str, set[str]] = {"step.started": set(), "step.reused": set()}
    for found in events_of(job):
        if found["type"] in names and "[" in found["step"]:
            names[found["type"]].add(found["step"])
    return names["step.started"], names["step.reused"]


def leaves(steps: set[str]) -> set[str]:
    """Without groups, which are gathered again also if their members keep their results."""
    return {name for name in steps if not (name.startswith("parts") and name.endswith("]"))}


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(ROWS, ROWS)
def test_exactly_the_items_with_other_work_run_in_a_fork(before: Rows, after: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patches:
        work_in(Path(folder), patches)
        write_rows(before)
        job = submit(JUDGED)
        write_rows(after)
        child = fork(job, "--spec", "spec.yaml")
        ran, kept = map(leaves, ran_and_kept(child))
        known, wanted = work_of(before), work_of(after)
        if list(before.items()) == list(after.items()):
            assert not ran
            return
        assert ran == {name for name, work in wanted.items() if known.get(name) != work}
        assert kept == wanted.keys() - ran
        fresh = submit(JUDGED)
        for step in ("answer", "judge", "parts"):
            results = [
                orc("show", one, "--json", "--result", step).json() for one in (child, fresh)
            ]
            assert results[0]["output"] == results[1]["output"]
        assert orc("verify", child).code == 0
        assert means(child) == means(fresh)


def means(job: str) -> list[tuple[str, int, float]]:
    groups = orc("scores", job, "--by", "step", "--json").json()["groups"]
    return [(one["score"], one["n"], one["mean"]) for one in groups]


def test_steps_that_a_person_asked_for_run_again_and_the_same_work_after_them_does_not() -> None:
    write_rows({"a": "x", "b": "y"})
    job = submit(JUDGED)
    ran, kept = map(leaves, ran_and_kept(fork(job, "--from", "answer")))
    assert ran == {"answer[a]", "answer[b]"}
    assert kept == work_of({"a": "x", "b": "y"}).keys() - ran


def test_a_changed_template_runs_every_item_again() -> None:
    write_rows({"a": "x", "b": "y"})
    job = submit(JUDGED)
    changed = fork(job, "--set", "steps.judge.value=${{ item.output }}")
    assert {name for name in ran_and_kept(changed)[0] if "judge" in name} == {
        "judge[a]",
        "judge[b]",
    }


def test_a_fork_keeps_what_the_job_had_when_it_was_forked() -> None:
    write_rows({"a": "x", "b": "y"})
    job = submit(JUDGED)
    write_rows({"a": "x", "b": "z"})
    child = fork(job, "--spec", "spec.yaml", "--no-run")
    write_rows({"a": "q", "b": "q"})
    assert orc("resume", job, "--spec", "spec.yaml", "--quiet").code == 0
    assert orc("resume", child, "--quiet").code == 0
    ran, _ = map(leaves, ran_and_kept(child))
    assert {name for name in ran if "answer" in name} == {"answer[b]"}
    assert orc("show", child, "--json", "--result", "answer").json()["output"] == ["x", "z"]
    # A fork of the fork has the items of the fork.
    write_rows({"a": "x", "b": "z", "c": "n"})
    third = fork(child, "--spec", "spec.yaml")
    assert {name for name in ran_and_kept(third)[0] if "answer" in name} == {"answer[c]"}


def test_a_replay_of_a_fork_takes_over_the_same_items() -> None:
    write_rows({"a": "x", "b": "y"})
    Path("replies.yaml").write_text("version: 1\nreplies: {'ask[*]': [{text: said}]}\n")
    job = submit(ASKED, "--replies", "replies.yaml")
    write_rows({"a": "x", "b": "z"})
    child = fork(job, "--spec", "spec.yaml", "--replies", "replies.yaml")
    assert ran_and_kept(child) == ({"ask[b]"}, {"ask[a]"})
    said = orc("replay", child, "--json")
    assert (said.code, said.lines()[-1]["differences"]) == (0, 0), said.err
    replayed = orc("list", "--json").lines()[0]["job_id"]
    assert ran_and_kept(replayed) == ({"ask[b]"}, {"ask[a]"})


def test_items_of_a_fan_out_that_failed_are_kept() -> None:
    write_rows({"a": "x", "b": "y"})
    spec = STOPPED
    Path("spec.yaml").write_text(spec)
    assert orc("run", "spec.yaml", "--quiet").code == 1
    Path("there").touch()
    child = fork("latest")
    assert ran_and_kept(child) == ({"each[b]"}, {"each[a]"})


def test_items_whose_results_were_removed_run_again() -> None:
    write_rows({"a": "x" * 20_000, "b": "y"})
    job = submit(JUDGED)
    write_rows({"a": "x" * 20_000, "b": "z"})
    child = fork(job, "--spec", "spec.yaml", "--no-run")
    assert orc("prune", "--job", job, "--yes").code == 0
    assert orc("resume", child, "--quiet").code == 0
    output = orc("show", child, "--json", "--result", "answer").json()["output"]
    assert output == ["x" * 20_000, "z"]
    assert orc("verify", child).code == 0
