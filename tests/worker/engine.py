"""A tiny engine for tests of the agent: each submitted copy runs in a thread of this process."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orc.worker.agent import Agent
from orc.worker.wire import PROTOCOL

WAIT_S = 20.0
LIMITS = {"file_bytes": 1 << 20, "output_bytes": 1 << 16, "log_bytes": 1 << 18}


def payload(
    argv: list[str] | None = None,
    *,
    ticket: str = "job_a/step/1",
    run: str,
    contents: Mapping[str, bytes] | None = None,
    keep_s: float = 60,
    lease_s: float = 10,
    **work: Any,
) -> dict[str, Any]:
    """What an engine submits for one copy."""
    by_digest = {digest(content): content for content in (contents or {}).values()}
    inputs = [file_item(path, content) for path, content in (contents or {}).items()]
    work["globs"] = [as_declared(glob) for glob in work.get("globs", ())]
    return {
        "protocol": PROTOCOL,
        "ticket": ticket,
        "run": run,
        "work": {
            "kind": "command",
            "argv": ["true"] if argv is None else argv,
            "inherited": ["PATH", "HOME"],
            "inputs": inputs,
            "limits": LIMITS,
            "grace_s": 0.3,
            **work,
        },
        "contents": {name: base64.b64encode(data).decode() for name, data in by_digest.items()},
        "keep_s": keep_s,
        "lease_s": lease_s,
    }


def as_declared(glob: str | dict[str, str]) -> dict[str, str]:
    """A pattern that need not match anything."""
    return {"glob": glob, "required": "no"} if isinstance(glob, str) else glob


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_item(path: str, content: bytes, mode: str | None = None) -> dict[str, Any]:
    return {"path": path, "sha256": digest(content), "size_bytes": len(content), "mode": mode}


def wait_until(is_true: Callable[[], object], *, limit_s: float = WAIT_S) -> float:
    """Wait with a bound until something is true; the seconds that it took."""
    started = time.monotonic()
    while not is_true():
        assert time.monotonic() - started < limit_s, "it did not happen in time"
        time.sleep(0.005)
    return time.monotonic() - started


class Copy:
    """A submitted copy, with the events that the agent emitted for it."""

    def __init__(self, agent: Agent, message: dict[str, Any]) -> None:
        self.message = message
        self.events: list[dict[str, Any]] = []
        self.problem: BaseException | None = None
        self._agent = agent
        self._thread = threading.Thread(target=self._perform, daemon=True)
        self._thread.start()

    @property
    def ticket(self) -> str:
        return str(self.message["ticket"])

    @property
    def run(self) -> str:
        return str(self.message["run"])

    def control(self, op: str, **fields: Any) -> dict[str, Any]:
        return self._agent.control({"op": op, "ticket": self.ticket, "run": self.run, **fields})

    def said(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]

    def wait_asked(self) -> dict[str, Any]:
        wait_until(lambda: self.said("asked"))
        return self.said("asked")[0]

    def allow(self, *, epoch: int = 1, secrets: Mapping[str, str] | None = None) -> dict[str, Any]:
        self.wait_asked()
        return self.control("allow", epoch=epoch, secrets=dict(secrets or {}))

    def wait(self) -> None:
        """Wait until `perform` has returned."""
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the copy did not end in time"

    @property
    def has_returned(self) -> bool:
        return not self._thread.is_alive()

    def outcome(self) -> dict[str, Any]:
        """The outcome of an ended copy."""
        self.wait()
        answer = self.control("outcome")
        assert answer["ok"], answer
        return dict(answer["outcome"])

    def result(self, **allowed: Any) -> dict[str, Any]:
        """Allow the copy; its outcome."""
        answer = self.allow(**allowed)
        assert answer["ok"], answer
        return self.outcome()

    def read(self, place: str, path: str = "") -> bytes:
        answer = self.control("read", place=place, path=path, offset=0, length=1 << 20)
        assert answer["ok"], answer
        return bytes(answer["data"])

    def log(self) -> bytes:
        return self.read("log")

    def _perform(self) -> None:
        try:
            self._agent.perform(
                json.dumps(self.message).encode(), emit=self.events.append, worker="w1", host="h1"
            )
        except BaseException as error:
            self.problem = error


class FakeEngine:
    """One worker process with an agent."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.agent = Agent({"ORC_WORKER_DIR": str(folder), **environ})
        self.copies: list[Copy] = []

    def submit(self, argv: list[str] | None = None, **options: Any) -> Copy:
        run = options.pop("run", None) or secrets.token_hex(4)
        copy = Copy(self.agent, payload(argv, run=run, **options))
        self.copies.append(copy)
        return copy

    def shell(self, script: str, **options: Any) -> Copy:
        return self.submit(["/bin/sh", "-c", script], **options)

    def again(self, copy: Copy) -> Copy:
        """Give the agent the same copy once more, as engines do."""
        second = Copy(self.agent, copy.message)
        self.copies.append(second)
        return second

    def control(self, op: str, **fields: Any) -> dict[str, Any]:
        return self.agent.control({"op": op, **fields})

    def put(self, content: bytes, **fields: Any) -> dict[str, Any]:
        whole = {"sha256": digest(content), "offset": 0, "size": len(content), "data": content}
        return self.control("put", **(whole | fields))

    def spools(self) -> list[Path]:
        return list(self.folder.glob("orc-worker-*/agents/*/*-*"))

    def files(self) -> list[Path]:
        """All files that the agent has on the disk."""
        # The agent may remove a folder meanwhile.
        return [Path(folder, name) for folder, _, names in os.walk(self.folder) for name in names]

    def close(self) -> None:
        """End everything; each thread must end."""
        self.agent.close()
        for copy in self.copies:
            copy.wait()


def text(outcome: Mapping[str, Any], name: str = "stdout") -> str:
    """Bytes of an outcome as a text."""
    return base64.b64decode(outcome[name]).decode()
