"""One worker process: it calls Python functions, one after another.

Requests and answers are lines of JSON on two pipes of their own; see `orc/worker/function_worker.py`.
Which calls it serves, and when it is started and ended, is left to `python.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from orc.scheduler.effects.child import Child
from orc.scheduler.effects.contract import FunctionRequest
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.pipes import Keep, Pipe
from orc.scheduler.effects.waiting import retry_while_scarce
from orc.worker import function_worker
from orc.worker.function_worker import ANSWER_BYTES_MAX
from orc.worker.guarding import signal_group

_WORKER = Path(function_worker.__file__)
_CHUNK = 64 * 1024
_STARTED = b"\n"


class FunctionProcess:
    """A worker process with its pipes. It runs one call at a time.

    `on_ready` is called once, when the process has started or has ended.
    """

    def __init__(
        self, process: Child, requests: int, answers: int, *, on_ready: Callable[[], Any]
    ) -> None:
        self.child = process
        self._requests, self._answers = requests, answers
        os.set_blocking(requests, False)
        os.set_blocking(answers, False)
        (printed,) = process.pipes()
        self._printed = Pipe(printed, _drop, failed=self._fail)
        self._error: Exception | None = None
        self._on_ready: Callable[[], Any] | None = on_ready

    async def ask(self, request: FunctionRequest, keep: Keep) -> bytes | None:
        """The answer, one line; None if the process ended or its answer is too long.

        `keep` receives the function's output; what it raises, this raises.
        """
        self._printed.keep = keep
        answer = await self._ask(request)
        self.stop_printing()
        if self._error is not None:
            raise self._error
        return answer

    def stop_printing(self) -> None:
        """Pass on what the call has printed and nobody has read: a worker prints before it answers."""
        self._printed.read_ready()
        self._printed.keep = _drop

    def close(self) -> None:
        """Close the pipes to the process, which has ended."""
        self._printed.leave()
        self.child.close()
        os.close(self._requests)
        os.close(self._answers)
        self._note_ready()

    async def _ask(self, request: FunctionRequest) -> bytes | None:
        line = json.dumps(
            {
                "function": request.function,
                "args": request.args,
                "env": request.env,
                "cwd": request.cwd,
                "import_dir": request.import_dir,
                "use": request.use,
            }
        )
        if not await self._send(line.encode() + b"\n"):
            return None
        answer = bytearray()
        while not answer.endswith(b"\n"):
            await trio.lowlevel.wait_readable(self._answers)
            chunk = os.read(self._answers, _CHUNK)
            if not chunk:
                return None
            if self._on_ready is not None:
                self._note_ready()
                chunk = chunk.removeprefix(_STARTED)
            answer += chunk
            if len(answer) > ANSWER_BYTES_MAX:
                return None
        return bytes(answer)

    async def _send(self, content: bytes) -> bool:
        """Whether the worker still reads."""
        left = memoryview(content)
        try:
            while left:
                try:
                    left = left[os.write(self._requests, left) :]
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._requests)
        except BrokenPipeError:
            return False
        return True

    def _note_ready(self) -> None:
        if self._on_ready is not None:
            self._on_ready()
            self._on_ready = None

    def _fail(self, error: Exception) -> None:
        """What was printed cannot be kept: the call ends, since its process does."""
        self._error = error
        signal_group(self.child.pid, signal.SIGKILL)


async def start_process(
    request: FunctionRequest, groups: ProcessGroups, *, on_ready: Callable[[], Any]
) -> FunctionProcess:
    """Start a worker process that may serve the request. Raises OSError."""
    requests_read, requests_write, answers_read, answers_write = await retry_while_scarce(
        _open_pipes
    )
    try:
        process = await groups.spawn(
            [sys.executable, str(_WORKER), str(requests_read), str(answers_write)],
            cwd=request.cwd,
            env={name: value for name, value in request.env.items() if name not in request.secrets},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(requests_read, answers_write),
        )
    except BaseException:
        os.close(requests_write)
        os.close(answers_read)
        raise
    finally:
        os.close(requests_read)
        os.close(answers_write)
    return FunctionProcess(process, requests_write, answers_read, on_ready=on_ready)


def _drop(chunk: bytes) -> None:
    """What is printed after the answer belongs to no call."""


async def _open_pipes() -> tuple[int, int, int, int]:
    """The ends of the pipes for requests and for answers, each to read and to write."""
    requests_read, requests_write = os.pipe()
    try:
        answers_read, answers_write = os.pipe()
    except OSError:
        os.close(requests_read)
        os.close(requests_write)
        raise
    return requests_read, requests_write, answers_read, answers_write
