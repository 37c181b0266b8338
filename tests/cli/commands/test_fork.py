"""`orc fork`: a new job with another job's results, which does not depend on that job."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.settings import parse_sets, set_values
from tests.cli.command_line import Said, orc, submit, write
from tests.cli.jobs.test_amend import ASKING, REPLIES, SPEC
from tests.projections.support import tamper


def plan(said: Said) -> dict[str, Any]:
    assert said.code == 0, said.err
    return next(line for line in said.lines() if line["event"] == "forked")


def types(job_id: str) -> list[str]:
    return [line["type"] for line in orc("tail", job_id, "--json").lines()]


def test_a_fork_has_all_results_up_to_a_step_and_runs_the_rest() -> None:
    parent = submit(SPEC)
    shutil.rmtree("runs")
    said = orc("fork", parent, "--from", "b")
    assert said.code == 0, said.err
    assert "2 steps reused, 2 to run\n  b: asked for\n  c: after b\n" in said.err
    shown = orc("show", "latest", "--json").json()
    assert shown["forked_from"] == parent
    assert {step["step"]: (step["attempts"], step["reused_from"]) for step in shown["steps"]} == {
        "a": (0, f"{parent}/a"),
        "b": (1, None),
        "c": (1, None),
        "d": (0, f"{parent}/d"),
    }
    assert types(shown["job_id"])[:4] == [
        "job.submitted",
        "step.reused",
        "step.reused",
        "job.started",
    ]
    text = orc("show", "latest").out
    assert f"forked     from {parent}" in text
    assert f"from {parent} (fork)" in text


def test_a_fork_does_not_depend_on_its_parent() -> None:
    parent = submit(SPEC)
    said = orc("fork", parent, "--json")
    assert plan(said)["runs"] == {}
    child = plan(said)["job_id"]
    folder = Path("runs") / child
    assert orc("verify", child).code == 0
    assert (folder / "outputs/demo/d.txt").read_text() == "d\n"
    assert (folder / "artifacts/d/art.txt").read_text() == "art\n"
    assert (folder / "logs/a.reused.log").read_text() == "a\n"
    assert json.loads((folder / "manifest.json").read_text())["forked_from"] == parent
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree("runs")
    assert orc("export", child).code == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    # Also if the parent's events are removed.
    tamper(Path("runs.db"), f"DELETE FROM events WHERE job_id = '{parent}'")
    assert orc("verify", child, "--json").lines()[0]["problems"] == []
    assert orc("rerun", child, "--step", "c").code == 0


def test_the_files_that_a_fork_has_from_its_parent_are_delivered_too() -> None:
    parent = submit(SPEC.replace("project: demo", "project: demo\noutput_dir: out"))
    shutil.rmtree("out")
    assert orc("fork", parent, "--from", "c").code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.txt", "b.txt", "d.txt"]


def test_a_fork_of_a_fork_names_who_did_the_work() -> None:
    parent = submit(SPEC)
    orc("fork", parent, "--from", "c")
    orc("fork", "latest")
    steps = orc("show", "latest", "--json").json()["steps"]
    assert [step["reused_from"].partition("/")[0] == parent for step in steps] == [
        True,
        True,
        False,
        True,
    ]


def test_a_set_value_runs_the_changed_step_and_its_dependents() -> None:
    parent = submit(SPEC)
    said = orc("fork", parent, "--set", "inputs.word=ho", "--json")
    assert plan(said)["runs"] == {"b": "changed: inputs.word", "c": "after b"}
    said = orc(
        "fork", parent, "--set", "steps.d.run=echo D > d.txt", "--set", "steps.c.value=3", "--json"
    )
    assert plan(said)["runs"] == {"c": "changed: needs, value", "d": "changed: run"}
    child = plan(said)["job_id"]
    assert (Path("runs") / child / "outputs/demo/d.txt").read_text() == "D\n"
    # The changed value is in the fork's own spec.
    assert "echo D > d.txt" in (Path("runs") / child / "inputs/spec.yaml").read_text()
    assert plan(orc("fork", child, "--json"))["runs"] == {}


def test_another_model_runs_only_one_step_again() -> None:
    write("spec.replay.yaml", REPLIES)
    parent = submit(ASKING, "-p", "replay")
    said = orc("fork", parent, "--set", "steps.two.model=other", "--json")
    assert plan(said)["runs"] == {"two": "changed: model"}
    calls = [
        line["model"] for line in orc("tail", "latest", "--type", "llm.requested", "--json").lines()
    ]
    assert calls == ["other"]
    assert orc("show", "latest", "--json").json()["calls"] == 1


def test_the_steps_of_the_six_field_form_can_be_set() -> None:
    six = "project: six\ntask_description: any\nprovider: replay\n"
    said = orc("run", write("spec.yaml", six), "--until", "architect", "--replies", write("r.yaml", """\
