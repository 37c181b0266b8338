"""run, resume, cancel and demo: what they print, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.command_line import EXAMPLES, FAILING, PASSING, TINY_SPEC, orc, submit, write
from tests.cli.conftest import Kept

ASKING = "project: asking\nprovider: replay\nsteps: {ask: {prompt: hi}}\n"
# Nothing listens on port 1 of the loopback.
NOBODY = "http://127.0.0.1:1"


def test_run_json_begins_with_the_launch_and_ends_with_the_result(here: Path) -> None:
    said = orc("run", TINY_SPEC, "-p", "replay", "--json")
    first, *changes, last = said.lines()

    assert said.code == 0
    assert said.err == ""
    assert first["event"] == "launch"
    assert last == {
        "event": "done",
        "job_id": first["job_id"],
        "status": "succeeded",
        "cost_usd": None,
        "tokens": 4762,
    }
    assert [c["step"] for c in changes if c["event"] == "step.started"][0::3] == ["architect", "qa"]
    assert {c["job_id"] for c in changes} == {first["job_id"]}


def test_run_talks_on_stderr_one_line_a_change_and_leaves_stdout_alone(here: Path) -> None:
    said = orc("run", write("spec.yaml", PASSING))

    assert said.code == 0
    assert said.out == ""
    assert "\x1b" not in said.err
    lines = said.err.splitlines()
    assert lines[0].endswith(f"passing: 2 steps, in {here / 'runs' / lines[0].split()[0]}")
    assert [line.split("  ", 1)[1].split(" in ")[0] for line in lines[1:5]] == [
        "first started",
        "first succeeded",
        "second started",
        "second succeeded",
    ]
    assert lines[5].endswith("succeeded: 2 of 2 steps")


@pytest.mark.parametrize("option", ["--quiet", "-q"])
def test_quiet_is_silent_about_success_and_not_about_failure(option: str) -> None:
    passing = orc("run", write("passing.yaml", PASSING), option)
    failing = orc("run", write("failing.yaml", FAILING), option)

    assert (passing.code, passing.out, passing.err) == (0, "", "")
    assert failing.code == 1
    assert "next: orc resume job_" in failing.err


def test_a_failed_job_ends_with_1_its_reason_and_the_next_command() -> None:
    said = orc("run", write("spec.yaml", FAILING))
    job = orc("list", "--json").json()["job_id"]

    assert said.code == 1
    assert "  broken: exit_code: the command exited with code 3: reason\n" in said.err
    assert said.err.splitlines()[-1] == f"  next: orc resume {job}"


def test_a_failed_job_in_json_lists_its_failures() -> None:
    said = orc("run", write("spec.yaml", FAILING), "--json")

    done = said.lines()[-1]
    assert (said.code, done["status"]) == (1, "failed")
    assert [(f["step"], f["kind"]) for f in done["failures"]] == [("broken", "exit_code")]


def test_resume_runs_only_what_had_not_succeeded(here: Path) -> None:
    spec = """\
project: x
steps:
  once: {run: "echo ran >> $ORC_SPEC_DIR/runs.txt"}
  gate: {needs: once, run: "test -e $ORC_SPEC_DIR/open"}
