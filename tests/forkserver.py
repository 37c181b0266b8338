"""`orc` processes without the start of an interpreter each time.

A small server that has imported the command line forks a process for each
request; that process has its own arguments, environment, folder and outputs,
runs `orc.cli.main` from its beginning and ends. What a whole new interpreter would
do before that - half a second of imports - is left out. Tests that are about
the start itself, or that look for the process by its environment, start a real
one: the system shows the environment of the server for a forked process.

A shell has the same with the folder of `ShellOrc` in its PATH.
"""

from __future__ import annotations

import array
import atexit
import fcntl
import json
import mmap
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[1]
_PACKAGES = ("orc.ledger", "orc.scheduler", "orc.projections", "orc.cli")
_NOT_NEEDED = (
    "orc.projections.datasette",
    "orc.projections.pages",
    "orc.scheduler.drivers",
    "orc.cli.mcp",
)
_FOR_PAGES = ("datasette.cli", "datasette.app", "uvicorn", "orc.projections.datasette.plugin")
"""What a server of pages imports; it is imported before the first of them is forked."""

_LATE = (
    *(
        "orc.providers.ollama",
        "orc.providers.replay",
        "jinja2.sandbox",
        "jsonschema",
    ),
    *("httpx", "httpcore._async.http11", "httpcore._backends.trio", "anyio", "encodings.idna"),
)
"""What a run imports when it needs it."""

_SDKS = {"openai": "orc.providers.openai", "anthropic": "orc.providers.anthropic"}
"""What takes a second to import and only some tests need, with the module of ours that needs it.

The server imports one of them as soon as a first process has asked for it.
"""

_PAGE_SERVERS = {"browse", "datasette"}
_SIZE = struct.Struct("!I")
_server: _Client | None = None


