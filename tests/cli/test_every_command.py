"""No command prints a control character, whatever a spec, a ledger or a file name contains."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from orc.cli import command_table
from orc.cli.main import main
from tests.cli.command_line import Said, control_characters, orc, serve_nothing, work_in, write
from tests.cli.hostile_ledger import HOSTILE_NAME, HOSTILE_TEXT, make_ledger_hostile
from tests.each_case import each_case

SPEC = """\
project: hostile
provider: replay
task_description: x
output_dir: out
steps:
  talker: {prompt: say it, files: [{path: said.md}]}
  sheller: {run: "echo out; echo err >&2; exit 3", continue_on_error: true, needs: talker}
  tooler: {prompt: use, tools: [write_file]}
  each: {for_each: [1, 2], value: "${{ item }}", score: {odd: "${{ output }}", bad: "${{ env }}"}}
  skipper: {value: 1, if: "1 == 2"}
  asker: {approval: {message: may I, options: [approve, reject]}, needs: [sheller]}
  after: {value: "${{ steps.asker.output.decision }}"}
"""
REPLIES = {
    "talker": [{"text": "hello"}],
    "tooler": [
        {
            "tool_calls": [
                {"id": "1", "name": "write_file", "arguments": {"path": "w", "content": "c"}}
            ]
        },
        {"text": "done"},
    ],
}
STEPS = ["talker", "sheller", "tooler", "each", "asker"]
ASKER = f"asker{HOSTILE_NAME}"
NAME = f"{HOSTILE_NAME}x"
HOSTILE_STEPS = [f"{step}{HOSTILE_NAME}" for step in STEPS]
HOSTILE = json.dumps(HOSTILE_TEXT.replace("\0", ""))

COMMANDS: dict[str, list[list[str]]] = {
    "run": [["hostile.yaml"], ["no such \x1b[2J.yaml"], ["evil.yaml", "-i", NAME], ["evil.yaml"]],
    "submit": [["hostile.yaml"], ["no such \x1b[2J.yaml"], ["evil.yaml", "-i", NAME]],
    "work": [["--stop-when-empty"], ["--jobs", NAME], ["--for", NAME], ["--db", NAME]],
    "resume": [["latest"], [NAME], ["latest", "--until", NAME], ["latest", "--replies", NAME]],
    "rerun": [
        ["latest", "--from", f"talker{HOSTILE_NAME}", "--dry-run"],
        ["latest", "--from", NAME],
    ],
    "fork": [["latest"], ["latest", "--from", NAME]],
    "cancel": [["latest"], [NAME]],
    "approve": [["latest", ASKER], ["latest", NAME], [NAME, NAME]],
    "reject": [["latest", ASKER, "--comment", NAME], ["latest", NAME]],
    "replay": [["latest"], [NAME]],
    "demo": [["--quiet"]],
    "chaos": [["hostile.yaml"], [NAME]],
    "init": [["--list"], [NAME]],
    "list": [
        [],
        ["--limit", NAME],
        ["--status", NAME],
        ["--project", NAME],
        ["--since", NAME],
        ["--status", "interrupted", "--status", "failed"],
    ],
    "list-runs": [[]],
    "show": [
        ["latest"],
        ["latest", "-e"],
        ["latest", "-f"],
        ["latest", "--all"],
        [NAME],
        ["--" + NAME],
    ],
    "blame": [["said.md"], ["w", "--full"], [NAME], ["w", "--job", NAME]],
    "why": [["latest", step] for step in (*HOSTILE_STEPS, "skipper", NAME)],
    "diff": [["latest", "latest"], ["latest", NAME], ["latest", "latest", "--step", NAME]],
    "scores": [
        ["latest"],
        ["latest", "latest"],
        ["latest", "--by", NAME],
        ["latest", "--by", "case", "--format", "csv"],
        ["latest", "--format", NAME],
        ["latest", "--fail-under", NAME],
        [NAME],
    ],
    "score": [
        ["latest", "each[0]", f"{NAME}=1"],
        ["latest", NAME, "good=1"],
        ["latest", "each[0]", NAME],
    ],
    "tag": [["latest", f"+{NAME}"], ["latest", NAME], [NAME, "+a"]],
    "note": [["latest", NAME], [NAME, "text"]],
    "cost": [[], ["latest"], ["--by", "job"], ["--by", NAME], ["--since", NAME]],
    "tail": [
        ["latest"],
        ["latest", "--step", ASKER],
        ["latest", "--step", NAME],
        ["latest", "--type", NAME],
        ["-n", "3"],
        [NAME, "-f"],
    ],
    "logs": [
        ["latest", f"sheller{HOSTILE_NAME}"],
        ["latest", ASKER],
        ["latest", NAME],
        [NAME, NAME],
    ],
    "search": [
        ["hello"],
        ["x* -9", "--best", "--what", "reply"],
        ["--", NAME],
        ["x", "--job", NAME],
        ["x", "--what", NAME],
    ],
    "validate": [["hostile.yaml", "evil.yaml"], [NAME]],
    "plan": [["evil.yaml"], ["hostile.yaml"], [NAME]],
    "graph": [
        ["latest"],
        ["latest", "--mermaid"],
        ["evil.yaml"],
        ["hostile.yaml", "--mermaid"],
        ["latest", "--format", "dot"],
        ["latest", "--format", "svg"],
        ["hostile.yaml", "--format", NAME],
        ["latest", "--output", f"graph{HOSTILE_NAME}.svg"],
        [NAME],
    ],
    "schema": [[]],
    "verify": [[], ["latest"], [NAME], ["--head", NAME]],
    "rebuild": [[]],
    "export": [
        ["latest", "--to", f"out{HOSTILE_NAME}"],
        [NAME],
        ["latest", "--format", NAME],
        ["latest", "--format", "ro-crate", "--to", f"crate{HOSTILE_NAME}"],
        ["latest", "--format", "junit", "--to", f"report{HOSTILE_NAME}"],
    ],
    "bundle": [["latest", f"b{HOSTILE_NAME}"], [NAME, "b.db"]],
    "import": [["bundle.db", "--db", "other.db"], ["hostile.yaml"], [NAME]],
    "backup": [[f"backup{HOSTILE_NAME}"]],
    "prune": [
        ["--job", "latest"],
        ["--job", "latest", "--yes", "--files", "--reason", NAME],
        ["--job", NAME],
    ],
    "redact": [[NAME], ["0123456789ab"]],
    "browse": [
        ["--no-open"],
        ["latest", "--no-open", "--allow-decisions"],
        ["latest", "--no-open", "--allow-actions", "--specs", "."],
        ["--no-open", "--allow-actions", "--specs", NAME],
        [NAME],
        ["--db", NAME],
        ["--uds", NAME],
    ],
    "mcp": [["--specs", NAME], [NAME], ["--allow-actions", "--specs", "spec.yaml"]],
    "executors": [[], [NAME], ["--clean"], ["--db", NAME]],
    "cluster": [
        ["certs", f"certs{HOSTILE_NAME}"],
        ["certs", "runs.db"],
        ["worker", NAME, "--print"],
        ["scheduler", NAME],
        [NAME, NAME],
    ],
    "doctor": [[], ["--db", NAME]],
}
"""The arguments that each command is tested with, in a folder with a hostile ledger."""


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a hostile ledger, a hostile bundle and hostile specs."""
    with pytest.MonkeyPatch.context() as patches:
        folder = work_in(tmp_path_factory.mktemp("hostile_folder"), patches)
        write("spec.replay.yaml", json.dumps({"replies": REPLIES}))
        assert orc("run", write("spec.yaml", SPEC)).code == 3
        assert make_ledger_hostile(folder / "runs.db", STEPS) > 80
        assert orc("rebuild").code == 0
        assert orc("bundle", "latest", "bundle.db").code == 0
        write(
            "hostile.yaml", f'project: x\n{HOSTILE}: 1\nsteps: {{{HOSTILE}: {{run: "x"}}, a: 1}}\n'
        )
        write(
            "evil.yaml",
            f"project: x\ntask_description: {HOSTILE}\ninputs: {{i: {{enum: [{HOSTILE}]}}}}\n"
            f"steps:\n  a: {{run: [{HOSTILE}], if: {json.dumps(chr(39) + 'x' + chr(39))}}}\n"
            f"  b: {{value: {HOSTILE}, needs: a, continue_on_error: true}}\n",
        )
    return folder


