"""Calls Python functions in worker processes, which are reused for later calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import trio

from orc.ledger.scarcity import describe_system_error
from orc.ledger.secrets.masking import Mask
from orc.scheduler.effects.child import Child
from orc.scheduler.effects.contract import FunctionRequest, Result, Stopwatch
from orc.scheduler.effects.groups import ProcessGroups, signal_name
from orc.scheduler.effects.log import Log
from orc.scheduler.effects.outcomes import function_result
from orc.scheduler.effects.pipes import Keep, Pipe
from orc.scheduler.effects.waiting import retry_while_scarce
from orc.scheduler.executors.contract import Broken, WorkOutcome
from orc.worker import function_worker
from orc.worker.function_worker import ANSWER_BYTES_MAX

_WORKER = Path(function_worker.__file__)
_CHUNK = 64 * 1024


class WorkerPool:
    """Worker processes. Each runs one call at a time, and later calls of the same kind.

    A process keeps the modules that it has imported, and these may keep variables that they read.
    So it serves only calls with the same secrets and the same folder of modules.

    The output of the functions goes to the log, with secrets masked.
    """

    def __init__(self, groups: ProcessGroups, *, mask: Mask) -> None:
        self._groups = groups
        self._mask = mask
        self._idle: list[_Worker] = []

    async def call(self, request: FunctionRequest) -> Result:
        """The function's value, or its failure. On cancellation, the worker's group is ended."""
        outcome = await self.perform(request)
        return function_result(outcome, limits=request.limits, mask=self._mask, use=request.use)

    async def perform(self, request: FunctionRequest) -> WorkOutcome:
        """How the call ended. On cancellation, the worker's group is ended."""
        watch = Stopwatch()
        try:
            worker = await self._take_idle(request) or await self._start(request)
        except OSError as error:
            message = f"the worker process could not be started: {describe_system_error(error)}"
            return WorkOutcome(broken=Broken("environment", message))
        answer: bytes | None = None
        printed = _Printed(request, self._mask)
        try:
            answer = await worker.ask(request, printed.take)
        finally:
            if answer is None:
                await self._end(worker)
            else:
                worker.stop_printing()
                self._idle.append(worker)
            printed.close()
        ended = WorkOutcome(answer=answer, warning=printed.warning, duration_s=watch.elapsed())
        if answer is not None:
            return replace(ended, exit_code=0)
        code = worker.process.returncode
        assert code is not None
        return (
            replace(ended, signal=signal_name(-code))
            if code < 0
            else replace(ended, exit_code=code)
        )

    async def aclose(self) -> None:
        """End the idle workers."""
        while self._idle:
            await self._end(self._idle.pop())

    async def _take_idle(self, request: FunctionRequest) -> _Worker | None:
        """An idle worker for the request that is still running; None if there is none."""
        for worker in reversed([one for one in self._idle if one.serves(request)]):
            self._idle.remove(worker)
            if worker.process.returncode is None:
                return worker
            await self._end(worker)
        return None

    async def _start(self, request: FunctionRequest) -> _Worker:
        requests_read, requests_write, answers_read, answers_write = await retry_while_scarce(
            _open_pipes
        )
        try:
            process = await self._groups.spawn(
                [sys.executable, str(_WORKER), str(requests_read), str(answers_write)],
                cwd=request.cwd,
                env={
                    name: value
                    for name, value in request.env.items()
                    if name not in request.secrets
                },
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
        return _Worker(process, requests_write, answers_read, request)

    async def _end(self, worker: _Worker) -> None:
        await self._groups.end(worker.process)
        worker.stop_printing()
        worker.close()


class _Printed:
    """Masks the output of a call and writes it to the log."""

    def __init__(self, request: FunctionRequest, mask: Mask) -> None:
        self._log = Log(request.log_path, limit=request.limits.log_bytes)
        self._masked = mask.byte_stream()

    @property
    def warning(self) -> str | None:
        return self._log.warning

    def take(self, chunk: bytes) -> None:
        self._log.write(self._masked.feed(chunk))

    def close(self) -> None:
        self._log.write(self._masked.close())
        self._log.close()


class _Worker:
    def __init__(self, process: Child, requests: int, answers: int, first: FunctionRequest) -> None:
        self.process = process
        self._secrets, self._import_dir = first.secrets, first.import_dir
        self._requests, self._answers = requests, answers
        os.set_blocking(requests, False)
        os.set_blocking(answers, False)
        (printed,) = process.pipes()
        self._printed = Pipe(printed, _drop, failed=self._fail)
        self._error: Exception | None = None
        self._asking: trio.CancelScope | None = None

    def serves(self, request: FunctionRequest) -> bool:
        """Whether the process has had no other secrets than the call, and imports its modules."""
        return (self._secrets, self._import_dir) == (request.secrets, request.import_dir)

    async def ask(self, request: FunctionRequest, keep: Keep) -> bytes | None:
        """The worker's answer, one line; None if the worker ended or its answer is too long.

        `keep` receives the function's output, until `stop_printing`.
        """
        self._printed.keep = keep
        with trio.CancelScope() as self._asking:
            return await self._ask(request)
        assert self._error is not None
        raise self._error

    def stop_printing(self) -> None:
        """Pass on what the call has printed and nobody has read: a worker prints before it answers."""
        self._printed.read_ready()
        self._printed.keep = _drop

    async def _ask(self, request: FunctionRequest) -> bytes | None:
        line = json.dumps(
            {
                "function": request.function,
                "args": request.args,
                "env": request.env,
                "cwd": str(request.cwd),
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
            answer += chunk
            if not chunk or len(answer) > ANSWER_BYTES_MAX:
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

    def close(self) -> None:
        """Close the pipes to a process that has ended."""
        self._printed.leave()
        self.process.close()
        os.close(self._requests)
        os.close(self._answers)

    def _fail(self, error: Exception) -> None:
        self._error = error
        if self._asking is not None:
            self._asking.cancel()


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