"""
    job = submit(spec)
    write("open", "")
    resumed = orc("resume", "latest", "--json")
    again = orc("resume", job)

    assert resumed.code == 0
    assert (here / "runs.txt").read_text() == "ran\n"
    assert resumed.lines()[-1]["status"] == "succeeded"
    assert again.code == 0
    assert "succeeded: 2 of 2 steps" in again.err


def test_a_job_whose_step_was_retried_can_be_resumed_and_looked_at(here: Path) -> None:
    job = submit(
        "project: x\n"
        "steps: {a: {run: 'test -e $ORC_SPEC_DIR/open', retry: {max_attempts: 2, initial: 0.01s}}}\n"
    )

    assert orc("cancel", job).code == 1
    write("open", "")
    assert orc("resume", job).code == 0
    assert orc("show", job, "--json").json()["steps"][0]["attempts"] == 3


def test_cancel_tells_a_job_that_had_ended_already(kept: Kept) -> None:
    said = orc("cancel", kept.failed, "--db", kept.database)
    as_json = orc("cancel", kept.failed, "--json", "--db", kept.database)

    assert said.code == as_json.code == 1
    assert said.err == f"{kept.failed} had ended already: failed\n"
    assert as_json.json() == {"job_id": kept.failed, "status": "failed"}


@pytest.mark.parametrize(
    "command", ["show", "tail", "resume", "cancel", "export", "verify", "graph"]
)
def test_a_job_that_is_not_there_ends_with_6(command: str, kept: Kept, here: Path) -> None:
    no_job = orc(command, "job_nobody", "--db", kept.database)
    no_ledger = orc(command, "job_nobody", "--db", here / "none.db")

    assert (no_job.code, no_ledger.code) == (6, 6)
    assert "`orc list` shows them" in no_job.err
    assert f"there is no ledger at {here / 'none.db'}" in no_ledger.err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run",),
        ("run", "a.yaml", "b.yaml"),
        ("run", "a.yaml", "--nonsense"),
        ("list", "-n", "0"),
        ("list", "-n", "x"),
        ("validate",),
    ],
    ids=" ".join,
)
def test_a_misspelt_command_line_ends_with_2_and_a_pointer_to_the_help(
    arguments: tuple[str, ...], here: Path
) -> None:
    said = orc(*arguments)

    assert said.code == 2
    assert said.out == ""
    assert "-h' for help" in said.err
    assert "Traceback" not in said.err
    assert list(here.iterdir()) == []


def test_a_resume_takes_no_other_provider_and_no_nonsense_for_a_timeout(kept: Kept) -> None:
    other = orc("resume", kept.failed, "-p", "ollama", "--db", kept.database)
    nonsense = orc("resume", kept.failed, "--timeout", "soon", "--db", kept.database)

    assert (other.code, nonsense.code) == (2, 2)
    assert "only --provider replay can replace them" in other.err
    assert "such as 90, 90s, 15m" in nonsense.err


def test_help_names_every_command_on_one_line_and_ends_with_0() -> None:
    said = orc("--help")
    commands = said.out.split("Commands:\n")[1].splitlines()

    assert said.code == 0
    assert "list-runs" not in said.out
    assert not [line for line in commands if line.endswith("...")]
    assert orc("run", "-h").code == 0
    assert orc("--version").out.startswith("orc ")
    assert orc().code == 2


@pytest.mark.parametrize("command", [("list",), ("run", "spec.yaml"), ("verify",), ("rebuild",)])
def test_a_database_that_is_no_ledger_is_left_alone(command: tuple[str, ...], here: Path) -> None:
    write("spec.yaml", PASSING)
    (here / "folder").mkdir()
    write("notes.txt", "no ledger")
    with sqlite3.connect("foreign.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = {name: Path(name).read_bytes() for name in ("notes.txt", "foreign.db")}

    for name, reason in (
        ("folder", "is a folder"),
        ("notes.txt", "not an SQLite database"),
        ("foreign.db", "not a ledger of orc"),
    ):
        said = orc(*command, "--db", here / name)
        assert said.code == 2, (name, said)
        assert reason in said.err
        assert str(here / name) in said.err
    assert {name: Path(name).read_bytes() for name in before} == before
    assert not (here / "runs").exists()


def test_a_ledger_whose_folder_is_missing_is_not_made(here: Path) -> None:
    said = orc("run", write("spec.yaml", PASSING), "--db", here / "nowhere" / "runs.db")

    assert said.code == 2
    assert "its folder does not exist" in said.err


def test_browse_without_a_ledger_ends_before_it_begins() -> None:
    said = orc("browse", "--no-open")

    assert said.code == 6
    assert "there is no ledger" in said.err


def test_run_folders_go_where_the_option_says(here: Path) -> None:
    job = submit(PASSING, "--runs-dir", here / "elsewhere")

    assert (here / "elsewhere" / job / "manifest.json").exists()
    assert orc("show", job, "--json").json()["folder"] == str(here / "elsewhere" / job)
    assert not (here / "runs").exists()


def test_an_ollama_that_does_not_answer_ends_with_7_and_two_ways_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", NOBODY)
    monkeypatch.setenv("MAX_RETRIES", "1")
    said = orc("run", TINY_SPEC)

    assert said.code == 7
    assert f"Ollama does not answer at {NOBODY}" in said.err
    assert "`ollama serve`" in said.err
    assert "--provider replay" in said.err


@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "ftp://127.0.0.1"])
def test_an_address_of_ollama_that_is_none_ends_with_7_before_there_is_a_job(
    url: str, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", url)
    said = orc("run", TINY_SPEC)

    assert said.code == 7
    assert "OLLAMA_BASE_URL must look like http://localhost:11434" in said.err
    assert list(here.iterdir()) == []


def test_the_environment_switches_the_provider_of_a_spec(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROVIDER", "replay")
    said = orc("run", TINY_SPEC, "--dry-run")

    assert "architect: replay/" in said.out


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there are no recorded replies at replies.yaml; name a file of them"),
        ("replies: {ask: [", "replies.yaml:2:1: not valid YAML"),
        ("replies: {ask: one}", "replies.ask must be a list"),
        ("answers: {}", "a key `replies`"),
        ("replies: {ask: [{text: x, colour: red}]}", "unknown key 'colour'"),
    ],
)
def test_recorded_replies_that_cannot_be_used_end_with_2_before_there_is_a_job(
    content: str | None, reason: str, here: Path
) -> None:
    spec = write("spec.yaml", ASKING)
    if content is not None:
        write("replies.yaml", content + "\n")
    said = orc("run", spec, "--replies", "replies.yaml")

    assert said.code == 2
    assert reason in said.err
    assert not (here / "runs.db").exists()


def test_recorded_replies_stand_beside_the_spec_by_default() -> None:
    spec = write("spec.yaml", ASKING)
    missing = orc("run", spec)
    write("spec.replay.yaml", "replies: {ask: [hello]}\n")

    assert missing.code == 2
    assert "spec.replay.yaml" in missing.err
    assert orc("run", spec).code == 0


def test_inputs_reach_the_steps_in_their_types() -> None:
    spec = """\
