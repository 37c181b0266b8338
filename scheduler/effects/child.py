"""A child process, at little cost for each: its start, its pipes and its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

_FIRST_POLL_S, _LAST_POLL_S = 0.001, 0.02


class Child:
    """A child process that leads a session of its own.

    Other than `trio.Process`, it needs no thread to start: Python holds its global lock from `vfork`
    to `exec`, so that nothing else could go on meanwhile. Raises OSError.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        cwd: Path,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._popen = subprocess.Popen(
            argv,
            bufsize=0,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=env,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self.pid = self._popen.pid
        self._exit_fd = -1

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        code: int | None = self._popen.poll()
        return code

    async def wait(self) -> int:
        """Wait until the process ends; its exit status. For one task at a time."""
        pause_s = _FIRST_POLL_S
        while (code := self._popen.poll()) is None:
            if self._has_exit_fd():
                await trio.lowlevel.wait_readable(self._exit_fd)
            else:
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LAST_POLL_S)
        self._close_exit_fd()
        return code

    def pipes(self) -> tuple[int, ...]:
        """The descriptors of stdout and stderr, as far as they are pipes."""
        files = (self._popen.stdout, self._popen.stderr)
        return tuple(file.fileno() for file in files if file is not None)

    def close(self) -> None:
        """Close the pipes, which nobody reads any more."""
        for file in (self._popen.stdout, self._popen.stderr):
            if file is not None:
                file.close()
        self._close_exit_fd()

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
