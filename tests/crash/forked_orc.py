"""`orc` processes that start at once: forked from an interpreter that has imported everything.

A sweep starts hundreds of them. Each is a process of its own, with its own
ledger connections, signals and death; only the second of imports is saved. The
interpreter that forks has one thread and opens nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.processes import ROOT, WAIT_S, end_process, orc_environment

_PACKAGES = ("ledger", "scheduler", "projections", "cli")
_NOT_NEEDED = ("projections.datasette", "scheduler.effects.worker", "scheduler.effects.reaper")
_LATE = (
    *("providers.ollama", "providers.replay", "jinja2.sandbox", "jsonschema", "sqlite_utils"),
    *("httpx", "httpcore._async.http11", "httpcore._backends.trio", "anyio", "encodings.idna"),
)
"""What a run imports when it needs it."""


_TOO_LATE = 1000


@dataclass(frozen=True, slots=True)
class Died:
    """How a process ended: its exit code, negative for a signal, and what it said."""

    code: int
    out: str
    err: str

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.code == -signal.SIGKILL


class ForkedOrc:
    """Starts `orc` again and again; a context manager around the interpreter that forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.forked_orc"],
            cwd=ROOT,
            env=orc_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end_process(self._process)

    def run(self, *arguments: str, cwd: Path, failpoints: str = "", **extra: str) -> Died:
        """Run `orc` to its end, with these failpoints armed; `extra` are environment variables."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if failpoints:
            extra["ORC_FAILPOINTS"] = failpoints
        out, err = cwd / ".stdout", cwd / ".stderr"
        wish = {"argv": arguments, "cwd": str(cwd), "env": extra, "out": str(out), "err": str(err)}
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the interpreter that forks has ended"
        died = Died(int(answer), out.read_text(), err.read_text())
        assert died.code != _TOO_LATE, f"orc {arguments} did not end: {died.err}"
        return died


def main() -> None:
    """Import what `orc` imports, then fork for each line of stdin."""
    for package in _PACKAGES:
        for found in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not found.name.startswith(_NOT_NEEDED):
                importlib.import_module(found.name)
    for name in _LATE:
        importlib.import_module(name)
    for line in sys.stdin:
        wish = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_orc(wish)
        print(_wait(pid), flush=True)


def _become_orc(wish: dict[str, Any]) -> None:
    code = 70
    try:
        for fd, path in ((0, os.devnull), (1, wish["out"]), (2, wish["err"])):
            flags = os.O_RDONLY if fd == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(path, flags, 0o600), fd)
        os.chdir(wish["cwd"])
        os.environ.update(wish["env"])
        sys.argv = ["orc", *wish["argv"]]
        from cli.main import main as run_orc

        run_orc()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int) -> int:
    deadline = time.monotonic() + WAIT_S
    pause_s = 0.002
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause_s)
        pause_s = min(0.02, pause_s * 1.3)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return _TOO_LATE


if __name__ == "__main__":
    main()
