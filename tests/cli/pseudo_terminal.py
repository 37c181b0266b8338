"""Runs `orc` on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from pathlib import Path

from tests.forkserver import ForkedProcess
from tests.processes import ORC, orc_environment


def run_on_a_terminal(*arguments: str, cwd: Path, **extra: str) -> tuple[int, bytes]:
    """Run `orc` on a pseudo-terminal; its exit code, and all output."""
    keyboard, screen = pty.openpty()
    environment = orc_environment(TERM="xterm-256color", COLUMNS="120", LINES="40", **extra)
    process = subprocess.Popen(
        [ORC, *arguments], cwd=cwd, env=environment, stdin=screen, stdout=screen, stderr=screen
    )
    os.close(screen)
    received = bytearray()
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([keyboard], [], [], 1.0)
            if not ready:
                continue
            try:
                piece = os.read(keyboard, 65536)
            except OSError:
                break
            if not piece:
                break
            received += piece
        return process.wait(10), bytes(received)
    finally:
        os.close(keyboard)
        process.kill()
        process.wait(10)


class Terminal:
    """`orc` on a pseudo-terminal of 80 columns, at which a person types."""

    def __init__(self, *arguments: str, cwd: Path, **extra: str) -> None:
        self._keyboard, screen = pty.openpty()
        termios.tcsetwinsize(screen, (24, 80))
        environment = orc_environment(TERM="xterm-256color", **extra)
        self.process = ForkedProcess(arguments, cwd=cwd, env=environment, screen=screen)
        os.close(screen)
        self.output = ""
        self._read_to = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._keyboard)
        self.process.kill()
        self.process.wait(10)

    def wait_for(self, text: str) -> str:
        """Read until the text is printed after what earlier calls have read; what came before it."""
        deadline = time.monotonic() + 20
        while (place := self.output.find(text, self._read_to)) < 0:
            assert time.monotonic() < deadline, f"no {text!r} in {self.output!r}"
            if not self._receive():
                raise AssertionError(f"it ended without {text!r}: {self.output!r}")
        before = self.output[self._read_to : place]
        self._read_to = place + len(text)
        return before

    def type(self, text: str) -> None:
        """Type the text, in which `\\x03` is Ctrl-C and `\\x04` Ctrl-D."""
        os.write(self._keyboard, text.encode())

    def end(self) -> int:
        """Read until the process ends; its exit code."""
        while self._receive():
            pass
        return self.process.wait(10)

    def _receive(self) -> bool:
        ready, _, _ = select.select([self._keyboard], [], [], 20.0)
        if not ready:
            return False
        try:
            piece = os.read(self._keyboard, 65536)
        except OSError:
            return False
        self.output += piece.decode("utf-8", "replace")
        return bool(piece)