project: x
inputs:
  count: {type: integer}
  tags: {type: list, default: [a]}
  title: {default: untitled}
steps:
  all: {value: ["${{ inputs.count }}", "${{ inputs.tags }}", "${{ inputs.title }}"]}
"""
    job = submit(spec, "-i", "count=3", "-i", 'tags=["b","c"]', "--input", "title=a = b")
    events = orc("tail", job, "--step", "all", "--type", "step.succeeded", "--json").json()

    assert events["output"] == {"value": [3, ["b", "c"], "a = b"]}


def test_strict_makes_a_tolerated_failure_end_with_1() -> None:
    spec = write("spec.yaml", 'project: x\nsteps: {a: {run: "exit 1", continue_on_error: true}}\n')

    assert orc("run", spec).code == 0
    assert orc("run", spec, "--strict").code == 1


def test_output_dir_gets_the_files_and_somebodys_work_is_left_alone(here: Path) -> None:
    spec = write("spec.yaml", f"{PASSING}output_dir: build\n")
    copied = here / "build" / "first.txt"
    fresh = orc("run", spec)
    content = copied.read_text()
    copied.write_text("somebody's work")
    refused = orc("run", spec, "--json")
    job = refused.lines()[0]["job_id"]
    kept_content = copied.read_text()
    forced = orc("resume", job, "--force")

    assert (fresh.code, content) == (0, "one")
    assert f"copied to: {here / 'build'}" in fresh.err
    assert (refused.code, kept_content) == (7, "somebody's work")
    assert refused.lines()[-1]["left_alone"] == ["first.txt"]
    assert (forced.code, copied.read_text()) == (0, "one")


@pytest.mark.parametrize("own", ["", "output_dir: build\n"])
def test_an_output_dir_of_the_command_line_is_in_place_of_the_specs(here: Path, own: str) -> None:
    said = orc("run", write("spec.yaml", PASSING + own), "--output-dir", "there")
    assert said.code == 0, said.err
    assert (here / "there/first.txt").read_text() == "one"
    assert not (here / "build").exists()
    (here / "there/first.txt").unlink()
    assert orc("resume", "latest").code == 0
    assert (here / "there/first.txt").read_text() == "one"
    assert not (here / "build").exists()


@pytest.mark.parametrize(("text", "command"), [(PASSING, "resume"), (FAILING, "export")])
def test_publishing_an_ended_job_again_removes_what_a_killed_process_left(
    here: Path, text: str, command: str
) -> None:
    folder = here / "runs" / submit(text)
    (folder / "outputs" / ".first.txt.99999-7.orc-tmp").write_text("half")
    assert orc(command, "latest").code == 0
    assert not list(folder.rglob("*.orc-tmp"))


def test_what_was_left_alone_is_named_with_the_command_that_overwrites_it(here: Path) -> None:
    (here / "build").mkdir()
    write("build/first.txt", "somebody's work")
    said = orc("run", write("spec.yaml", f"{PASSING}output_dir: build\n"))
    job = orc("list", "--json").json()["job_id"]

    assert "orc did not write what is there now: first.txt" in said.err
    assert f"orc resume {job} --force" in said.err
    assert orc("run", "spec.yaml", "--force").code == 0


def test_commands_see_no_variable_that_the_spec_does_not_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "PASSED_ON", "PYTHONPATH"):
        monkeypatch.setenv(name, f"value of {name}")
    write(
        "probe.py",
        "import os\ndef environment():\n"
        "    return ''.join(f'{name}={value}\\n' for name, value in os.environ.items())\n",
    )
    job = submit(
        """\
