"""Files of the caller that are pipes, and standard streams that are closed, full or gone."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

import pytest

import orc as api
from orc.cli.main import main
from tests.cli.command_line import orc, submit, write
from tests.processes import ORC, WAIT_S, needs_proc, orc_environment

SPEC = """\
project: piped
inputs: {name: {default: nobody}}
steps:
  hello: {value: "hello ${{ inputs.name }}"}
"""
ASKING = "project: asking\nprovider: replay\nsteps: {a: {prompt: say it}}\n"


@contextmanager
def piped(content: bytes) -> Iterator[str]:
    """The name of a pipe with this content, as `<(...)` gives it: it can be read once."""
    read, write_end = os.pipe()

    def feed() -> None:
        with os.fdopen(write_end, "wb") as stream:
            stream.write(content)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield f"/dev/fd/{read}"
    finally:
        os.close(read)
        thread.join()


# Each command reads the pipe PIPE with this content; a second reading would find nothing.
READERS = {
    "run --inputs": (b'{"name": "Ada"}', "run spec.yaml --inputs PIPE"),
    "submit --inputs": (b"name: Ada", "submit spec.yaml --inputs PIPE"),
    "plan --inputs": (b"name: Ada", "plan spec.yaml --inputs PIPE"),
    "validate --inputs": (b"name: Ada", "validate spec.yaml spec.yaml --inputs PIPE"),
    "run SPEC": (SPEC.encode(), "run PIPE --inputs inputs.json"),
    "run --dry-run": (SPEC.encode(), "run PIPE --dry-run --inputs inputs.json"),
    "submit SPEC": (SPEC.encode(), "submit PIPE --inputs inputs.json"),
    "plan SPEC": (SPEC.encode(), "plan PIPE --inputs inputs.json"),
    "validate SPEC": (SPEC.encode(), "validate PIPE --inputs inputs.json"),
    "graph SPEC": (SPEC.encode(), "graph PIPE"),
    "resume --spec": (SPEC.encode(), "resume latest --spec PIPE"),
    "fork --spec": (SPEC.encode(), "fork latest --spec PIPE"),
    "run --replies": (b"version: 1\nreplies: {a: [it]}\n", "run asking.yaml --replies PIPE"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_of_the_caller_is_read_once(name: str, here: Path) -> None:
    submit(SPEC)
    write("asking.yaml", ASKING)
    write("inputs.json", '{"name": "Ada"}')
    content, command = READERS[name]
    with piped(content) as pipe:
        said = orc(*command.replace("PIPE", pipe).split())
    assert said.code == 0, said.err
    if name in ("run --inputs", "run SPEC"):
        assert api.job("latest").outputs == {"hello": "hello Ada"}


@pytest.mark.parametrize("name", READERS)
def test_a_dash_is_the_standard_input(name: str, here: Path) -> None:
    submit(SPEC)
    write("asking.yaml", ASKING)
    write("inputs.json", '{"name": "Ada"}')
    write("orc.yaml", "mine: {base_url: 'http://localhost:1/v1'}\n")
    content, command = READERS[name]
    said = subprocess.run(
        [ORC, *command.replace("PIPE", "-").split()],
        input=content,
        env=orc_environment(),
        timeout=WAIT_S,
        capture_output=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    if name in ("run --inputs", "run SPEC"):
        assert api.job("latest").outputs == {"hello": "hello Ada"}


@pytest.mark.parametrize(
    "command",
    ["run - --inputs -", "run - --replies=-", "validate - spec.yaml -", "plan - --inputs -"],
)
def test_the_standard_input_is_not_read_for_two_things(command: str, here: Path) -> None:
    write("spec.yaml", SPEC)
    said = orc(*command.split())
    assert said.code == 2
    assert "- is given twice, and stdin can be read only once; name a file" in said.err


def test_a_spec_from_the_standard_input_has_no_replies_beside_it(here: Path) -> None:
    with piped(b"project: p\nsteps: {a: {prompt: hi}}\n") as pipe:
        said = orc("run", pipe, "-p", "replay")
    assert said.code == 2
    assert "needs a file of recorded replies; name it with --replies FILE" in said.err


def test_the_paths_in_a_spec_from_a_pipe_begin_in_the_current_folder(here: Path) -> None:
    write("question.md", "say it")
    write("replies.yaml", "version: 1\nreplies: {a: [it]}\n")
    write("notes.txt", "noted")
    spec = ASKING.replace("say it", "{file: question.md}")
    spec = spec.replace("steps:", "inputs: {text: {type: file}}\nsteps:")
    with piped(spec.encode()) as pipe, piped(b"text: notes.txt\n") as inputs:
        said = orc("run", pipe, "--replies", "replies.yaml", "--inputs", inputs)
    assert said.code == 0, said.err
    assert orc("show", "latest", "a", "--prompt").out.strip().endswith("say it")


@pytest.mark.parametrize("content", [b"GIVEN=Ada\n", b"\xef\xbb\xbfGIVEN=Ada\r\nOTHER=x\r\n"])
def test_an_env_file_may_come_from_a_pipe(
    content: bytes, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    write("spec.yaml", "project: p\nenv: {GIVEN: null}\nsteps: {a: {run: 'echo $GIVEN'}}\n")
    with piped(content) as pipe:
        said = orc("run", "spec.yaml", "--env-file", pipe)
    assert said.code == 0, said.err
    assert api.job("latest").outputs == {"a": "Ada"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", "No such file or directory"),
        (".", "Is a directory"),
        ("/dev/zero", "it is not a regular file"),
        ("large", "it must be a file of at most 1 MiB"),
        ("broken", "line 2: each line must be NAME=VALUE"),
    ],
)
def test_an_env_file_that_cannot_be_read_is_refused_with_the_reason(
    name: str, reason: str, here: Path
) -> None:
    Path("large").write_bytes(b"#" * (1 << 20) + b"\n")
    Path("broken").write_text("GOOD=1\nno variable\n")
    write("spec.yaml", SPEC)
    said = orc("run", "spec.yaml", "--env-file", name)
    assert said.code == 2
    assert f"--env-file {name}: " in said.err
    assert reason in said.err


def test_the_lines_of_a_spec_from_a_pipe_are_shown_with_its_problems(here: Path) -> None:
    with piped(b"project: p\nsteps:\n  a: {valu: 1}\n") as pipe:
        said = orc("validate", pipe)
    assert said.code == 2
    assert f"{pipe}:3:7: " in said.err
    assert "    3 |   a: {valu: 1}" in said.err


@pytest.mark.parametrize("kind", ["whole", "cut", "empty"])
def test_a_bundle_may_come_from_a_pipe(kind: str, here: Path) -> None:
    job_id = submit(SPEC)
    assert orc("bundle", job_id, "job.orc").code == 0
    content = Path("job.orc").read_bytes()
    content = {"whole": content, "cut": content[:20_000], "empty": b""}[kind]
    with piped(content) as pipe:
        said = orc("import", pipe, "--db", "other.db")
    assert said.code == (0 if kind == "whole" else 2 if kind == "empty" else 5), said.err
    assert "orc-copy" not in said.err
    if kind == "whole":
        assert orc("verify", "--db", "other.db").code == 0
    else:
        assert pipe in said.err


WRITERS = {
    "backup": ("backup /dev/stdout", b"SQLite format 3"),
    "bundle": ("bundle latest /dev/stdout", b"SQLite format 3"),
    "export": ("export latest --format html --to /dev/stdout", b"<!doctype html>"),
    "graph": ("graph latest --format svg --output /dev/stdout", b"<?xml"),
}


def test_a_dash_is_the_standard_output_of_a_file_that_is_written(here: Path) -> None:
    submit(SPEC)

    def piped_through(*words: str, content: bytes = b"") -> bytes:
        return subprocess.run(
            [ORC, *words],
            input=content,
            env=orc_environment(),
            timeout=WAIT_S,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout

    for command, beginning in WRITERS.values():
        words = command.replace("/dev/stdout", "-").split()
        assert piped_through(*words).startswith(beginning), command
    bundle = piped_through("bundle", "latest", "-")
    piped_through("import", "-", "--db", "other.db", content=bundle)
    assert orc("verify", "--db", "other.db").code == 0
    assert not Path("-").exists()
    for line in ("backup -", "bundle latest -", "graph latest --output -"):
        assert orc(*line.split(), "--json").code == 2


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_may_be_written_to_a_pipe(name: str, here: Path) -> None:
    submit(SPEC)
    command, beginning = WRITERS[name]
    read, write_end = os.pipe()
    found = bytearray()

    def take() -> None:
        with os.fdopen(read, "rb") as stream:
            found.extend(stream.read())

    thread = threading.Thread(target=take)
    thread.start()
    said = orc(*command.replace("/dev/stdout", f"/dev/fd/{write_end}").split())
    os.close(write_end)
    thread.join()
    assert said.code == 0, said.err
    assert found.startswith(beginning)


COMMANDS = (
    ["run", "spec.yaml"],
    ["run", "spec.yaml", "--json"],
    ["submit", "spec.yaml"],
    ["work", "--stop-when-empty"],
    ["resume", "latest"],
    ["rerun", "latest", "--step", "hello"],
    ["fork", "latest"],
    ["list"],
    ["show", "latest"],
    ["tail", "latest"],
    ["validate", "spec.yaml"],
    ["verify"],
    ["init", "--list"],
    ["--version"],
    ["--help"],
)


def run_with(arguments: list[str], out: TextIO, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Run `orc` with this stdout; the exit code, and what it printed on stderr."""
    err = io.StringIO()
    monkeypatch.setattr(sys, "argv", ["orc", *arguments])
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), err.getvalue()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_needs_a_standard_input(
    command: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(SPEC)
    monkeypatch.setattr(sys, "stdin", None)
    said = orc(*command)
    assert said.code == 0, said.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_standard_output_is_an_error_of_storage(
    command: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(SPEC)
    prints = bool(orc(*command).out)
    with Path("/dev/full").open("w") as out:
        code, said = run_with(command, out, monkeypatch)
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    assert "Traceback" not in said
    assert code == (74 if prints else 0), said
    assert ("orc: stdout: No space left on device; free some space\n" in said) == prints


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_has_closed_the_pipe_is_no_error(
    command: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(SPEC)
    read, write_end = os.pipe()
    os.close(read)
    with os.fdopen(write_end, "w") as out:
        assert run_with(command, out, monkeypatch)[0] == 0
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


@needs_proc
def test_no_file_gets_the_number_of_a_closed_standard_stream(here: Path) -> None:
    looking = "for number in 0 1 2; do readlink /proc/$PPID/fd/$number; done"
    write("spec.yaml", f'project: closed\nsteps:\n  open: {{run: "{looking}"}}\n')
    ended = subprocess.run(
        ["sh", "-c", f"exec {ORC} run spec.yaml --json <&- >&- 2>&-"],
        env=orc_environment(),
        timeout=WAIT_S,
        check=False,
    )
    assert ended.returncode == 0
    assert api.job("latest").outputs == {"open": "\n".join(["/dev/null"] * 3)}
