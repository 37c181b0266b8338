"""Shell completion offers what the command line can name, and reads only local files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orc.cli import completion
from orc.cli.command_table import COMMANDS, load_function
from orc.cli.complete_line import complete_line
from orc.cli.completion import (
    complete_executors,
    complete_providers,
    complete_specs,
    complete_tags,
    complete_templates,
)
from orc.cli.parameters import read_parameters
from tests.cli.command_line import orc, write
from tests.each_case import each_case

SPEC = "project: p\nprovider: replay\ntags: [nightly]\nsteps: {first: {value: 1}, second: {value: 2}}\n"


Completed = Callable[..., list[str]]


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Completed:
    """The completions of the last word of a line, as the script of the shell gets them."""

    def complete(line: str, shell: str = "bash") -> list[str]:
        variables = {
            "_ORC_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(line.count(" ")),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert complete_line(os.environ) == 0
        monkeypatch.delenv("_ORC_COMPLETE")
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.splitlines()

    return complete


@pytest.fixture
def specs(here: Path) -> Path:
    """A folder with specs, and files that are none."""
    write("spec.yaml", SPEC)
    write("spec.replay.yaml", "replies: {}\n")
    write("settings.yaml", "colour: red\n")
    Path("more").mkdir()
    write("more/nightly.yml", "# a comment\ntemplate: app\nproject: n\n")
    Path(".hidden").mkdir()
    write(".hidden/spec.yaml", SPEC)
    os.mkfifo("pipe.yaml")
    return here


def test_specs_are_yaml_files_that_look_like_specs(specs: Path) -> None:
    assert complete_specs("") == ["more/nightly.yml", "spec.yaml"]
    assert complete_specs("s") == ["spec.yaml"]
    assert complete_specs("more/") == ["more/nightly.yml"]
    assert complete_specs("mo") == ["more/nightly.yml"]
    assert complete_specs(f"{specs}/sp") == [f"{specs}/spec.yaml"]
    assert complete_specs("nothing/") == []


def test_providers_and_their_models(here: Path) -> None:
    assert complete_providers("open") == ["openai", "openai-responses"]
    assert "openai/gpt-4o-mini" in complete_providers("openai/gpt-4")
    assert not any("claude" in name for name in complete_providers("openai/"))
    write("prices.yaml", "models: {openai: {my-own-model: {input: 1, output: 2}}}\n")
    assert complete_providers("openai/my") == ["openai/my-own-model"]


def test_templates_have_what_they_make() -> None:
    assert ("eval", "The answers of several models to the questions of a table, with scores.") in (
        complete_templates("e")
    )


def test_tags_of_earlier_jobs_and_executors_of_the_site_file(specs: Path) -> None:
    assert orc("run", "spec.yaml", "--tag", "mine").code == 0
    assert complete_tags("") == ["mine", "nightly"]
    assert complete_tags("m") == ["mine"]
    assert complete_executors("first=l") == ["first=local"]


def test_a_ledger_that_cannot_be_read_completes_nothing(here: Path) -> None:
    write("runs.db", "this is no ledger")
    assert complete_tags("") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("orc run sp", ["spec.yaml"]),
        ("orc run spec.yaml --until ", ["first", "second"]),
        ("orc run spec.yaml --until first,s", ["first,second"]),
        ("orc run more/nightly.yml --until b", ["builder"]),
        ("orc run spec.yaml -p anth", ["anthropic"]),
        ("orc run spec.yaml -p anthropic -m claude-haiku-4", ["claude-haiku-4-5"]),
        ("orc init tr", ["translate"]),
        ("orc validate mo", ["more/nightly.yml"]),
        ("orc plan sp", ["spec.yaml"]),
    ],
)
def test_the_shell_gets_the_words(
    specs: Path, completed: Completed, line: str, words: list[str]
) -> None:
    assert completed(line) == words


def test_the_ledger_that_the_line_names_is_read(specs: Path, completed: Completed) -> None:
    assert orc("run", "spec.yaml", "--db", "other.db", "--tag", "mine").code == 0
    assert completed("orc list --db other.db --tag m") == ["mine"]
    job = completed("orc show --db other.db job_")
    assert len(job) == 1
    assert completed("orc resume --db other.db latest --only f") == ["first"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish_get_them_too(specs: Path, completed: Completed, shell: str) -> None:
    assert any("translate" in line for line in completed("orc init tr", shell))


def test_a_decision_is_offered_for_the_steps_that_wait_for_one(
    here: Path, completed: Completed
) -> None:
    spec = """\
