"""Calling a Python function in a worker process, which is used again for the next call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import trio

from ledger.digest import clean_json, clean_text
from scheduler.core.commands import Failed
from scheduler.effects.contract import FunctionRequest, Result, Stopwatch
from scheduler.effects.groups import ProcessGroups, signal_name
from scheduler.effects.text import parse_json

_WORKER = Path(__file__).with_name("worker.py")
_ANSWER_BYTES_MAX = 64 * 1024 * 1024


class WorkerPool:
    """Worker processes: one for each call at a time, kept for later calls."""

    def __init__(self, groups: ProcessGroups) -> None:
        self._groups = groups
        self._idle: list[_Worker] = []

    async def call(self, request: FunctionRequest) -> Result:
        """The function's value, or why there is none. Cancelled, it ends the worker's group."""
        watch = Stopwatch()
        try:
            worker = await self._take_idle() or await self._start(request)
        except OSError as error:
            message = f"no worker process can be started: {error.strerror or error}"
            return Result(failed=Failed(kind="environment", message=message, duration_s=0.0))
        answer: bytes | None = None
        try:
            answer = await worker.ask(request)
        finally:
            if answer is None:
                await self._end(worker)
            else:
                self._idle.append(worker)
        if answer is None:
            return Result(failed=_died(worker, watch.elapsed()))
        return _read_answer(answer, watch.elapsed())

    async def aclose(self) -> None:
        """End the idle workers."""
        while self._idle:
            await self._end(self._idle.pop())

    async def _take_idle(self) -> _Worker | None:
        """A worker that still lives: a thread of an earlier function may have ended one."""
        while self._idle:
            worker = self._idle.pop()
            if worker.process.poll() is None:
                return worker
            await self._end(worker)
        return None

    async def _start(self, request: FunctionRequest) -> _Worker:
        requests_read, requests_write = os.pipe()
        try:
            answers_read, answers_write = os.pipe()
        except OSError:
            os.close(requests_read)
            os.close(requests_write)
            raise
        try:
            process = await self._groups.spawn(
                [sys.executable, str(_WORKER), str(requests_read), str(answers_write)],
                cwd=request.cwd,
                env=request.env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(requests_read, answers_write),
            )
        except BaseException:
            os.close(requests_write)
            os.close(answers_read)
            raise
        finally:
            os.close(requests_read)
            os.close(answers_write)
        return _Worker(process, requests_write, answers_read)

    async def _end(self, worker: _Worker) -> None:
        await self._groups.end(worker.process)
        with trio.CancelScope(shield=True):
            await worker.aclose()


class _Worker:
    def __init__(self, process: trio.Process, requests: int, answers: int) -> None:
        self.process = process
        self._requests = trio.lowlevel.FdStream(requests)
        self._answers = trio.lowlevel.FdStream(answers)

    async def ask(self, request: FunctionRequest) -> bytes | None:
        """The worker's line of answer; none when it died or said too much."""
        line = json.dumps(
            {
                "function": request.function,
                "args": request.args,
                "env": request.env,
                "cwd": str(request.cwd),
                "log_path": str(request.log_path),
                "import_dir": request.import_dir,
                "use": request.use,
            }
        )
        try:
            await self._requests.send_all(line.encode() + b"\n")
        except trio.BrokenResourceError:
            return None
        answer = bytearray()
        while not answer.endswith(b"\n"):
            chunk = await self._answers.receive_some(1 << 16)
            answer += chunk
            if not chunk or len(answer) > _ANSWER_BYTES_MAX:
                return None
        return bytes(answer)

    async def aclose(self) -> None:
        await self._requests.aclose()
        await self._answers.aclose()


def _read_answer(line: bytes, duration_s: float) -> Result:
    try:
        answer = parse_json(line.decode("utf-8", "replace"))
    except ValueError as error:
        message = f"the function's value cannot be kept: {error}"
        return Result(failed=Failed(kind="schema", message=message, duration_s=duration_s))
    if "kind" in answer:
        message = clean_text(answer["message"])
        return Result(failed=Failed(kind=answer["kind"], message=message, duration_s=duration_s))
    value = clean_json(answer["value"])
    return Result(value=value, text=value if isinstance(value, str) else json.dumps(value))


def _died(worker: _Worker, duration_s: float) -> Failed:
    code = worker.process.returncode
    assert code is not None
    if code < 0:
        name = signal_name(-code)
        message = f"the worker process was ended by {name}"
        return Failed(kind="signal", message=message, duration_s=duration_s, signal=name)
    message = f"the worker process ended without an answer (exit status {code})"
    return Failed(kind="exit_code", message=message, duration_s=duration_s, exit_code=code)
