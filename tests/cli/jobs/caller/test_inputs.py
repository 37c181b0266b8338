"""Inputs from options, from a file, or asked for on a terminal; and prompts in files."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path

import pytest

from orc.scheduler.core.spec.inputs import read_input
from orc.scheduler.core.spec.model import InputSpec
from tests.cli.command_line import orc, submit, write
from tests.model_server import ModelServer, Says
from tests.processes import ORC, orc_environment

SPEC = """\
project: given
inputs:
  topic: {description: What about, enum: [rivers, seas]}
  pages: {type: integer}
  mood: {default: calm}
steps:
  all: {value: "${{ inputs }}"}
"""


def given(*options: str | Path) -> object:
    said = orc("run", write("spec.yaml", SPEC), "--json", "--quiet", *options)
    assert said.code == 0, said.err
    shown = orc("show", "latest", "--json").json()
    return json.loads((Path(shown["folder"]) / "inputs/inputs.json").read_text())


def test_an_option_comes_before_the_file(here: Path) -> None:
    write("in.yaml", "topic: rivers\npages: 3\n")
    found = given("--inputs", "in.yaml", "-i", "pages=4")
    assert found == {"topic": "rivers", "pages": 4, "mood": "calm"}


def test_a_file_of_inputs_may_be_json(here: Path) -> None:
    write("in.json", '{"topic": "seas", "pages": 1}')
    assert given("--inputs", "in.json") == {"topic": "seas", "pages": 1, "mood": "calm"}


SAME = r'{"rocket": "\ud83d\ude80 \/", "n": [1e5, 1E-7, 12345678901234567890], "yes": "no"}'
DOORS = f"""
project: doors
inputs: {{value: {{type: object}}}}
steps:
  given: {{value: "${{{{ inputs.value }}}}"}}
  printed:
    run: |
      cat <<'END'
      {SAME}
      END
    output: {{format: json}}
  written:
    value: {SAME}
  all:
    value: done
    files:
      - path: all.json
        content: >-
          [${{{{ steps.given.output }}}}, ${{{{ steps.printed.output }}}},
          ${{{{ steps.written.output }}}}]
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.json", f'{{"value": {SAME}}}'),
        ("in.yaml", f"value: {SAME}\n"),
        ("text.json", json.dumps({"value": SAME})),
        ("", ""),
    ],
)
def test_a_value_is_the_same_by_file_by_option_in_a_spec_and_from_a_step(
    here: Path, name: str, content: str
) -> None:
    options = ["--inputs", str(write(name, content))] if name else ["-i", f"value={SAME}"]
    said = orc("run", write("doors.yaml", DOORS), "--quiet", *options)
    assert said.code == 0, said.err
    (found,) = Path("runs").glob("*/outputs/doors/all.json")
    expected = json.dumps(json.loads(SAME), sort_keys=True)
    texts = [json.dumps(value, sort_keys=True) for value in json.loads(found.read_text())]
    assert texts == [expected] * 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("topic: rivers\npags: 1\n", "in.yaml:2:1: the spec has no input 'pags'; did you mean"),
        ("- 1\n", "in.yaml:1:1: the file must be a mapping of input names"),
        ("a: [1\n", "in.yaml:1:4: not valid YAML"),
        ("topic: hills\npages: 1\n", "must be one of 'rivers', 'seas'; got 'hills'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_place(
    here: Path, text: str, words: str
) -> None:
    write("in.yaml", text)
    for command in ("run", "validate", "plan"):
        said = orc(command, write("spec.yaml", SPEC), "--inputs", "in.yaml")
        assert said.code == 2
        assert words in said.err
    assert not Path("runs.db").exists()


def test_a_file_that_is_not_there_is_named(here: Path) -> None:
    said = orc("run", write("spec.yaml", SPEC), "--inputs", "gone.yaml")
    assert (said.code, "--inputs: cannot read gone.yaml" in said.err) == (2, True)


