"""`resume --spec`, `--only` and `--until`: what runs again, what is kept, what is printed."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from orc.ledger import JobId, OwnerLock, open_ledger
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel
from tests.cli.command_line import Said, orc, submit, write

SPEC = """\
project: demo
inputs: {word: {default: hi}, other: {default: x}}
steps:
  a: {run: echo a, files: [{path: a.txt, content: A}]}
  b:
    needs: a
    run: cat a.txt
    files: [{path: b.txt, content: "B ${{ inputs.word }}"}]
  c: {value: "${{ steps.b.output }}!"}
  d: {run: "echo d > d.txt; echo art > $ORC_ARTIFACTS/art.txt", files: [d.txt]}
"""


def amend(text: str, *options: str | Path) -> Said:
    return orc("resume", "latest", "--spec", write("edited.yaml", text), *options)


def attempts() -> dict[str, int]:
    """The number of attempts of each step of the latest job."""
    steps = orc("show", "latest", "--json").json()["steps"]
    return {step["step"]: step["attempts"] for step in steps}


def planned(said: Said) -> dict[str, Any]:
    return next(line for line in said.lines() if line["event"] == "amended")


def test_what_an_edit_changed_runs_again_and_the_rest_is_kept() -> None:
    submit(SPEC)
    said = amend(SPEC.replace("cat a.txt", "cat a.txt a.txt"))
    assert said.code == 0
    assert "2 steps to run, 2 keep their results" in said.err
    assert "  b: changed: run\n  c: after b\n" in said.err
    assert said.err.index("b: changed") < said.err.index("b started")
    assert attempts() == {"a": 1, "b": 2, "c": 2, "d": 1}
    assert orc("verify").code == 0
    types = [line["type"] for line in orc("tail", "latest", "--json").lines()]
    assert types.count("job.amended") == 1
    assert (Path("runs") / jobs()[0] / "inputs/spec.yaml").read_text().count("a.txt a.txt") == 1


def jobs() -> list[str]:
    return [line["job_id"] for line in orc("list", "--json").lines()]


def test_steps_are_added_and_removed_with_their_files() -> None:
    job_id = submit(SPEC)
    without_d = SPEC[: SPEC.index("  d:")]
    said = amend(f"{without_d}  e: {{run: ls, needs: c}}\n", "--json")
    assert planned(said) == {
        "event": "amended",
        "job_id": job_id,
        "runs": {"e": "new"},
        "kept": ["a", "b", "c"],
        "removed": ["d"],
        "rescored": [],
    }
    assert attempts() == {"a": 1, "b": 1, "c": 1, "e": 1}
    folder = Path("runs") / job_id
    assert not (folder / "outputs/demo/d.txt").exists()
    assert not (folder / "artifacts/d/art.txt").exists()
    assert [line["path"] for line in orc("show", "latest", "-f", "--json").lines()] == [
        "demo/a.txt",
        "demo/b.txt",
    ]
    assert orc("verify").code == 0
    shutil.rmtree("runs")
    assert orc("export", "latest").code == 0
    assert not (folder / "outputs/demo/d.txt").exists()
    assert orc("verify").code == 0
    # And back: the step runs as a new one, and its attempt numbers continue.
    assert amend(SPEC).code == 0
    assert attempts() == {"a": 1, "b": 1, "c": 1, "d": 2}
    assert (folder / "outputs/demo/d.txt").exists()


def test_rebuilt_tables_of_an_amended_job_are_the_same() -> None:
    submit(SPEC)
    amend(SPEC[: SPEC.index("  d:")].replace("echo a", "echo aa"))

    def rows() -> list[Any]:
        with sqlite3.connect("runs.db") as connection:
            return [
                connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
                for table in ("jobs", "steps", "attempts", "files")
            ]

    before = rows()
    assert orc("rebuild").code == 0
    assert rows() == before


def test_a_changed_input_reruns_only_steps_that_use_it() -> None:
    submit(SPEC, "-i", "other=y")
    said = amend(SPEC, "-i", "word=ho", "--json")
    assert planned(said)["runs"] == {"b": "changed: inputs.word", "c": "after b"}
    said = amend(SPEC.replace("default: hi", "default: hello"), "--json")
    assert planned(said)["runs"] == {}, "the value that was given stays"
    said = amend(SPEC.replace("default: x", "default: z"), "--json")
    assert planned(said)["runs"] == {}


def test_a_default_that_was_used_changes_with_the_spec() -> None:
    submit(SPEC)
    said = amend(SPEC.replace("default: hi", "default: hello"), "--json")
    assert planned(said)["runs"] == {"b": "changed: inputs.word", "c": "after b"}


def test_limits_can_be_amended_and_nothing_runs_again() -> None:
    submit(SPEC)
    said = amend(SPEC.replace("run: cat", "timeout: 1m\n    retry: 3\n    run: cat"))
    assert said.code == 0
    assert "nothing runs again: 4 steps keep their results" in said.err
    assert set(attempts().values()) == {1}


def test_how_an_inner_step_is_run_can_be_amended_and_its_results_are_kept() -> None:
    spec = (
        "project: inner\nsteps:\n"
        "  two:\n    steps:\n"
        "      x: {run: echo >> $ORC_SPEC_DIR/x.log}\n"
        "      y: {needs: [x], run: sleep 0.4, timeout: 0.1}\n"
        "  all:\n    for_each: [a, b]\n    steps:\n"
        "      z: {run: echo >> $ORC_SPEC_DIR/z.log}\n"
    )
    submit(spec)
    spec = spec.replace("timeout: 0.1", "timeout: 30").replace("z.log}", "z.log, retry: 3}")
    amended = amend(spec, "--json").lines()[0]
    assert (amended["runs"], amended["kept"]) == ({"two": "was failed"}, ["all"])
    assert (Path("x.log").read_text(), Path("z.log").read_text()) == ("\n", "\n\n")
    assert orc("show", "latest", "--json").json()["status"] == "succeeded"
    # Whether a failure inside counts is part of the outer step's result.
    spec = spec.replace("retry: 3", "continue_on_error: true")
    assert amend(spec, "--json").lines()[0]["runs"] == {"all": "changed: steps"}


def test_an_unchanged_spec_leaves_a_succeeded_job_as_it_is() -> None:
    job_id = submit(SPEC)
    before = len(orc("tail", job_id, "--json").lines())
    assert amend(SPEC).code == 0
    assert len(orc("tail", job_id, "--json").lines()) == before


def test_a_failed_job_continues_with_the_corrected_step_and_the_skipped_ones() -> None:
    failing = SPEC.replace("cat a.txt", "exit 3")
    assert orc("run", write("spec.yaml", failing)).code == 1
    said = amend(SPEC, "--json")
    assert said.code == 0
    assert planned(said)["runs"] == {"b": "changed: run", "c": "after b"}
    assert attempts() == {"a": 1, "b": 2, "c": 1, "d": 1}


def test_a_cancelled_job_can_be_amended() -> None:
    submit(SPEC, "--until", "a")
    assert orc("cancel", "latest").code == 0
    said = amend(SPEC, "--json")
    assert said.code == 0
    assert planned(said)["runs"] == dict.fromkeys("bcd", "was cancelled")


def test_a_late_cancel_signal_does_not_end_an_amended_job(here: Path) -> None:
    failing = SPEC.replace("cat a.txt", "exit 3")
    assert orc("run", write("spec.yaml", failing)).code == 1
    with open_ledger(here / "runs.db", projector=ReadModel(), mask=NO_MASK) as ledger:
        ledger.send_signal(JobId(jobs()[0]), kind="cancel", data={}, created_at="2026-01-01")
    # Long enough for the owner to read the signals.
    assert amend(SPEC.replace("cat a.txt", "sleep 0.6")).code == 0


def test_files_of_removed_steps_are_not_delivered() -> None:
    spec = SPEC.replace("project: demo", "project: demo\noutput_dir: out")
    submit(spec)
    shutil.rmtree("out")
    assert amend(spec[: spec.index("  d:")]).code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.txt", "b.txt"]


def test_a_running_job_is_not_amended(here: Path) -> None:
    job_id = submit(SPEC)
    lock = OwnerLock(here / "runs.db", JobId(job_id))
    lock.acquire()
    try:
        said = amend(SPEC.replace("echo a", "echo b"))
    finally:
        lock.release()
    assert said.code == 75
    assert "job.amended" not in orc("show", "latest", "-e").out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SPEC.replace("demo", "other"), "the job's files are under its project 'demo'"),
        (SPEC.replace("steps.b.output", "steps.bb.output"), "there is no step 'bb'"),
        ("project: demo\nsteps: [", "not valid YAML"),
    ],
)
def test_a_spec_that_cannot_be_used_changes_nothing(text: str, message: str) -> None:
    submit(SPEC)
    before = len(orc("tail", "latest", "--json").lines())
    said = amend(text)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert len(orc("tail", "latest", "--json").lines()) == before


ASKING = """\
project: asking
steps:
  one: {prompt: "One?"}
  two: {prompt: "Two, after ${{ steps.one.output }}?"}
