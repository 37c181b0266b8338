"""Runs `orc` on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

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
