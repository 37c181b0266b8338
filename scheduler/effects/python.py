"""Calls Python functions in worker processes, which are reused for later calls."""

from __future__ import annotations

import trio

from orc.ledger.scarcity import describe_system_error
from orc.ledger.secrets.masking import Mask
from orc.scheduler.effects.contract import FunctionRequest, Result, Stopwatch
from orc.scheduler.effects.function_process import FunctionProcess, start_process
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.log import MaskedLog
from orc.scheduler.effects.outcomes import function_result
from orc.scheduler.executors.contract import Broken, WorkOutcome
from orc.worker.cores import usable_cores
from orc.worker.guarding import signal_name

STARTS_MAX = max(2, usable_cores())
"""How many processes start at once. A start keeps a core busy: more of them take longer."""
START_S_MAX = 5.0
"""If no process has started for this long, the others do not wait for those that try."""


class WorkerPool:
    """Worker processes. Each runs one call at a time, and later calls of the same kind.

    A process keeps the modules that it has imported, and these may keep variables that they read.
    So it serves only calls with the same secrets and the same folder of modules.

    A call that finds no idle process starts one, if not too many start already; else it waits until
    one is idle or may be started. So many short calls at once need few processes, and long ones get
    one each.

    The output of the functions goes to the log, with secrets masked.
    """

    def __init__(self, groups: ProcessGroups, *, mask: Mask) -> None:
        self._groups = groups
        self._mask = mask
        self._kinds: dict[tuple[tuple[str, ...], str], _Kind] = {}
        self._starting = 0
        self._started_at = 0.0

    @property
    def idle(self) -> int:
        """How many processes wait for a call."""
        return sum(len(kind.idle) for kind in self._kinds.values())

    async def call(self, request: FunctionRequest) -> Result:
        """The function's value, or its failure. On cancellation, the worker's group is ended."""
        outcome = await self.perform(request)
        return function_result(outcome, limits=request.limits, mask=self._mask, use=request.use)

    async def perform(self, request: FunctionRequest) -> WorkOutcome:
        """How the call ended. On cancellation, the worker's group is ended."""
        watch = Stopwatch()
        key = (request.secrets, request.import_dir)
        kind = self._kinds.get(key) or self._kinds.setdefault(key, _Kind())
        try:
            process = await self._process(request, kind)
        except OSError as error:
            message = f"the worker process could not be started: {describe_system_error(error)}"
            return WorkOutcome(broken=Broken("environment", message))
        answer: bytes | None = None
        printed = MaskedLog(request.log_path, self._mask, limit=request.limits.log_bytes)
        try:
            answer = await process.ask(request, printed.write)
        finally:
            if answer is not None:
                kind.idle.append(process)
            if kind.waiting:
                # Another call takes the process, or may start one in its place.
                kind.waiting.unpark()
            if answer is None:
                await self._end(process)
            printed.close()
        code = 0 if answer is not None else process.child.returncode
        assert code is not None
        return WorkOutcome(
            exit_code=code if code >= 0 else None,
            signal=signal_name(-code) if code < 0 else None,
            answer=answer,
            warning=printed.warning,
            duration_s=watch.elapsed(),
        )

    async def aclose(self) -> None:
        """End the idle processes."""
        for kind in self._kinds.values():
            while kind.idle:
                await self._end(kind.idle.pop())

    async def _process(self, request: FunctionRequest, kind: _Kind) -> FunctionProcess:
        """An idle process that is still running, or a new one. Raises OSError."""
        while True:
            while kind.idle:
                process = kind.idle.pop()
                if process.child.returncode is None:
                    return process
                await self._end(process)
            if self._may_start():
                return await self._start(request)
            with trio.move_on_after(START_S_MAX):
                await kind.waiting.park()

    def _may_start(self) -> bool:
        return self._starting < STARTS_MAX or trio.current_time() - self._started_at >= START_S_MAX

    async def _start(self, request: FunctionRequest) -> FunctionProcess:
        if not self._starting:
            self._started_at = trio.current_time()
        self._starting += 1
        try:
            return await start_process(request, self._groups, on_ready=self._note_ready)
        except BaseException:
            self._note_ready()
            raise

    def _note_ready(self) -> None:
        """A process has started, or will not: the next one may."""
        self._starting -= 1
        self._started_at = trio.current_time()
        for kind in self._kinds.values():
            # One of each kind: a call that takes an idle process leaves the start to others.
            kind.waiting.unpark()

    async def _end(self, process: FunctionProcess) -> None:
        await self._groups.end(process.child)
        process.stop_printing()
        process.close()


class _Kind:
    """The idle processes for calls of one kind, and the calls of it that wait for one."""

    def __init__(self) -> None:
        self.idle: list[FunctionProcess] = []
        self.waiting = trio.lowlevel.ParkingLot()