def converse(folder: Path, answers: bytes, *options: str) -> tuple[int, str]:
    """Run on a terminal and type these lines; the exit code, and the output."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(ORC, ["orc", "run", "spec.yaml", *options], orc_environment(TERM="dumb"))
    os.write(terminal, answers)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


def test_on_a_terminal_missing_inputs_are_asked_for_until_valid(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    code, shown = converse(tmp_path, b"hills\nseas\nmany\n7\n")
    assert code == 0, shown
    assert "topic: What about" in shown
    assert "topic [rivers, seas]: " in shown
    assert "must be one of 'rivers', 'seas'; got 'hills'" in shown
    assert "must be of type integer; got 'many'" in shown
    assert "mood" not in shown


def test_with_no_input_nothing_is_asked(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    code, shown = converse(tmp_path, b"", "--no-input")
    assert code == 2
    assert "a value is required (What about); give it with -i topic=VALUE" in shown


def test_a_prompt_in_a_file_is_read_at_submission_and_never_again(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("ask.md", "About ${{ steps.topic.output }}:\nwrite.\n")
    write("mood.md", "Be ${{ inputs.mood }}.\n")
    text = "project: p\nprovider: ollama/model-a\ninputs: {mood: {default: calm}}\nsteps:\n"
    text += "  topic: {value: rivers}\n"
    text += "  ask: {prompt: {file: ask.md}, system: {file: mood.md}}\n"
    text += "  gate: {needs: ask, approval: Go on?}\n"
    text += "  again: {needs: gate, prompt: {file: ask.md}}\n"
    with ModelServer(lambda asked: Says("ok")) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        submit(text)
        (here / "ask.md").unlink()
        assert orc("approve", "latest", "gate").code == 0
        assert orc("resume", "latest").code == 0
    contents = [[m["content"] for m in asked.body["messages"]] for asked in server.seen]
    assert contents == [
        ["Be calm.\n", "About rivers:\nwrite.\n"],
        ["About rivers:\nwrite.\n"],
    ]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("{file: gone.md}", "steps.a.prompt.file: cannot read"),
        ("{file: bad.md}", "bad.md:2: ${{ steps.none.output }}: there is no step 'none'"),
        ("{file: 7}", "steps.a.prompt.file: must be a path"),
        ("{fil: x}", "must be a text or {file: PATH}"),
        ("{file: latin.md}", "latin.md:1: not UTF-8 text"),
    ],
)
def test_a_prompt_in_a_file_that_cannot_be_used_is_refused_by_its_place(
    here: Path, prompt: str, words: str
) -> None:
    write("bad.md", "one\n${{ steps.none.output }}\n")
    (here / "latin.md").write_bytes(b"\xe4\n")
    spec = write("spec.yaml", f"project: p\nsteps:\n  a: {{prompt: {prompt}}}\n")
    said = orc("validate", spec)
    assert said.code == 2
    assert "spec.yaml:3:" in said.err
    assert words in said.err


@pytest.mark.parametrize("command", ["resume", "fork"])
def test_an_edited_spec_asks_on_a_terminal_for_the_inputs_that_it_adds(
    command: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("edited.yaml", SPEC)
    before = "project: given\nsteps:\n  card: {value: 1}\n"
    asked: list[str] = []

    def ask(name: str, spec: object) -> object:
        asked.append(name)
        return {"topic": "seas", "pages": 7}[name]

    monkeypatch.setattr("orc.cli.terminal.ask_inputs._ask", ask)
    monkeypatch.setattr("orc.cli.terminal.ask_inputs._is_on_terminal", lambda: True)
    submit(before)
    assert orc(command, "latest", "--spec", "edited.yaml", "--no-input").code == 2
    assert asked == []
    said = orc(command, "latest", "--spec", "edited.yaml", "--quiet")
    assert said.code == 0, said.err
    assert asked == ["topic", "pages"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"a": 1, "a": 2}', "as JSON: a key appears twice in one object"),
        ('{"a": NaN}', "as JSON: NaN is not a JSON number"),
        ('{"a": 1e999}', "as JSON: the number 1e999 is too large"),
        ('{"a": 1', "as JSON: Expecting ',' delimiter"),
        ("abc", "got 'abc'"),
    ],
)
def test_the_reason_why_a_text_is_not_json_is_said(given: str, said: str) -> None:
    value, problem = read_input(given, InputSpec(type="object"))
    assert value == given
    assert problem.startswith("must be of type object; got ")
    assert said in problem
    assert problem.count("as JSON") == said.count("as JSON")
