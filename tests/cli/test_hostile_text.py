"""Texts of models and commands are escaped on a terminal, which they could otherwise control."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.command_line import control_characters, orc, submit, write
from tests.cli.pseudo_terminal import run_on_a_terminal

TITLE = "\x1b]0;owned\x07"
BLINKING = "\x1b[5;35;47m"
CLEAR = "\x1b[2J"
C1 = "\x9b5m"
RIGHT_TO_LEFT = "\u202e"
INVISIBLE = "\u200b"
INJECTED = [TITLE, BLINKING, CLEAR, C1, RIGHT_TO_LEFT, INVISIBLE, "\x07", "\x7f", "\r ", "\u2028"]
HOSTILE = "before " + " ".join(INJECTED) + "\0 after"

SPEC = """\
project: hostile
provider: replay
steps:
  talk: {prompt: say it, files: [{path: said.md}]}
  echo:
    needs: talk
    run: ["cat", "said.md"]
  shell:
    run: |
      printf '%b' '\\033]0;owned\\007\\033[5;35;47m\\033[2J\\302\\233\\342\\200\\256\\000'
      printf '%b' 'because \\033[2J\\033]0;owned\\007\\302\\233\\342\\200\\256\\n' >&2
      exit 1
  ready: {prompt: "Answer in JSON", output: {format: json}, continue_on_error: true}
"""


@pytest.fixture
def spec() -> Path:
    """A job that gets hostile text from a model, from a file and from a command."""
    replies = {"talk": [{"text": HOSTILE, "latency_s": 0.6}], "ready": [{"text": HOSTILE}]}
    write("spec.replay.yaml", json.dumps({"replies": replies}))
    return write("spec.yaml", SPEC)


@pytest.mark.parametrize("options", [(), ("--json",), ("--quiet",)], ids=" ".join)
def test_run_prints_no_control_character(options: tuple[str, ...], spec: Path) -> None:
    said = orc("run", spec, *options)

    assert said.code == 1
    assert control_characters(said.out + said.err) == set()
    # The text is shown, with escapes.
    assert r"because \x1b[2J" in said.err or r"because \u001b[2J" in said.out


def test_no_reading_command_prints_a_control_character(spec: Path) -> None:
    orc("run", spec)

    for command in (
        ("show", "latest"),
        ("show", "latest", "-e"),
        ("show", "latest", "-f"),
        ("tail", "latest"),
        ("list",),
        ("graph", "latest"),
        ("verify",),
        ("resume", "latest"),
    ):
        for options in ((), ("--json",)):
            said = orc(*command, *options)
            assert control_characters(said.out + said.err) == set(), command
            assert not options or said.out.isascii()


def test_the_published_json_is_plain_ascii(spec: Path, here: Path) -> None:
    job = orc("run", spec, "--json").lines()[0]["job_id"]

    published = [here / "runs" / job / name for name in ("manifest.json", "events.jsonl")]
    published += (here / "runs" / job / ".cache").iterdir()
    assert len(published) >= 4
    for path in published:
        text = path.read_text("ascii")
        assert control_characters(text) == set(), path
    assert TITLE in json.loads((published[-1]).read_text())["reply"]["text"], "kept as it was"


def test_a_refused_spec_is_quoted_with_escapes() -> None:
    spec = write("spec.yaml", 'project: x\nsteps: {"a\\e]0;owned\\a": {run: "true"}}\n')
    title = write("\u202eevil.yaml", "project: 3\n")

    for command in ("run", "validate"):
        for path in (spec, title):
            said = orc(command, path)
            assert said.code == 2
            assert control_characters(said.out + said.err) == set()


def test_a_hostile_project_description_is_listed_with_escapes() -> None:
    submit(f"project: x\ntask_description: {json.dumps(HOSTILE)}\nsteps: {{a: {{value: 1}}}}\n")

    for command in (("show", "latest"), ("tail", "latest"), ("list",)):
        assert control_characters(orc(*command).out) == set()


def test_the_live_table_shows_steps_as_they_change_and_nothing_raw(spec: Path, here: Path) -> None:
    code, screen = run_on_a_terminal("run", str(spec), cwd=here)

    assert code == 1
    for injected in (*INJECTED, "\0"):
        # The line end of a terminal is \r\n.
        assert injected.encode() not in screen, injected
    shown = screen.decode()
    for words in (r"talk +running", r"talk +succeeded", r"shell +failed", r"echo +pending"):
        assert re.search(words, plain(shown)), words
    assert r"\x1b]0;owned\x07" in shown
    assert "\x1b[" in shown, "the table is redrawn in place"
    assert "next: orc resume job_" in shown


def test_no_color_removes_the_colours_of_the_live_table(spec: Path, here: Path) -> None:
    _, coloured = run_on_a_terminal("run", str(spec), cwd=here)
    _, grey = run_on_a_terminal("run", str(spec), cwd=here, NO_COLOR="1")

    assert re.search(rb"\x1b\[[0-9;]*3[1-6]m", coloured)
    assert not re.search(rb"\x1b\[[0-9;]*3[1-6]m", grey)


def plain(screen: str) -> str:
    """The output without the codes for colours and cursor positions."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
