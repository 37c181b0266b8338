"""A child process, at little cost for each: its start, its pipes and its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import trio

_FIRST_POLL_S, _LAST_POLL_S = 0.001, 0.02


class Child:
    """A child process that leads a session of its own.

    Other than `trio.Process`, it needs no thread to start: Python holds its global lock from `vfork`
    to `exec`, so that nothing else could go on meanwhile. Its pipes are descriptors: `Popen` would
    make a file object for each, which costs more than the pipe. Raises OSError.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        cwd: Path | str,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._pipes: list[int] = []
        theirs: list[int] = []
        try:
            out, err = self._end_of(stdout, theirs), self._end_of(stderr, theirs)
            self._popen = subprocess.Popen(
                argv,
                bufsize=0,
                stdin=stdin,
                stdout=out,
                stderr=err,
                cwd=cwd,
                env=env,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        except BaseException:
            self._close_pipes()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        self.pid = self._popen.pid
        self._exit_fd = -1
        self._is_left = False

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        code: int | None = self._popen.poll()
        return code

    async def wait(self) -> int | None:
        """Wait until the process ends; its exit status. For one task at a time.

        After `stop_waiting`, it returns None if the process runs on.
        """
        pause_s = _FIRST_POLL_S
        self._is_left = False
        while (code := self._popen.poll()) is None and not self._is_left:
            if self._has_exit_fd():
                with suppress(trio.ClosedResourceError):
                    await trio.lowlevel.wait_readable(self._exit_fd)
            else:
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LAST_POLL_S)
        self._close_exit_fd()
        return code

    def stop_waiting(self) -> None:
        """Let the task that waits for the end go on."""
        self._is_left = True
        if self._exit_fd >= 0:
            trio.lowlevel.notify_closing(self._exit_fd)

    def pipes(self) -> tuple[int, ...]:
        """The descriptors of stdout and stderr, as far as they are pipes."""
        return tuple(self._pipes)

    def close(self) -> None:
        """Close the pipes, which nobody reads any more."""
        self._close_pipes()
        self._close_exit_fd()

    def _end_of(self, stream: int, theirs: list[int]) -> int:
        """What the process gets as that stream: of a new pipe, the end to write to."""
        if stream != subprocess.PIPE:
            return stream
        ours, end = os.pipe()
        self._pipes.append(ours)
        theirs.append(end)
        return end

    def _close_pipes(self) -> None:
        while self._pipes:
            os.close(self._pipes.pop())

    def _close_exit_fd(self) -> None:
        if self._exit_fd >= 0:
            os.close(self._exit_fd)
            self._exit_fd = -1

    def _has_exit_fd(self) -> bool:
        """Whether a descriptor tells the end of the process."""
        if self._exit_fd < 0 and sys.platform == "linux":
            try:
                self._exit_fd = os.pidfd_open(self.pid)
            except OSError:
                # An old kernel, or no free descriptor.
                return False
        return self._exit_fd >= 0