def test_every_command_is_in_the_table() -> None:
    registered = {*command_table.COMMANDS, *command_table.ALIASES}
    assert set(COMMANDS) == registered, "add a new command to COMMANDS"


@each_case("command", command_table.COMMANDS)
def test_every_command_has_a_file_of_tests(command: str) -> None:
    path = Path(__file__).parent / "commands" / f"test_{command}.py"
    assert f'"{command}"' in path.read_text("utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_a_control_character(
    command: str, hostile_folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `orc browse` would run until Ctrl-C.
    monkeypatch.setattr("orc.cli.browse.server.serve", serve_nothing)
    shutil.copytree(hostile_folder, here / "copy")
    monkeypatch.chdir(here / "copy")
    for arguments in COMMANDS[command]:
        for options in ((), ("--json",)):
            said = orc(command, *arguments, *options)

            # Tabs in logs are printed.
            kept = {"\t"} if command == "logs" else set()
            assert control_characters(said.out + said.err) <= kept, arguments
            assert "Traceback" not in said.err
            assert said.code in (0, 1, 2, 3, 5, 6, 7, 8), (arguments, said)
            if options:
                assert said.out.isascii()
                assert all(isinstance(line, dict) for line in _json_of(said))


def _json_of(said: Said) -> list[object]:
    try:
        return [json.loads(said.out)] if said.out else []
    except ValueError:
        return list(said.lines())


def test_hostile_text_in_a_ledger_is_shown_with_escapes(hostile_folder: Path, here: Path) -> None:
    shutil.copytree(hostile_folder, here / "copy")
    os.chdir(here / "copy")

    shown = orc("show", "latest").out
    assert rf"asker{HOSTILE_NAME}".encode("unicode_escape").decode() in shown
    assert r"\x1b]0;owned\x07" in orc("tail", "latest").out


def test_a_traceback_has_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["orc", "--version"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(SystemExit):
        main()
    try:
        raise AssertionError(HOSTILE_TEXT)
    except AssertionError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert r"\x1b]0;owned\x07" in printed
    assert control_characters(printed.replace("\t", "")) == set()
