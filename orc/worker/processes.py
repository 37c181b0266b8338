"""Starts a command behind a gate, follows its output, and ends its process group.

A command leads a session of its own. Before it runs, it waits at the gate until the reaper knows
its group; if the agent is killed before that, the gate reads end of file and the shell exits.
"""

from __future__ import annotations

import errno
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orc.worker.clocks import lease_clock
from orc.worker.exit_statuses import require_exit_statuses
from orc.worker.guarding import gated, signal_group
from orc.worker.lease import Leases, Watch

DRAIN_S = 1.0
"""How long background processes may keep the output open after the command has ended."""
CHECK_S = 0.25
"""How often the lease is looked at."""
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_SCARCE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_POLL_S = 0.02
_CHUNK = 64 * 1024
_DRAINED_CHUNKS_MAX = 64

Reason = Literal["exited", "timeout", "cancelled", "stopped", "lost"]


def start(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    leases: Leases,
    watch: Watch,
    merged: bool = False,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command with its output on pipes; `merged` puts stderr into stdout.

    Raises LeaseOver, and OSError when the system cannot start it, or when its exit status would be
    unknown. A system without free processes, descriptors or memory is asked again for some seconds.
    """
    require_exit_statuses()
    for pause_s in _PAUSES_S:
        try:
            return _start(argv, cwd, env, leases, watch, merged, pass_fds)
        except OSError as error:
            if error.errno not in _SCARCE:
                raise
        time.sleep(pause_s)
    return _start(argv, cwd, env, leases, watch, merged, pass_fds)


def _start(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    leases: Leases,
    watch: Watch,
    merged: bool,
    pass_fds: Sequence[int],
) -> subprocess.Popen[bytes]:
    gate_read, gate_write = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                gated(argv),
                stdin=gate_read,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                cwd=cwd,
                env=dict(env),
                start_new_session=True,
                pass_fds=pass_fds,
                bufsize=0,
            )
        finally:
            os.close(gate_read)
        try:
            leases.guard(watch, process.pid)
            with suppress(BrokenPipeError):
                # A child that was killed at the gate says so by its exit status.
                os.write(gate_write, b"\n")
        except BaseException:
            signal_group(process.pid, signal.SIGKILL)
            close(process)
            raise
    finally:
        os.close(gate_write)
    return process


def close(process: subprocess.Popen[bytes]) -> None:
    """Take the exit status of a process that was killed, and close its pipes."""
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@dataclass(slots=True)
class Following:
    """What to do while a command runs.

    `sources` receive what is read from a descriptor. `request` is written to its descriptor, which
    is then closed. `wake_fd` becomes readable when `stop_grace_s` may have another answer: the
    grace of a cancellation, None without one. `must_stop` ends the command; `is_done` means that it
    has nothing left to do. `tick` does what is due, and says when it wants to be called again.
    """

    process: subprocess.Popen[bytes]
    leases: Leases
    watch: Watch
    sources: Mapping[int, Callable[[bytes], None]]
    wake_fd: int
    stop_grace_s: Callable[[], float | None]
    timeout_s: float | None
    grace_s: float
    request: tuple[int, bytes] | None = None
    must_stop: Callable[[], bool] = lambda: False
    is_done: Callable[[], bool] = lambda: False
    tick: Callable[[], float | None] = lambda: None
    reason: Reason = "exited"
    has_left_children: bool = False
    _open: set[int] = field(default_factory=set)
    _exit_fd: int | None = None
    _kill_at: float | None = None
    _drain_until: float | None = None
    _is_ended: bool = False

    def run(self) -> Reason:
        """Follow the command to its end and kill what remains of its group; why it ended."""
        started = lease_clock()
        selector = selectors.DefaultSelector()
        for fd in self.sources:
            os.set_blocking(fd, False)
            selector.register(fd, selectors.EVENT_READ)
            self._open.add(fd)
        selector.register(self.wake_fd, selectors.EVENT_READ)
        if self.request is not None:
            os.set_blocking(self.request[0], False)
            selector.register(self.request[0], selectors.EVENT_WRITE)
        self._exit_fd = _exit_descriptor(self.process.pid)
        if self._exit_fd is not None:
            selector.register(self._exit_fd, selectors.EVENT_READ)
        try:
            while self._goes_on(started):
                for key, _ in selector.select(self._wait_s(started)):
                    self._serve(key.fd, selector)
        finally:
            # The leader is not waited for yet, so that no other group can have its number.
            signal_group(self.process.pid, signal.SIGKILL)
            for fd in list(self._open):
                self._drain(fd)
            selector.close()
            if self.request is not None:
                os.close(self.request[0])
            if self._exit_fd is not None:
                os.close(self._exit_fd)
            close(self.process)
        return self.reason

    def _goes_on(self, started: float) -> bool:
        if self.leases.is_over(self.watch):
            self.reason = "lost"
            return False
        now = lease_clock()
        if self._exit_fd is None and self.process.poll() is not None:
            # Before its time is judged: this process may have been suspended since it ended.
            self._is_ended = True
        grace_s = self.stop_grace_s()
        if grace_s is not None:
            self._end("cancelled", now, grace_s)
        elif self.must_stop():
            self._end("stopped", now, self.grace_s)
        elif self.timeout_s is not None and now >= started + self.timeout_s and not self._is_ended:
            self._end("timeout", now, self.grace_s)
        if self._kill_at is not None and now >= self._kill_at:
            signal_group(self.process.pid, signal.SIGKILL)
        if not self._is_ended and not self.is_done():
            return True
        if self._drain_until is None:
            self._drain_until = now + DRAIN_S
        if self._is_ended and not self._open:
            return False
        if self.reason != "exited" and self._is_ended:
            return False
        if now < self._drain_until:
            return True
        self.has_left_children = self._is_ended and self.reason == "exited"
        return False

    def _end(self, reason: Reason, now: float, grace_s: float) -> None:
        """Send SIGTERM once; a later call may shorten the grace."""
        if self.reason == "exited" and not self._is_ended:
            self.reason = reason
            signal_group(self.process.pid, signal.SIGTERM)
        if self.reason == reason:
            kill_at = now + grace_s
            self._kill_at = kill_at if self._kill_at is None else min(self._kill_at, kill_at)

    def _wait_s(self, started: float) -> float:
        now = lease_clock()
        moments = [now + (CHECK_S if self._exit_fd is not None else _POLL_S)]
        if self.timeout_s is not None and self._kill_at is None:
            moments.append(started + self.timeout_s)
        if self._kill_at is not None and self._kill_at > now:
            moments.append(self._kill_at)
        if self._drain_until is not None:
            moments.append(self._drain_until)
        due_s = self.tick()
        if due_s is not None:
            moments.append(now + due_s)
        return max(0.0, min(moments) - now)

    def _serve(self, fd: int, selector: selectors.BaseSelector) -> None:
        if fd == self._exit_fd:
            self._is_ended = True
            selector.unregister(fd)
        elif fd == self.wake_fd:
            with suppress(BlockingIOError):
                os.read(fd, _CHUNK)
        elif self.request is not None and fd == self.request[0]:
            self._send(selector)
        elif fd in self._open:
            self._read(fd, selector)

    def _read(self, fd: int, selector: selectors.BaseSelector) -> None:
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        if chunk:
            self.sources[fd](chunk)
        else:
            selector.unregister(fd)
            self._open.discard(fd)

    def _send(self, selector: selectors.BaseSelector) -> None:
        assert self.request is not None
        fd, content = self.request
        try:
            content = content[os.write(fd, content) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            content = b""
        self.request = (fd, content)
        if not content:
            selector.unregister(fd)
            os.close(fd)
            self.request = None

    def _drain(self, fd: int) -> None:
        # Bounded, because a process that left the group may print for ever.
        for _ in range(_DRAINED_CHUNKS_MAX):
            try:
                chunk = os.read(fd, _CHUNK)
            except OSError:
                return
            if not chunk:
                return
            self.sources[fd](chunk)


def _exit_descriptor(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None where there is no such thing."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
