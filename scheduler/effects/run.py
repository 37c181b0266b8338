"""Runs a command: starts its process group, streams its output to the log, and ends the group."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import trio

from orc.ledger import failpoints
from orc.ledger.digest import clean_text
from orc.ledger.scarcity import describe_system_error
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import size_text
from orc.scheduler.core.commands import Failed
from orc.scheduler.effects.contract import OUTPUT_BYTES_MAX, CommandRequest, Result, Stopwatch
from orc.scheduler.effects.groups import ProcessGroups, signal_name
from orc.scheduler.effects.log import Log
from orc.scheduler.effects.text import json_result

DRAIN_S = 1.0
"""How long background processes may keep the output open after the command has ended."""
_CHUNK = 64 * 1024
_TAIL_CHARS = 300


async def perform_run(request: CommandRequest, *, groups: ProcessGroups, mask: Mask) -> Result:
    """The command's stdout without one final newline, or its failure. The log is masked."""
    watch = Stopwatch()
    missing = _missing_command(request)
    if missing:
        return Result(failed=Failed(kind="environment", message=missing, duration_s=0.0))
    try:
        process = await groups.spawn(
            request.argv,
            cwd=request.cwd,
            env=request.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        message = f"the command could not be started: {describe_system_error(error)}"
        return Result(failed=Failed(kind="environment", message=message, duration_s=0.0))
    output = _CommandOutput(request, mask)
    try:
        await _follow(process, output)
    finally:
        await groups.end(process)
        with trio.CancelScope(shield=True):
            await process.stdout.aclose()  # type: ignore[union-attr]  # both are pipes
            await process.stderr.aclose()  # type: ignore[union-attr]
        output.close()
    failpoints.hit("process.after_exit")
    return _result(request, process, output, watch, mask)


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
        self.too_large = trio.Event()
        self.has_left_children = False

    @property
    def warning(self) -> str | None:
        if self.has_left_children:
            return (
                "a background process kept the output open after the command ended; it was killed"
            )
        return self._log.warning

    def from_stdout(self, chunk: bytes) -> None:
        self.stdout += chunk
        self._log.write(self._out.feed(chunk))
        # The final newline does not count, because it is not part of the output.
        if len(self.stdout.removesuffix(b"\n")) > self._limit:
            self.too_large.set()

    def from_stderr(self, chunk: bytes) -> None:
        self._take_error(self._err.feed(chunk))

    def close(self) -> None:
        self._log.write(self._out.close())
        self._take_error(self._err.close())
        self._log.close()

    def _take_error(self, shown: bytes) -> None:
        self.tail += shown
        del self.tail[: -4 * _TAIL_CHARS]
        self._log.write(shown)


def _output_limit(request: CommandRequest) -> int:
    return request.limits.output_bytes or OUTPUT_BYTES_MAX


async def _follow(process: trio.Process, output: _CommandOutput) -> None:
    """Read until the command has ended and closed its output, or until stdout is too large."""
    async with trio.open_nursery() as guard:
        guard.start_soon(_cancel_when, output.too_large, guard.cancel_scope)
        async with trio.open_nursery() as readers:
            readers.start_soon(_read, process.stdout, output.from_stdout)
            readers.start_soon(_read, process.stderr, output.from_stderr)
            await process.wait()
            # A background process may hold the pipes open for ever.
            readers.cancel_scope.deadline = trio.current_time() + DRAIN_S
        if readers.cancel_scope.cancelled_caught and not output.too_large.is_set():
            output.has_left_children = True
        guard.cancel_scope.cancel()


async def _read(stream: trio.abc.ReceiveStream | None, keep: Callable[[bytes], None]) -> None:
    assert stream is not None
    while chunk := await stream.receive_some(_CHUNK):
        keep(bytes(chunk))


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _result(
    request: CommandRequest,
    process: trio.Process,
    output: _CommandOutput,
    watch: Stopwatch,
    mask: Mask,
) -> Result:
    duration_s = watch.elapsed()
    if output.too_large.is_set():
        limit = size_text(_output_limit(request))
        return Result(
            failed=Failed(
                kind="output_too_large",
                message=f"the command printed more than {limit} to stdout; write a file and "
                "capture it with `files:` instead",
                duration_s=duration_s,
            )
        )
    code = process.returncode
    assert code is not None
    if code != 0:
        complaint = clean_text(output.tail.decode("utf-8", "replace"))
        return Result(failed=_failure(code, complaint, duration_s), complaint=complaint)
    said = clean_text(bytes(output.stdout).decode("utf-8", "replace")).removesuffix("\n")
    text = mask.text(said)
    warning = output.warning
    if "\ufffd" in text and warning is None:
        warning = "the output was not valid UTF-8; the log has the original bytes"
    if request.wants_json:
        read = partial(
            json_result, duration_s=duration_s, what="the output", schema=request.output_schema
        )
        result = read(text)
        if result.failed is not None and text != said:
            # Masking a number breaks the JSON, so parse first and mask the value.
            value = read(said)
            result = result if value.failed else replace(value, value=mask.value(value.value))
        return replace(result, warning=warning, text=text)
    return Result(value=text, text=text, warning=warning)


def _failure(code: int, complaint: str, duration_s: float) -> Failed:
    said = complaint.strip()
    last = said.splitlines()[-1][-_TAIL_CHARS:] if said else ""
    because = f": {last}" if last else ""
    if code < 0:
        name = signal_name(-code)
        message = f"the command was ended by {name}{because}"
        return Failed(kind="signal", message=message, duration_s=duration_s, signal=name)
    message = f"the command exited with code {code}{because}"
    return Failed(kind="exit_code", message=message, duration_s=duration_s, exit_code=code)


def _missing_command(request: CommandRequest) -> str:
    name = request.argv[0]
    if shutil.which(name, path=request.env.get("PATH", os.defpath)) is not None:
        return ""
    path = request.cwd / name
    if "/" in name and path.exists():
        if path.is_file() and os.access(path, os.X_OK):
            return ""
        return f"the command {name!a} is not executable; run `chmod +x` on it"
    return f"the command {name!a} was not found on PATH; install it or correct its name"
