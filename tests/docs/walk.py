"""Runs the blocks of a page in their order, as a reader does, and checks what the page shows.

- `sh`: each line is run; `# exit code N` after it is the code that is expected. A line that ends in
  ` &` starts a job, and `sleep 2; kill -9 $!` kills it while it waits for its second reply, or its
  only one.
- `yaml` and other files: written to the file that the first line names (`# hello.yaml`), or the one
  after `#!/bin/sh`.
- `python`: run, unless it is such a file; what it prints is output.
- `text`: lines that the last commands printed, in this order; `...` is any text.

Models are those of a server on this machine, whatever provider a line names.
"""

from __future__ import annotations

import io
import os
import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Self

import pytest

from tests.cli.command_line import orc, work_in
from tests.docs.conftest import ROOT, WAIT_S, Block, every_block, is_marked, run_shell, words_of
from tests.model_server import Asked, ModelServer, Says
from tests.processes import end_process, event_types, start_orc, wait_until

_KILL = re.compile(r"sleep \d; kill -9 \$!$")
_EXIT = re.compile(r"  # exit code (\d+)$")
_FILE = re.compile(r"(?P<shebang>#!/bin/sh\n)?# (?P<name>\w[\w./-]*\.\w+)$", re.MULTILINE)


def walk(page: str, folder: Path, patches: pytest.MonkeyPatch) -> list[Asked]:
    """Run the page's blocks in a new folder; the requests that models got."""
    work_in(folder, patches)
    (folder / "examples").symlink_to(ROOT / "examples")
    with Models() as models:
        for name, value in models.server.environment().items():
            patches.setenv(name, value)
        Walk(folder, patches, models).blocks(page)
        return models.server.seen


class Models:
    """Models that reply with a short text, and may be told to let a request wait."""

    def __init__(self) -> None:
        self.server = ModelServer(self._answer)
        self._goes_on = threading.Event()
        self._held_from: int | None = None

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
        self.server.__exit__(*error)

    def hold(self, *, after: int) -> Callable[[], bool]:
        """Answer this number of requests and let the others wait; whether one waits."""
        self._goes_on.clear()
        self._held_from = len(self.server.seen) + after
        return lambda: len(self.server.seen) > (self._held_from or 0)

    def release(self) -> None:
        """Answer everything."""
        self._held_from = None
        self._goes_on.set()

    def _answer(self, asked: Asked) -> Says:
        if self._held_from is not None and len(self.server.seen) > self._held_from:
            self._goes_on.wait(WAIT_S)
        return Says("Water runs to the sea.", input_tokens=900, output_tokens=60)


class Walk:
    """Where the reader is, and what the last block printed."""

    def __init__(self, folder: Path, patches: pytest.MonkeyPatch, models: Models) -> None:
        self._folder = folder
        self._patches = patches
        self._models = models
        self._printed = ""

    def blocks(self, page: str) -> None:
        """Run them all."""
        for block in every_block(page):
            if is_marked(block):
                continue
            match block.language:
                case "sh":
                    self._shell(block)
                case "text":
                    check_shown(block.text, self._printed)
                case "python" if not _FILE.match(block.text):
                    self._python(block)
                case _:
                    self._file(block)

    def _shell(self, block: Block) -> None:
        self._printed = ""
        lines = iter(block.text.splitlines())
        for line in lines:
            if line.startswith("cd "):
                self._folder = self._folder / line.removeprefix("cd ")
                self._patches.chdir(self._folder)
            elif line.endswith(" &"):
                assert _KILL.match(next(lines)), block
                self._kill(line.removesuffix(" &"))
            else:
                found = _EXIT.search(line)
                code, said = self._run(_EXIT.sub("", line))
                assert code == (int(found[1]) if found else 0), (str(block), line, said)
                self._printed += said

    def _run(self, line: str) -> tuple[int, str]:
        """Run a line, a plain command of orc in this process; its exit code, and what it printed."""
        words = words_of(line)
        if words is None:
            done = run_shell(line, self._folder, dict(os.environ))
            return done.returncode, done.stdout
        said = orc(*words[1:])
        return said.code, said.err + said.out

    def _kill(self, line: str) -> None:
        words = words_of(line)
        assert words is not None, line
        is_replay = "replay" in words
        is_one_prompt = (self._folder / words[2]).read_text("utf-8").count("prompt:") == 1
        waits = self._models.hold(after=0 if is_one_prompt else 1)
        started = starts_in(self._folder)
        process = start_orc(*words[1:], cwd=self._folder)
        try:
            wait_until(lambda: starts_in(self._folder) > started + 1 if is_replay else waits())
        finally:
            end_process(process)
            self._models.release()

    def _python(self, block: Block) -> None:
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})
        self._printed = out.getvalue()

    def _file(self, block: Block) -> None:
        found = _FILE.match(block.text)
        if found is None:
            # A part of a file, or a file of the system: other tests read those.
            return
        path = self._folder / found["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
        if found["shebang"]:
            path.chmod(0o755)


def starts_in(folder: Path) -> int:
    """How many attempts of steps the ledger there has."""
    try:
        return event_types(folder / "runs.db").count("step.started")
    except sqlite3.OperationalError:
        return 0


def check_shown(shown: str, printed: str) -> None:
    """Check that the lines were printed in this order; `...` is any text."""
    lines = iter(" ".join(line.split()) for line in printed.splitlines())
    for line in shown.splitlines():
        pattern = re.escape(" ".join(line.split())).replace(re.escape("..."), ".*")
        pattern = pattern.removeprefix(".*\\ ")
        assert any(re.search(pattern, one) for one in lines), f"{line}\n\nin:\n{printed}"
