"""Runs `orc` in the test's process, which is fast; the output and the exit code.

`tests/processes.py` runs it in processes.
"""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import unicodedata
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from orc.cli.main import main
from tests.processes import orc_environment

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY_SPEC = EXAMPLES / "tiny_spec.yaml"

PASSING = """\
project: passing
steps:
  first: {run: "echo one", files: [{path: first.txt, content: "one"}]}
  second: {value: "${{ steps.first.output }} and two"}
"""
FAILING = """\
project: failing
steps:
  broken: {run: "echo reason >&2; exit 3"}
  after: {needs: broken, run: "true"}
  beside: {value: 1}
"""


@dataclass(frozen=True, slots=True)
class Said:
    """The output of a command, and its exit code."""

    code: int
    out: str
    err: str

    def lines(self) -> list[dict[str, Any]]:
        """stdout as JSON objects, one per line."""
        return [json.loads(line) for line in self.out.splitlines()]

    def json(self) -> dict[str, Any]:
        """stdout as a single JSON object."""
        (line,) = self.lines()
        return line


def orc(*arguments: str | Path) -> Said:
    """Run `orc` with these arguments in this process."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["orc", *map(str, arguments)]
    code: object = 0
    with patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    assert code is None or isinstance(code, int), code
    return Said(code or 0, out.getvalue(), err.getvalue())


def work_in(folder: Path, patches: pytest.MonkeyPatch) -> Path:
    """Make this the current folder, and remove orc's variables from the environment."""
    kept = orc_environment()
    for name in set(os.environ) - set(kept):
        patches.delenv(name)
    patches.setenv("COLUMNS", "100")
    # A site file of the developer's own would be read.
    patches.setenv("XDG_CONFIG_HOME", str(folder / "configuration"))
    patches.chdir(folder)
    return folder


def write(name: str, text: str) -> Path:
    """A file in the current folder."""
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def submit(text: str, *options: str | Path) -> str:
    """Run a spec in the current folder to its end; the id of the job."""
    said = orc("run", write("spec.yaml", text), "--json", *options)
    assert said.out, said.err
    return str(said.lines()[0]["job_id"])


def control_characters(text: str) -> set[str]:
    """Characters in the text that control, hide or reorder what a terminal shows."""
    return {
        character
        for character in text
        if character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")
    }


def serve_nothing(
    app: Any,
    listener: socket.socket,
    *,
    when_ready: Callable[[], None],
    when_ended: Callable[[], None],
) -> None:
    """A server for `orc browse` that ends as soon as it is ready."""
    when_ready()
    listener.close()
    when_ended()
