"""The package llmock, which speaks the vendors' APIs, fails on demand and judges its client."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.heavy.aimock import ROOT, free_port, wait_until_it_listens

COMMAND = Path(os.environ.get("ORC_LLMOCK", ROOT / ".venv-providers" / "llmock" / "bin" / "llmock"))


class Llmock:
    """A server at `address`; `behave` says how it answers the next requests."""

    def __init__(self, address: str) -> None:
        self.address = address

    def behave(self, *behaviors: dict[str, Any]) -> None:
        """Forget what was before, and behave like this, each once."""
        self._call("POST", "reset")
        self._call("POST", "scenario", {"behaviors": list(behaviors)})

    def requests(self) -> list[dict[str, Any]]:
        """The requests since the last `behave`."""
        found = self._call("GET", "requests")
        return list(found["requests"] if isinstance(found, dict) else found)

    def verdict(self) -> dict[str, Any]:
        """What the server thinks of its client."""
        found = self._call("GET", "verdict")
        assert isinstance(found, dict)
        return found

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.address}/_llmock/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def serve_llmock(folder: Path, *options: str) -> Iterator[Llmock]:
    """A server in a process of its own; skips where it is not installed."""
    if not COMMAND.exists():
        pytest.skip("llmock is not installed: make test-providers")
    port = free_port()
    log = folder / "llmock.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", str(port), "--response-style", "echo", *options],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_it_listens(process, port, log)
            yield Llmock(f"http://127.0.0.1:{port}")
        finally:
            process.kill()
            process.wait()
