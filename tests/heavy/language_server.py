"""The npm package yaml-language-server, as an editor uses it: JSON-RPC over its stdin and stdout."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ROOT / ".node" / "node_modules" / ".bin" / "yaml-language-server"
SETTINGS = {
    "yaml": {"validate": True, "completion": True, "schemaStore": {"enable": False}},
    "http": {},
}


class Editor:
    """One open file in an editor that runs the language server."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to: IO[bytes] = process.stdin
        self._from: IO[bytes] = process.stdout
        self._id = 0
        self._version = 0
        self._uri = path.as_uri()
        self._found: list[Any] | None = None
        self._ask(
            "initialize",
            {
                "processId": None,
                "rootUri": path.parent.as_uri(),
                "capabilities": {"workspace": {"configuration": True}},
            },
        )
        self._send({"method": "initialized", "params": {}})

    def problems(self, text: str) -> list[dict[str, Any]]:
        """The diagnostics of the file with this text."""
        self._open(text)
        while self._found is None:
            self._take(self._receive())
        return self._found

    def completions(self, text: str, line: int, character: int) -> list[str]:
        """The labels that are offered in the file with this text; both numbers count from 0."""
        self._open(text)
        where = {"line": line, "character": character}
        found = self._ask(
            "textDocument/completion", {"textDocument": {"uri": self._uri}, "position": where}
        )
        return [item["label"] for item in (found["items"] if isinstance(found, dict) else found)]

    def _open(self, text: str) -> None:
        self._found = None
        self._version += 1
        if self._version == 1:
            opened = {"languageId": "yaml", "version": 1, "text": text, "uri": self._uri}
            self._send({"method": "textDocument/didOpen", "params": {"textDocument": opened}})
            return
        changed = {"uri": self._uri, "version": self._version}
        params = {"textDocument": changed, "contentChanges": [{"text": text}]}
        self._send({"method": "textDocument/didChange", "params": params})

    def _ask(self, method: str, params: dict[str, Any]) -> Any:
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        while True:
            said = self._receive()
            if said.get("id") == self._id and "method" not in said:
                assert "error" not in said, said
                return said["result"]
            self._take(said)

    def _take(self, said: dict[str, Any]) -> None:
        """Answer a request of the server, or keep its diagnostics."""
        if said.get("method") == "textDocument/publishDiagnostics":
            self._found = said["params"]["diagnostics"]
        elif said.get("method") == "workspace/configuration":
            asked = [item.get("section", "") for item in said["params"]["items"]]
            self._send({"id": said["id"], "result": [SETTINGS.get(name) for name in asked]})
        elif "id" in said and "method" in said:
            self._send({"id": said["id"], "result": None})

    def _send(self, message: dict[str, Any]) -> None:
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._to.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        self._to.flush()

    def _receive(self) -> dict[str, Any]:
        length = 0
        while (line := self._from.readline()) != b"\r\n":
            assert line, "the language server has ended"
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        found: dict[str, Any] = json.loads(self._from.read(length))
        return found


@contextmanager
def edit(path: Path) -> Iterator[Editor]:
    """An editor with the file; skips where there is no language server."""
    if shutil.which("node") is None:
        pytest.skip("there is no Node here")
    if not COMMAND.exists():
        pytest.skip("yaml-language-server is not installed: make test-providers")
    with subprocess.Popen(
        [COMMAND, "--stdio"],
        cwd=path.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield Editor(process, path)
        finally:
            process.kill()