class _Client:
    """The one server of this process, started when it is first needed."""

    def __init__(self) -> None:
        here, there = socket.socketpair()
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forkserver", str(there.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
            )
        self._socket = here
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def is_mine(self) -> bool:
        return self._pid == os.getpid() and self._process.poll() is None

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        if self._pid == os.getpid():
            self._socket.close()
            self._process.wait()

    def run(
        self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with self.begin(arguments, cwd, env, outputs=(out.fileno(), err.fileno())) as report:
                code = _await_code(report, arguments, timeout_s)
            out.seek(0)
            err.seek(0)
            said = out.read().decode(), err.read().decode()
        return subprocess.CompletedProcess(["orc", *arguments], code, *said)

    def begin(
        self,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        *,
        outputs: tuple[int, int],
        has_terminal: bool = False,
        program: str = "orc",
    ) -> socket.socket:
        """Fork a process; the socket gets the line with its id, and then that with its status.

        With `has_terminal`, the outputs are a terminal, which becomes the process's own.
        """
        wanted = {
            "argv": [program, *arguments],
            "cwd": str(cwd),
            "env": dict(env),
            "has_terminal": has_terminal,
        }
        request = json.dumps(wanted).encode()
        report, its = socket.socketpair()
        with its:
            fds = array.array("i", [its.fileno(), *outputs])
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
            with self._lock:
                self._socket.sendmsg([_SIZE.pack(len(request))], ancillary)
                self._socket.sendall(request)
        return report


_SHELL_ORC = """\
#!{python} -IS
# The descriptor is there in a shell of the test, and in no process that orc starts.
import array, fcntl, json, os, signal, socket, struct, sys
try:
    is_there = os.fstat({fd}).st_ino == {inode}
except OSError:
    is_there = False
if not is_there or "browse" in sys.argv:
    os.execv({orc!r}, [{orc!r}, *sys.argv[1:]])
report, its = socket.socketpair()
wanted = dict(argv=["orc", *sys.argv[1:]], cwd=os.getcwd(), env=dict(os.environ), has_terminal=False)
request = json.dumps(wanted).encode()
with open(__file__) as own, socket.socket(fileno=os.dup({fd})) as server, its:
    fcntl.flock(own, fcntl.LOCK_EX)
    fds = array.array("i", [its.fileno(), 1, 2, 0])
    server.sendmsg([struct.pack("!I", len(request))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    server.sendall(request)
_, status = report.makefile("r")
code = os.waitstatus_to_exitcode(int(status))
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class ShellOrc:
    """A folder with an `orc` that lets the server fork, for the PATH of a shell.

    The shell inherits `fds`. Where they are missing, as in a step of a job, it is the `orc` of this
    installation; so it is for `browse`, as in `start_orc`. It passes no signals on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fds = [_client().fileno()]
        program = folder / "orc"
        program.write_text(
            _SHELL_ORC.format(
                python=sys.executable,
                fd=self.fds[0],
                inode=os.fstat(self.fds[0]).st_ino,
                orc=str(Path(sys.executable).with_name("orc")),
            )
        )
        program.chmod(0o700)


class ForkedProcess(subprocess.Popen[str]):
    """A forked `orc` with pipes for both of its outputs, to be used like any `Popen`.

    With a `screen`, that terminal is its stdin and both of its outputs. It is no child of this
    process, so that the server has to tell how it ended. The program may also be `datasette`, whose
    outputs are of no interest.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        screen: int | None = None,
        program: Literal["orc", "datasette"] = "orc",
    ) -> None:
        self.stdin = self.stdout = self.stderr = None
        if program != "orc":
            with open(os.devnull, "w") as nothing:
                outputs = (nothing.fileno(), nothing.fileno())
                self._report = _client().begin(
                    arguments, cwd, env, outputs=outputs, program=program
                )
        elif screen is not None:
            outputs = (screen, screen)
            self._report = _client().begin(arguments, cwd, env, outputs=outputs, has_terminal=True)
        else:
            out, its_out = os.pipe()
            err, its_err = os.pipe()
            self._report = _client().begin(arguments, cwd, env, outputs=(its_out, its_err))
            os.close(its_out)
            os.close(its_err)
            self.stdout = os.fdopen(out)
            self.stderr = os.fdopen(err)
        self.args = [program, *arguments]
        self.returncode: int | None = None
        self.text_mode = True
        self._input = None
        self._communication_started = False
        self._sigint_wait_secs = 0.25
        self._lines = self._report.makefile("r")
        self.pid = int(self._lines.readline())
        self._child_created = False  # nothing for Popen.__del__ to reap

    def _internal_poll(self, *_: object) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], 0)[0]:
            self._take_status()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self._take_status()
        assert self.returncode is not None
        return self.returncode

    def _take_status(self) -> None:
        self.returncode = os.waitstatus_to_exitcode(int(self._lines.readline()))
        self._lines.close()
        self._report.close()


def run_forked(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `orc` to its end, as `subprocess.run` would. Raises TimeoutExpired."""
    return _client().run(arguments, cwd, env, timeout_s)


def _client() -> _Client:
    global _server
    if _server is None or not _server.is_mine():
        _server = _Client()
        atexit.register(_server.close)
    return _server


def _await_code(mine: socket.socket, arguments: Sequence[str], timeout_s: float) -> int:
    deadline = time.monotonic() + timeout_s
    lines = mine.makefile("r")
    mine.settimeout(timeout_s)
    pid = int(lines.readline())
    mine.settimeout(max(0.01, deadline - time.monotonic()))
    try:
        return os.waitstatus_to_exitcode(int(lines.readline()))
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(["orc", *arguments], timeout_s) from None


def _serve(fd: int) -> None:
    import gc
    from importlib import import_module

    from orc.cli.main import main
    from tests.built import build_models

    for package in _PACKAGES:
        for found in pkgutil.walk_packages([str(ROOT / package.replace(".", "/"))], f"{package}."):
            if not found.name.startswith(_NOT_NEEDED):
                import_module(found.name)
    for name in _LATE:
        import_module(name)
    build_models()
    sys.path.pop(0)
    gc.collect()
    gc.freeze()
    asked = SdksAsked()
    sys.meta_path.insert(0, asked)
    children = _Children()
    with socket.socket(fileno=fd) as requests:
        while True:
            if requests not in children.wait_beside(requests):
                continue
            header, fds, _, _ = socket.recv_fds(requests, _SIZE.size, 4)
            if len(header) < _SIZE.size:
                return
            (size,) = _SIZE.unpack(header)
            request = json.loads(requests.recv(size, socket.MSG_WAITALL))
            needed = asked.modules()
            if not _PAGE_SERVERS.isdisjoint(request["argv"]):
                needed += _FOR_PAGES
            for name in needed:
                import_module(name)
            reply, *files = fds
            pid = os.fork()
            if pid == 0:
                children.forget()
                _become_orc(request, files, main)
            for taken in files:
                os.close(taken)
            children.add(pid, reply)


class _Children:
    """The processes that run, each with the socket that gets its id and then its status."""

    def __init__(self) -> None:
        self._replies: dict[int, int] = {}
        self._ended, self._wakes = socket.socketpair()
        for end in (self._ended, self._wakes):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes.fileno())

    def add(self, pid: int, reply: int) -> None:
        self._replies[pid] = reply
        self._tell(reply, pid)

    def wait_beside(self, requests: socket.socket) -> list[socket.socket]:
        """Wait for a request or the end of a process; says who has ended, and returns what is ready."""
        ready: list[socket.socket] = select.select([requests, self._ended], [], [])[0]
        if self._ended in ready:
            self._ended.recv(4096)
            while self._replies:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                reply = self._replies.pop(pid)
                self._tell(reply, status)
                os.close(reply)
        return ready

    def forget(self) -> None:
        """Take back what the server changed for itself, in a process that was forked."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _tell(self, reply: int, number: int) -> None:
        with suppress(OSError):  # the test does not want to know
            os.write(reply, f"{number}\n".encode())


class SdksAsked:
    """Marks which of the SDKs a process imports, in memory that the server shares with it.

    It is the first finder of modules in each process, and finds none.
    """

    def __init__(self) -> None:
        self._marks = mmap.mmap(-1, len(_SDKS))

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in _SDKS:
            self._marks[list(_SDKS).index(name)] = 1

    def modules(self) -> list[str]:
        """The modules of ours for what the processes have imported so far."""
        return [module for module, mark in zip(_SDKS.values(), self._marks[:], strict=True) if mark]


def _become_orc(request: dict[str, object], files: list[int], main: object) -> None:
    """Run with these files as stdout, stderr and, if there is a third one, stdin."""
    import traceback

    out, err, *others = files
    if request["has_terminal"]:
        os.setsid()
        os.dup2(out, 0)
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        sys.stdin = os.fdopen(0, closefd=False)
    elif others:
        os.dup2(others[0], 0)
        sys.stdin = os.fdopen(0, closefd=False)
    os.dup2(out, 1)
    os.dup2(err, 2)
    # New streams, as at the start of an interpreter: those of the server were made for its files.
    out_encoding, err_encoding = sys.stdout.encoding, sys.stderr.encoding
    sys.stdout = os.fdopen(1, "w", encoding=out_encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, err_encoding, "backslashreplace", closefd=False)
    os.closerange(3, 64)
    os.chdir(str(request["cwd"]))
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    time.tzset()
    sys.argv = list(request["argv"])  # type: ignore[call-overload]
    code: object = 0
    try:
        if sys.argv[0] == "datasette":
            from datasette.cli import cli

            cli()
        else:
            main()  # type: ignore[operator]
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120
    os._exit(code if isinstance(code, int) else int(bool(code)))


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
