"""Process groups that end with the runner, even if the runner is killed.

Each child leads a session of its own. Before it runs its command, it waits at a gate until the
reaper (`reaper.py`) knows its group. If the runner is killed before that, the child reads end of
file at the gate and exits. The gate is a line of shell; a shell that runs a text has it in front of
the text, so that it need not start another one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import trio

from orc.ledger import failpoints
from orc.ledger.scarcity import shortage_number
from orc.scheduler.effects.child import Child
from orc.scheduler.effects.waiting import retry_while_scarce
from orc.worker.exit_statuses import require_exit_statuses
from orc.worker.guarding import gated, signal_group, start_reaper

GRACE_S = 10.0
_NO_STDIN = Path("/dev/null")
_REAPER = Path(__file__).with_name("reaper.py")
_POLL_S = 0.02
_CHUNK = 64 * 1024
_NOTE_LOOKS = 50
"""How often to look for the reaper's word on when a process ended."""


class ProcessGroups:
    """The process groups of one runner. The runner closes it at its end."""

    def __init__(self, *, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._reaper: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        self._ends: dict[int, float] = {}
        self._unread = b""
        self._skips_grace = False

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | str,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
        pass_fds: Sequence[int] = (),
        stdin: Path = _NO_STDIN,
    ) -> Child:
        """Start a command as the leader of a new group; it reads the file `stdin`.

        A signal that orc ignores is ignored by the command, too, as `nohup` promises; the signals
        that only Python ignores, such as SIGPIPE, are not.

        Raises OSError when the command cannot be started, or when its exit status would be unknown.
        If the system has no free processes, descriptors or memory, it tries again for some seconds
        first.
        """
        require_exit_statuses()

        async def spawn() -> Child:
            return await self._spawn(gated(argv, str(stdin)), cwd, env, stdout, stderr, pass_fds)

        try:
            return await retry_while_scarce(spawn)
        except MemoryError as error:
            number = shortage_number(error)
            if number is None:
                raise
            raise OSError(number, os.strerror(number)) from error

    async def end(self, process: Child) -> None:
        """End the whole group: SIGTERM, grace period, SIGKILL. Shielded from cancellation."""
        if process.returncode is not None:
            # Most commands have ended, and nothing is left to wait for.
            self.kill(process)
            return
        with trio.CancelScope(shield=True):
            signal_group(process.pid, signal.SIGTERM)
            deadline = trio.current_time() + self._grace_s
            while process.returncode is None and trio.current_time() < deadline:
                if self._skips_grace:
                    break
                with trio.move_on_after(_POLL_S):
                    await process.wait()
            self.kill(process)
            await process.wait()

    async def ended_at(self, process: Child, *, deadline: float) -> float:
        """When the process, which has ended, did so, on trio's clock; now if nobody saw it.

        If that is after the deadline, waits for what the reaper saw: orc may have been away.
        """
        now = trio.current_time()
        for _ in range(_NOTE_LOOKS):
            if process.pid in self._read_ends() or now <= deadline:
                break
            await trio.sleep(_POLL_S)
        ended = self._ends.get(process.pid)
        return now if ended is None else min(now, now - (time.monotonic() - ended))

    def kill(self, process: Child) -> None:
        """Kill the remaining processes of the group, background processes included."""
        signal_group(process.pid, signal.SIGKILL)
        if process.pid in self._groups:
            self._groups.discard(process.pid)
            self._notify_reaper(f"-{process.pid}")
        self._ends.pop(process.pid, None)

    def skip_grace(self) -> None:
        """End all grace periods now, and have none from now on."""
        self._skips_grace = True

    def close(self) -> None:
        """Kill every remaining group and end the reaper."""
        for group in list(self._groups):
            signal_group(group, signal.SIGKILL)
        self._groups.clear()
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            self._reaper.wait()
            self._close_notes()
            self._reaper = None

    async def _spawn(
        self,
        argv: Sequence[str],
        cwd: Path | str,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
        pass_fds: Sequence[int],
    ) -> Child:
        if self._reaper is None:
            # Before the first child, so that each child has a reaper.
            self._start_reaper()
        gate_read, gate_write = os.pipe()
        try:
            process = Child(
                argv,
                stdin=gate_read,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=env,
                pass_fds=pass_fds,
            )
        except BaseException:
            os.close(gate_write)
            raise
        finally:
            os.close(gate_read)
        self._groups.add(process.pid)
        try:
            failpoints.hit("process.after_spawn")
            self._notify_reaper(f"+{process.pid}")
            os.write(gate_write, b"\n")
        except BrokenPipeError:
            pass  # The child was killed at the gate; its exit status says so.
        except BaseException:
            await self._kill_unstarted(process)
            raise
        finally:
            os.close(gate_write)
        return process

    async def _kill_unstarted(self, process: Child) -> None:
        """Kill a child whose start failed, and close its streams."""
        self._groups.discard(process.pid)
        signal_group(process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()
        process.close()

    def _notify_reaper(self, line: str) -> None:
        try:
            self._write(line)
        except BrokenPipeError:
            # The reaper was killed: start a new one, with all groups.
            self._start_reaper()

    def _read_ends(self) -> Mapping[int, float]:
        """The ends that the reaper has noted: times of the monotonic clock, by group."""
        if self._reaper is not None and self._reaper.stdout is not None:
            # Until nothing more lies ready.
            with suppress(OSError):
                while chunk := os.read(self._reaper.stdout.fileno(), _CHUNK):
                    *lines, self._unread = (self._unread + chunk).split(b"\n")
                    for line in lines:
                        group, _, ended = line.partition(b" ")
                        if int(group) in self._groups:
                            self._ends[int(group)] = float(ended)
        return self._ends

    def _close_notes(self) -> None:
        self._unread = b""
        if self._reaper is not None and self._reaper.stdout is not None:
            self._reaper.stdout.close()

    def _start_reaper(self) -> None:
        self._close_notes()
        lines = "".join(f"+{group}\n" for group in self._groups)
        self._reaper = start_reaper(_REAPER, lines.encode(), stdout=subprocess.PIPE)
        assert self._reaper.stdout is not None
        os.set_blocking(self._reaper.stdout.fileno(), False)

    def _write(self, line: str) -> None:
        assert self._reaper is not None
        assert self._reaper.stdin is not None
        os.write(self._reaper.stdin.fileno(), line.encode() + b"\n")
