"""Calls of Python functions: the request for the script `function_worker.py`, and its answer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orc.worker.function_worker import ANSWER_BYTES_MAX

SCRIPT = Path(__file__).with_name("function_worker.py")


class Answer:
    """The pipe on which the script answers, and one line from it."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        self._received = bytearray()

    @property
    def is_complete(self) -> bool:
        """Whether the line has ended."""
        return self._received.endswith(b"\n") and not self.is_too_large

    @property
    def is_too_large(self) -> bool:
        """Whether the line is longer than the script writes one."""
        return len(self._received) > ANSWER_BYTES_MAX

    @property
    def line(self) -> bytes:
        """The line, without its end."""
        return bytes(self._received).partition(b"\n")[0]

    def take(self, chunk: bytes) -> None:
        """Keep a piece."""
        if not self.is_too_large:
            # An empty line before the answer says that the process has started.
            self._received += chunk if self._received else chunk.lstrip(b"\n")

    def close_write(self) -> None:
        """Close the script's end here."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def close(self) -> None:
        """Close both ends."""
        self.close_write()
        with suppress(OSError):
            os.close(self.read_fd)


def call_line(
    function: str,
    args: Mapping[str, Any],
    *,
    env: Mapping[str, str],
    cwd: Path,
    import_dir: Path,
) -> bytes:
    """The request for one call."""
    request = {
        "function": function,
        "args": args,
        "env": env,
        "cwd": str(cwd),
        "import_dir": str(import_dir),
        "use": "call",
    }
    return json.dumps(request).encode() + b"\n"
