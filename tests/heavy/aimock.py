"""The npm package aimock, which speaks the vendors' APIs: its own process, on a port of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ROOT / ".node" / "node_modules" / ".bin" / "llmock"
START_S = 90.0


@contextmanager
def serve_aimock(folder: Path, fixtures: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The address of a server that answers from the fixtures; skips where there is none to start."""
    if shutil.which("node") is None:
        pytest.skip("there is no Node here")
    if not COMMAND.exists():
        pytest.skip("aimock is not installed: make test-providers")
    path = folder / "fixtures.json"
    path.write_text(json.dumps({"fixtures": list(fixtures)}))
    port = free_port()
    with (folder / "aimock.log").open("wb") as log:
        process = subprocess.Popen(
            [COMMAND, "--port", str(port), "--fixtures", path, "--chunk-size", "5", "--strict"],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_it_listens(process, port, folder / "aimock.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the process accepts connections."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            ended = process.poll() is not None or time.monotonic() > deadline
            assert not ended, f"the server does not listen: {log.read_text()[-2000:]}"
        else:
            return
