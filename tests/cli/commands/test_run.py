"""`orc run`: its output, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import FAILING, PASSING, TINY_SPEC, orc, submit, write

ASKING = "project: asking\nprovider: replay\nsteps: {ask: {prompt: hi}}\n"
# Nothing listens on port 1 of the loopback.
NOBODY = "http://127.0.0.1:1"


def test_dry_run_shows_the_graph_and_the_models_and_submits_nothing(here: Path) -> None:
    said = orc("run", TINY_SPEC, "--dry-run", "-p", "ollama/tiny")
    as_json = orc("run", TINY_SPEC, "--dry-run", "--json")

    assert said.code == as_json.code == 0
    assert "architect: ollama/tiny, at most 3 attempts" in said.out
    assert as_json.json()["steps"]["qa"] == ["builder", "docs"]
    assert list(here.iterdir()) == []


def test_run_json_begins_with_the_launch_and_ends_with_the_result(here: Path) -> None:
    said = orc("run", TINY_SPEC, "-p", "replay", "--json")
    first, *changes, last = said.lines()

    assert said.code == 0
    assert said.err == ""
    assert first["event"] == "launch"
    cost_usd = last.pop("cost_usd")
    assert 0 < cost_usd < 0.01
    assert last == {
        "event": "done",
        "job_id": first["job_id"],
        "status": "succeeded",
        "tokens": 4762,
    }
    assert [c["step"] for c in changes if c["event"] == "step.started"][0::3] == ["architect", "qa"]
    assert {c["job_id"] for c in changes} == {first["job_id"]}


def test_run_prints_each_change_on_stderr_and_nothing_on_stdout(here: Path) -> None:
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
    assert lines[-1] == f"  details: orc show {lines[0].split()[0]}"


@pytest.mark.parametrize("option", ["--quiet", "-q"])
def test_quiet_prints_only_failures(option: str) -> None:
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


def test_run_folders_go_where_the_option_says(here: Path) -> None:
    job = submit(PASSING, "--runs-dir", here / "elsewhere")

    assert (here / "elsewhere" / job / "manifest.json").exists()
    assert orc("show", job, "--json").json()["folder"] == str(here / "elsewhere" / job)
    assert not (here / "runs").exists()


def test_an_ollama_that_does_not_answer_ends_with_7_and_two_remedies(
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
def test_an_invalid_address_of_ollama_ends_with_7_before_there_is_a_job(
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
    "option",
    ["--replies x.yaml", "--strict", "--record x.yaml", "--stream a", "--tag t", "--force",
     "--keep-work", "--quiet"],
)  # fmt: skip
def test_a_dry_run_refuses_what_only_a_run_uses(option: str) -> None:
    said = orc("run", TINY_SPEC, "--dry-run", *option.split())
    assert said.code == 2
    assert f"{option.split()[0]} has no effect: --dry-run submits nothing" in said.err


def test_a_dry_run_and_a_plan_show_the_steps_until_those_named(here: Path) -> None:
    Path("s.yaml").write_text(
        "project: p\nsteps: {a: {value: 1}, b: {value: 2, needs: a}, c: {value: 3}}\n"
    )
    shown = orc("run", "s.yaml", "--dry-run", "--until", "b", "--json").json()["steps"]
    assert shown == {"a": [], "b": ["a"]}
    planned = orc("plan", "s.yaml", "--until", "b", "--json").json()["steps"]
    assert [step["step"] for step in planned] == ["a", "b"]
    for command in (("run", "s.yaml", "--dry-run"), ("plan", "s.yaml")):
        said = orc(*command, "--until", "x")
        assert said.code == 2
        assert "--until" in said.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            None,
            "there are no recorded replies at replies.yaml; name their file with --replies FILE",
        ),
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


def test_output_dir_gets_the_files_and_changed_files_are_not_overwritten(here: Path) -> None:
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


def test_files_that_were_not_copied_are_listed_with_the_next_command(here: Path) -> None:
    (here / "build").mkdir()
    write("build/first.txt", "somebody's work")
    said = orc("run", write("spec.yaml", f"{PASSING}output_dir: build\n"))
    job = orc("list", "--json").json()["job_id"]

    assert "files are there that orc did not write: first.txt" in said.err
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


@pytest.mark.parametrize(
    "output", ["schema: {type: object, required: [b]}", 'schema: "${{ inputs.shape }}"']
)
def test_the_output_of_a_command_is_checked_against_its_schema(output: str) -> None:
    spec = (
        "project: p\ninputs: {shape: {type: object, default: {required: [b]}}}\n"
        f"steps: {{a: {{run: 'echo \"{{}}\"', output: {{format: json, {output}}}}}}}\n"
    )
    said = orc("run", write("spec.yaml", spec), "-q")
    assert said.code == 1
    assert (
        "a: schema: the output does not fit the schema: $: 'b' is a required property" in said.err
    )
