"""Runs a command: starts its process group, streams its output to the log, and ends the group."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Callable

import trio

from orc.ledger import failpoints
from orc.ledger.scarcity import describe_system_error
from orc.ledger.secrets.masking import Mask
from orc.scheduler.effects.child import Child
from orc.scheduler.effects.contract import OUTPUT_BYTES_MAX, CommandRequest, Stopwatch
from orc.scheduler.effects.deadlines import cut_at
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.log import Log
from orc.scheduler.effects.outcomes import TAIL_CHARS, too_much_output
from orc.scheduler.effects.pipes import Reading
from orc.scheduler.executors.contract import Broken, WorkOutcome
from orc.worker.guarding import LEFT_CHILDREN, SHELL, missing_command, signal_name


async def run_command(
    request: CommandRequest, *, groups: ProcessGroups, mask: Mask, deadline: float = math.inf
) -> WorkOutcome:
    """How the command ended, with its stdout. The log and the end of stderr are masked.

    `deadline` is on trio's clock, and counts until the command has ended. Of a command that did not
    end before, the outcome is `broken` (`timeout`).
    """
    watch = Stopwatch()
    # The shell of a text is there; whether its folder is, the system says for nothing.
    missing = "" if request.argv[0] == SHELL[0] else _missing_command(request)
    if missing:
        return WorkOutcome(broken=Broken("environment", missing))
    try:
        process = await groups.spawn(
            request.argv,
            cwd=request.cwd,
            env=request.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=request.stdin,
        )
    except OSError as error:
        message = _missing_command(request) or (
            f"the command could not be started: {describe_system_error(error)}"
        )
        return WorkOutcome(broken=Broken("environment", message))
    output = _CommandOutput(request, mask)
    try:
        await _follow(process, output, groups, deadline)
    finally:
        await groups.end(process)
        process.close()
        output.close()
    failpoints.hit("process.after_exit")
    return _outcome(request, process, output, watch, deadline)


class _CommandOutput:
    """The output of a command: stdout in memory, stdout and stderr in the log, each with a limit.

    `stdout` is not masked. The log and `tail` (the end of stderr) are.
    """

    def __init__(self, request: CommandRequest, mask: Mask) -> None:
        self._limit = _output_limit(request)
        self._log = Log(request.log_path, limit=request.limits.log_bytes, begins=True)
        self._out = mask.byte_stream()
        self._err = mask.byte_stream()
        self.stdout = bytearray()
        self.tail = bytearray()
        self.is_too_large = False
        self.stop_reading: Callable[[], None] = lambda: None
        self.ended_at: float | None = None
        self.away_s = 0.0
        self.has_left_children = False

    @property
    def warning(self) -> str | None:
        if self.has_left_children:
            return LEFT_CHILDREN
        return self._log.warning

    def from_stdout(self, chunk: bytes) -> None:
        self.stdout += chunk
        self._log.write(self._out.feed(chunk))
        # The final newline does not count, because it is not part of the output.
        if len(self.stdout.removesuffix(b"\n")) > self._limit:
            self.is_too_large = True
            self.stop_reading()

    def from_stderr(self, chunk: bytes) -> None:
        self._take_error(self._err.feed(chunk))

    def close(self) -> None:
        self._log.write(self._out.close())
        self._take_error(self._err.close())
        self._log.close()

    def _take_error(self, shown: bytes) -> None:
        self.tail += shown
        del self.tail[: -4 * TAIL_CHARS]
        self._log.write(shown)


def _output_limit(request: CommandRequest) -> int:
    return request.limits.output_bytes or OUTPUT_BYTES_MAX


async def _follow(
    process: Child, output: _CommandOutput, groups: ProcessGroups, deadline: float
) -> None:
    """Read until the command has ended and closed its output, stdout is too large, or it is late."""
    with Reading(
        process.pipes(), output.from_stdout, output.from_stderr, on_stop=process.stop_waiting
    ) as reading:
        output.stop_reading = reading.stop
        with cut_at(deadline):
            await process.wait()
        if process.returncode is None:
            # It is late, or its output is too large.
            return
        seen_at = trio.current_time()
        output.ended_at = await groups.ended_at(process, deadline=deadline)
        output.away_s = max(0.0, seen_at - output.ended_at)
        # A background process may hold the pipes open for ever.
        output.has_left_children = not await reading.is_over()


def _outcome(
    request: CommandRequest,
    process: Child,
    output: _CommandOutput,
    watch: Stopwatch,
    deadline: float,
) -> WorkOutcome:
    if not output.is_too_large and (output.ended_at is None or output.ended_at > deadline):
        return WorkOutcome(broken=Broken("timeout", ""), duration_s=watch.elapsed())
    code = process.returncode
    assert code is not None
    has_status = not output.is_too_large
    return WorkOutcome(
        exit_code=code if has_status and code >= 0 else None,
        signal=signal_name(-code) if has_status and code < 0 else None,
        broken=None if has_status else too_much_output(_output_limit(request)),
        stdout=bytes(output.stdout) if has_status else b"",
        stderr_tail=bytes(output.tail),
        warning=output.warning,
        duration_s=round((output.ended_at or trio.current_time()) - watch.started, 6),
        away_s=output.away_s,
    )


def _missing_command(request: CommandRequest) -> str:
    if not os.path.isdir(request.cwd):
        return f"there is no folder {request.cwd}, where the command starts"
    return missing_command(request.argv[0], request.cwd, request.env)