"""
REPLIES = """\
version: 1
replies:
  one: [{text: first}]
  two: [{text: second}]
"""


def test_the_provider_of_the_submission_is_not_a_change() -> None:
    write("spec.replay.yaml", REPLIES)
    submit(ASKING, "-p", "replay")
    said = amend(ASKING.replace("Two,", "And two,"), "--json")
    assert said.code == 0, said.err
    assert planned(said)["runs"] == {"two": "changed: messages"}
    # The first recorded reply answers it, since the amendment reset its conversation.
    assert attempts() == {"one": 1, "two": 2}
    replayed = orc("replay", "latest")
    assert replayed.code == 0, replayed.err


def test_the_current_environment_is_not_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    write("spec.replay.yaml", REPLIES)
    submit(ASKING, "-p", "replay")
    for name, value in (("TEMPERATURE", "1"), ("TIMEOUT_S", "5"), ("PROVIDER", "openai")):
        monkeypatch.setenv(name, value)
    assert planned(amend(ASKING, "--json"))["runs"] == {}


def test_until_runs_a_step_and_what_it_needs() -> None:
    said = orc("run", write("spec.yaml", SPEC), "--until", "b")
    assert said.code == 0
    assert "the requested steps have ended; the other steps are pending" in said.err
    assert "next: orc resume" in said.err
    assert attempts() == {"a": 1, "b": 1, "c": 0, "d": 0}
    shown = orc("show", "latest", "--json").json()
    assert shown["status"] == "interrupted"
    assert orc("resume", "latest").code == 0
    assert attempts() == {"a": 1, "b": 1, "c": 1, "d": 1}


def test_until_starts_no_other_step_that_could_begin_at_once() -> None:
    text = """\