project: x
env: {PASSED_ON: null}
steps:
  shell: {run: env}
  words: {run: [env], env: {OWN: mine}}
  function: {python: "probe:environment"}
"""
    )
    events = {
        event["step"]: event["output"]["value"]
        for event in orc("tail", job, "--type", "step.succeeded", "--json").lines()
    }

    for step in ("shell", "words", "function"):
        names = {line.partition("=")[0] for line in events[step].splitlines()}
        assert names <= {
            "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_",
            "PASSED_ON", "OWN",
        } | {name for name in names if name.startswith("ORC_")}  # fmt: skip
        assert "PASSED_ON=value of PASSED_ON" in events[step]
    assert "OWN=mine" in events["words"]
    assert "OWN" not in events["shell"]


def test_demo_runs_the_example_and_says_where_to_look_next(here: Path) -> None:
    said = orc("demo")
    as_json = orc("demo", "--json", "--quiet")

    assert said.code == as_json.code == 0
    assert said.out == ""
    assert "orc show latest" in said.err
    assert as_json.err == ""
    assert as_json.lines()[-1]["status"] == "succeeded"
    assert (here / "src" / "generated" / "main.py").exists()


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        ("UPDATE events SET data = replace(data, 'first', 'worst')", "event 4 was changed"),
        ("DELETE FROM events", "event 4 is missing"),
    ],
)
def test_verify_ends_with_5_when_an_event_was_changed_or_removed(tamper: str, found: str) -> None:
    job = submit(PASSING)
    with sqlite3.connect("runs.db") as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        assert connection.execute(f"{tamper} WHERE version = 4").rowcount == 1
    connection.close()
    said = orc("verify", job)
    verdict = orc("verify", "--json")

    assert (said.code, verdict.code) == (5, 5)
    assert found in said.err
    assert any(found in problem for problem in verdict.lines()[0]["problems"])


@pytest.mark.parametrize("name", ["outputs/passing/first.txt", "events.jsonl", "manifest.json"])
def test_verify_ends_with_5_when_a_published_file_was_changed_or_removed(
    name: str, here: Path
) -> None:
    job = submit(PASSING)
    path = here / "runs" / job / name
    before = path.read_bytes()
    path.write_bytes(before.replace(b"o", b"0", 1))
    changed = orc("verify", job)
    path.unlink()
    removed = orc("verify", job)

    assert (changed.code, removed.code) == (5, 5)
    assert f"{name} was changed" in changed.err
    assert f"{name} is missing" in removed.err
    assert orc("export", job).code == 0
    assert orc("verify", job).code == 0


def test_the_examples_are_valid_specs() -> None:
    specs = [path for path in EXAMPLES.glob("*.yaml") if ".replay." not in path.name]

    assert orc("validate", *specs).code == 0
    assert json.loads(orc("validate", "--json", specs[0]).out)["valid"] is True