version: 1
replies:
  architect: [{text: design}]
"""))  # fmt: skip
    assert said.code == 0, said.err
    said = orc("fork", "latest", "--set", "steps.qa.params.temperature=0", "--no-run", "--json")
    assert plan(said)["kept"] == ["architect"]


def test_a_fork_by_an_edited_spec() -> None:
    parent = submit(SPEC)
    edited = write(
        "edited.yaml", SPEC.replace("cat a.txt", "cat a.txt a.txt") + "  e: {value: 1}\n"
    )
    said = orc("fork", parent, "--spec", edited, "--json")
    assert plan(said)["runs"] == {"b": "changed: run", "c": "after b", "e": "new"}
    assert types(parent)[-1] == "job.succeeded", "the parent is left as it is"
    assert orc("verify").code == 0


def test_a_fork_that_is_not_run_waits_for_a_resume() -> None:
    submit(SPEC)
    said = orc("fork", "latest", "--from", "b", "--no-run")
    child = said.out.strip()
    assert said.code == 0
    assert said.err.endswith(f"next: orc resume {child}\n")
    assert types(child) == ["job.submitted", "step.reused", "step.reused"]
    assert orc("resume", child).code == 0
    assert types(child).count("step.started") == 2


def test_a_job_that_failed_or_stopped_can_be_forked() -> None:
    failing = SPEC.replace("cat a.txt", "exit 3")
    assert orc("run", write("spec.yaml", failing)).code == 1
    said = orc("fork", "latest", "--set", "steps.b.run=cat a.txt", "--json")
    assert plan(said)["runs"] == {"b": "changed: run", "c": "after b"}
    assert plan(said)["kept"] == ["a", "d"]


def test_a_tolerated_failure_is_no_result() -> None:
    submit(SPEC.replace("run: cat a.txt", "continue_on_error: true\n    run: exit 1"))
    said = orc("fork", "latest", "--json")
    assert plan(said)["runs"] == {"b": "failed in that job, and was tolerated", "c": "after b"}


def test_a_fork_of_an_amended_job_has_its_current_results() -> None:
    submit(SPEC)
    edited = write("edited.yaml", SPEC.replace("echo a", "echo aa"))
    orc("resume", "latest", "--spec", edited)
    assert plan(orc("fork", "latest", "--json"))["runs"] == {}
    assert orc("replay", "latest").code == 0
    assert orc("verify").code == 0


def test_a_replay_of_a_fork_begins_with_the_same_results() -> None:
    write("spec.replay.yaml", REPLIES)
    parent = submit(ASKING, "-p", "replay")
    orc("fork", parent, "--from", "two")
    said = orc("replay", "latest")
    assert said.code == 0, said.err
    assert "step.reused" in types("latest")


def test_a_removed_result_is_computed_again() -> None:
    parent = submit(SPEC)
    tamper(Path("runs.db"), "DELETE FROM blobs WHERE CAST(content AS TEXT) = 'A'")
    said = orc("fork", parent, "--no-run", "--json")
    assert plan(said)["runs"] == {
        "a": "its result is no longer in the ledger",
        "b": "after a",
        "c": "after b",
    }


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("steps.bb.run=x", "--set steps.bb.run: there is no key 'bb'"),
        ("steps.b.rum=x", "there is no key 'rum'; did you mean 'run'?"),
        ("stps.b.run=x", "there is no key 'stps'; did you mean 'steps'?"),
        ("steps.b=x", "the path of a step's key must be steps.STEP.KEY"),
        ("inputs.wrod=x", "inputs.wrod: the spec has no such input; did you mean 'word'?"),
        ("steps.b.timeout=soon", "steps.b.timeout"),
        (
            "steps.b.files.3.path=x",
            "'3' is not an index of the list, which has 1 element, counted from 0",
        ),
        ("steps.b", "--set: must be PATH=VALUE"),
        ("project=other", "the job's files are under its project 'demo'"),
        ("steps.b.run=cat ${{ steps.q.output }}", "there is no step 'q'"),
    ],
)
def test_a_value_that_cannot_be_set_is_refused_by_name(pair: str, message: str) -> None:
    submit(SPEC)
    said = orc("fork", "latest", "--set", pair)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert "\n" not in said.err.rstrip("\n")
    assert len(orc("list", "--json").lines()) == 1


def test_values_have_the_type_that_they_are_written_in() -> None:
    values, inputs = parse_sets(
        ["a.b=3", "a.c=text", "a.d=true", "a.e={x: [1]}", "a.f=Note: it", "a.g='3'", "inputs.n=1e5",
         "a.h=- x", "a.i=", "a.j=x=y"]
    )  # fmt: skip
    assert list(values.values()) == [
        3,
        "text",
        True,
        {"x": [1]},
        "Note: it",
        "3",
        "- x",
        None,
        "x=y",
    ]
    assert inputs == {"n": "1e5"}, "its own type decides"


@pytest.mark.parametrize(
    "value", ["1e5", "012", "no", "~", "12:30:00", "0o17", "=", "a\nb", "\x85"]
)
def test_a_text_stays_a_text_in_the_spec_that_is_written(value: str) -> None:
    from orc.scheduler.core.source.yaml_source import parse_yaml

    text = set_values("project: p\nsteps: {a: {run: x}}\n", {("steps", "a", "run"): value})
    assert parse_yaml(text, source_name="").value["steps"]["a"]["run"] == value


def test_no_values_leave_the_text_as_it_is() -> None:
    text = "project: p # a comment\n"
    assert set_values(text, {}) == text
    with pytest.raises(UsageProblem):
        set_values(text, {("nope",): 1})


def test_an_input_that_is_set_has_the_type_that_the_spec_says() -> None:
    spec = "project: p\ninputs: {n: {type: integer, default: 1}, s: {default: x}}\nsteps:\n"
    submit(spec + "  a: {value: ['${{ inputs.n }}', '${{ inputs.s }}']}\n")
    assert orc("fork", "latest", "--set", "inputs.n=3", "--set", "inputs.s=3").code == 0
    with sqlite3.connect("runs.db") as connection:
        rows = connection.execute("SELECT output FROM steps ORDER BY step_id").fetchall()
    assert [row[0] for row in rows] == ['[1, "x"]', '[3, "3"]']
    assert orc("fork", "latest", "--set", "inputs.n=three").code == 2


def test_the_condition_of_a_skipped_step_is_evaluated_again_in_a_fork() -> None:
    submit("project: p\nsteps:\n  a: {value: 1}\n  b: {value: 2, if: steps.a.output == 2}\n")

    said = orc("fork", "latest", "--json")

    assert said.code == 0, said
    with sqlite3.connect("runs.db") as connection:
        rows = connection.execute("SELECT status FROM steps ORDER BY step_id").fetchall()
    assert [row[0] for row in rows] == ["succeeded", "skipped"] * 2


def test_a_result_that_is_taken_over_brings_its_tolerated_failures(here: Path) -> None:
    text = (
        "project: p\nsteps:\n  items: {for_each: [0, 1], run: 'exit ${{ item }}', "
        "continue_on_error: true}\n  end: {needs: items, value: x}\n"
    )
    first = submit(text)
    for number in range(2):
        # A fork of a fork, too.
        said = orc("fork", "latest", "--set", f"steps.end.value=y{number}")
        assert "1 tolerated failure" in said.err
        shown = orc("show", "latest", "--json").json()
        assert shown["job_id"] != first
        assert shown["tolerated_failures"]["by_setting"] == {"continue_on_error": {"exit_code": 1}}
    assert orc("verify").code == 0


@pytest.mark.parametrize("option", ["--force", "--keep-work", "--strict"])
def test_a_fork_that_does_not_run_refuses_what_only_a_run_uses(option: str) -> None:
    said = orc("fork", "latest", "--no-run", option)
    assert said.code == 2
    assert f"{option} has no effect: --no-run runs nothing" in said.err