project: demo
steps:
  a: {run: echo a}
  asked: {approval: {message: "Publish?"}}
  each: {for_each: [1, 2], value: "${{ item }}"}
  group: {steps: {x: {value: 1}}}
  rounds: {loop: {until: "true", max_iterations: 2}, steps: {y: {value: 1}}}
  maybe: {if: always(), value: 1}
"""
    orc("run", write("spec.yaml", text), "--until", "a")
    others = {"asked": 0, "each": 0, "group": 0, "rounds": 0, "maybe": 0}
    assert attempts() == {"a": 1, **others}
    assert orc("resume", "latest").code == 3


def test_only_runs_some_steps_of_a_resumed_job() -> None:
    submit(SPEC, "--until", "a")
    said = orc("resume", "latest", "--only", "d,a", "--json")
    assert said.code == 0
    assert said.lines()[-1]["status"] == "interrupted"
    assert attempts() == {"a": 1, "b": 0, "c": 0, "d": 1}
    assert orc("resume", "latest", "--only", "c").code == 0
    assert orc("show", "latest", "--json").json()["status"] == "succeeded"


def test_until_a_failing_step_is_a_failure_and_the_job_can_be_resumed() -> None:
    failing = SPEC.replace("cat a.txt", 'test -e "$ORC_SPEC_DIR"/there')
    said = orc("run", write("spec.yaml", failing), "--until", "b")
    assert said.code == 1
    assert "b: exit_code" in said.err
    write("there", "")
    assert orc("resume", "latest").code == 0


@pytest.mark.parametrize("command", ["run", "resume"])
def test_an_unknown_step_name_is_refused(command: str) -> None:
    submit(SPEC)
    arguments = ("spec.yaml", "--until", "q") if command == "run" else ("latest", "--only", "q")
    said = orc(command, *arguments)
    assert said.code == 2
    assert "there is no step 'q'; known: a, b, c, d" in said.err


@pytest.mark.parametrize(
    ("name", "outer"), [("two/x", "two"), ("all[a]", "all"), ("all[a]/z", "all")]
)
def test_an_inner_step_is_refused_with_the_step_to_name(name: str, outer: str) -> None:
    spec = "project: p\nsteps:\n  two: {steps: {x: {value: 1}}}\n"
    spec += "  all: {for_each: [a], steps: {z: {value: 1}}}\n"
    submit(spec)
    for option, *command in (("--until", "run", "spec.yaml"), ("--from", "fork", "latest")):
        said = orc(*command, option, name)
        assert said.code == 2
        assert f"{option}: {name!r} is inside step {outer!r}" in said.err
        assert f"use {option} {outer}" in said.err


def test_spec_and_only_can_be_combined() -> None:
    submit(SPEC)
    assert amend(SPEC.replace("echo a", "echo aa"), "--only", "b").code == 0
    assert attempts() == {"a": 2, "b": 2, "c": 1, "d": 1}
    assert amend(SPEC, "--only", "nobody").code == 2


def test_a_tolerated_failure_runs_again_when_it_is_no_longer_tolerated() -> None:
    tolerant = SPEC.replace("run: cat a.txt", "continue_on_error: true\n    run: exit 1")
    submit(tolerant)
    said = amend(tolerant.replace("    continue_on_error: true\n", ""), "--json")
    assert said.code == 1
    assert planned(said)["runs"] == {"b": "changed: continue_on_error", "c": "after b"}


def test_the_jobs_own_model_can_be_edited(monkeypatch: pytest.MonkeyPatch) -> None:
    write("spec.replay.yaml", REPLIES)
    spec = f"provider: ollama\nmodel: small\n{ASKING}"
    submit(spec, "-p", "replay")
    monkeypatch.setenv("PROVIDER", "openai")
    said = amend(spec.replace("small", "large"), "--json")
    assert planned(said)["runs"] == {"one": "changed: model", "two": "changed: model"}
    assert planned(amend(spec.replace("small", "large"), "--json"))["runs"] == {}
