"""Reads what processes print, as soon as it comes, without a task for each pipe.

One system task of each `trio.run` watches all pipes. What lies ready is read by its callback, or by
the task that has seen the end of the process, whichever comes first.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import trio

from orc.scheduler.effects.deadlines import Cut, cut_at

DRAIN_S = 1.0
"""How long background processes may keep a pipe open after the command has ended."""
_CHUNK = 64 * 1024
_READY_CHUNKS_MAX = 64

Keep = Callable[[bytes], Any]


class Pipe:
    """The end of a pipe that a process writes to. The caller closes the descriptor, after `leave`.

    `keep` gets each piece when it comes, also while no task waits for it. If `keep` raises, nothing
    more is read, and `failed` gets the exception.
    """

    def __init__(self, fd: int, keep: Keep, *, failed: Callable[[Exception], Any]) -> None:
        self.keep = keep
        self.is_ended = False
        """Whether every process that could write to the pipe has closed it."""
        self._fd = fd
        self._failed = failed
        self._ended: trio.Event | None = None
        self._watcher: _Watcher | None = _watcher()
        os.set_blocking(fd, False)
        self._watcher.add(fd, self.read_piece)

    def read_ready(self) -> None:
        """Read what lies ready. Bounded, because a process may print for ever."""
        for _ in range(_READY_CHUNKS_MAX):
            if not self.read_piece():
                return

    def read_piece(self) -> bool:
        """Read once; whether anything was there."""
        if self._watcher is None:
            return False
        try:
            piece = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return False
        if not piece:
            self.is_ended = True
            if self._ended is not None:
                self._ended.set()
            self.leave()
            return False
        try:
            self.keep(piece)
        except Exception as error:
            self.leave()
            self._failed(error)
            return False
        return True

    async def wait_ended(self) -> None:
        """Wait until every process that could write to the pipe has closed it."""
        if not self.is_ended:
            self._ended = self._ended or trio.Event()
            await self._ended.wait()

    def leave(self) -> None:
        """Stop reading."""
        if self._watcher is not None:
            self._watcher.remove(self._fd)
            self._watcher = None


class Reading:
    """A block in which pipes are read until `stop`; what a pipe's `keep` raises, the block raises.

    `on_stop` is called by `stop`, and must let the task in the block go on. A scope of trio for each
    command would cost more than its pipes.
    """

    def __init__(self, fds: Sequence[int], *keeps: Keep, on_stop: Callable[[], Any]) -> None:
        self.is_stopped = False
        self._fds = fds
        self._keeps = keeps
        self._pipes: list[Pipe] = []
        self._drain: Cut | None = None
        self._error: Exception | None = None
        self._on_stop = on_stop

    def __enter__(self) -> Self:
        for fd, keep in zip(self._fds, self._keeps, strict=True):
            self._pipes.append(Pipe(fd, keep, failed=self._fail))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()
        if self._error is not None and error is None:
            raise self._error

    def stop(self) -> None:
        """Read nothing more, and let the task in the block go on."""
        self.is_stopped = True
        self._leave()
        if self._drain is not None:
            self._drain.act()
        self._on_stop()

    async def is_over(self) -> bool:
        """Whether the pipes of a command that has ended are closed within `DRAIN_S`.

        If orc was away meanwhile, what lies ready in them is read first.
        """
        for pipe in self._pipes:
            pipe.read_ready()
        if self.is_stopped or all(pipe.is_ended for pipe in self._pipes):
            return True
        with cut_at(trio.current_time() + DRAIN_S) as self._drain:
            for pipe in self._pipes:
                await pipe.wait_ended()
        return self.is_stopped or not self._drain.is_over

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.stop()

    def _leave(self) -> None:
        for pipe in self._pipes:
            pipe.leave()


class _Watcher:
    """Calls back when a descriptor is ready to be read."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        trio.lowlevel.spawn_system_task(self._run)

    def add(self, fd: int, ready: Callable[[], Any]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, ready)

    def remove(self, fd: int) -> None:
        self._selector.unregister(fd)

    async def _run(self) -> None:
        try:
            while True:
                await trio.lowlevel.wait_readable(self._selector)
                for key, _ in self._selector.select(0):
                    key.data()
        finally:
            _WATCHER.set(None)
            self._selector.close()


_WATCHER: trio.lowlevel.RunVar[_Watcher | None] = trio.lowlevel.RunVar("orc pipes", None)


def _watcher() -> _Watcher:
    found = _WATCHER.get()
    if found is None:
        found = _Watcher()
        _WATCHER.set(found)
    return found