project: asks
steps:
  done: {value: 1}
  gate: {approval: May I?}
  other: {approval: Or this?}
  after: {needs: gate, value: 2}
"""
    assert orc("run", write("spec.yaml", spec)).code == 3
    assert completed("orc approve latest ") == ["gate", "other"]
    assert completed("orc reject latest g") == ["gate"]
    assert orc("approve", "latest", "gate").code == 0
    assert completed("orc approve latest ") == ["other"]
    assert "done" in completed("orc why latest ")


@each_case(
    "line, words",
    [
        ("orc sub", ["submit"]),
        ("orc list-ru", []),
        ("orc --ver", ["--version"]),
        ("orc show --t", ["--timeline"]),
        ("orc show --timeline --t", []),
        ("orc run --inputs x.yaml --inp", ["--input"]),
        ("orc run -i a=b --input", ["--input", "--inputs"]),
        ("orc run --no-str", ["--no-strict"]),
        ("orc show --res", []),
        ("orc why -- -x", []),
        ("orc list -- --status q", []),
        ("orc list --status q", ["queued"]),
        ("orc list --status=q", ["queued"]),
        ("orc list --status = q", ["queued"]),
        ("orc list-runs --status q", ["queued"]),
        ("orc list surplus ", []),
        ("orc list 'an open quote", []),
        ("orc nothing ", []),
        ("orc --version ", []),
        ("orc list -h", ["-h"]),
    ],
)
def test_commands_options_and_their_values_are_completed(
    here: Path, completed: Completed, line: str, words: list[str]
) -> None:
    assert completed(line) == words


def test_each_argument_of_a_list_is_completed(specs: Path, completed: Completed) -> None:
    assert completed("orc validate spec.yaml sp") == ["spec.yaml"]
    assert completed("orc run spec.yaml sp") == []


def test_each_shell_gets_its_own_form(
    here: Path, completed: Completed, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = "Record your own scores of a step's result."
    assert completed("orc score", "fish")[1] == f"score\t{about}"
    assert completed("orc score", "pwsh")[1] == f"score:::{about}"
    zsh = completed("orc score", "zsh")
    assert zsh[0].startswith('_arguments \'*: :(("scores":"Show the scores')
    assert zsh[1] == '"score":"Record your own scores of a step\'\'s result."))\''
    assert completed("orc nothing ", "zsh") == ["_files"]
    assert completed("orc nothing ", "fish") == []


@pytest.mark.parametrize(("line", "code"), [("orc score", 0), ("orc nothing ", 1)])
def test_fish_asks_whether_there_are_completions(
    here: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: int
) -> None:
    monkeypatch.setenv("_ORC_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "is-args")
    assert complete_line(os.environ) == code


def test_every_name_of_words_is_a_function() -> None:
    for name in COMMANDS:
        for _, declared in read_parameters(load_function(name)).values():
            if isinstance(declared.complete, str):
                assert callable(getattr(completion, declared.complete)), declared.complete


def test_bash_gives_an_option_and_its_equals_sign_as_two_words(completed: Completed) -> None:
    assert completed("orc run --provider =") == completed("orc run --provider ")
    assert completed("orc run --provider = op") == completed("orc run --provider op")
    assert "openai" in completed("orc run --provider =")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("orc export latest --format ro", ["ro-crate"]),
        ("orc export --table jobs --format c", ["csv"]),
        ("orc export latest --format j", ["junit", "jsonl"]),
        ("orc graph latest --format ", ["text", "mermaid", "dot", "svg"]),
        ("orc search x --what re", ["reply"]),
        ("orc scores latest --format m", ["md"]),
        ("orc doctor sp", ["spec.yaml"]),
    ],
)
def test_words_of_a_fixed_list_are_offered(
    completed: Completed, specs: Path, line: str, words: list[str]
) -> None:
    assert completed(line) == words


def test_what_no_shell_asks_has_no_completions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_ORC_COMPLETE", "complete_bash")
    for number in ("x", ""):
        monkeypatch.setenv("COMP_WORDS", "orc run ")
        monkeypatch.setenv("COMP_CWORD", number)
        assert complete_line(os.environ) == 0
    monkeypatch.delenv("COMP_WORDS")
    assert complete_line(os.environ) == 0
    assert capsys.readouterr() == ("", "")
