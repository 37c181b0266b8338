"""Stopping a job before its end: stop signals, the reason, and the outcome of interrupted attempts.

A stop signal is a signal of the operating system (SIGINT, SIGTERM or SIGHUP) to the runner.
Signals that are rows in the ledger are left to `signals.py`.

A signal that this process ignores stays ignored: who starts orc with `nohup`, or in the background
of a script, has asked for that.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal

import trio
from msgspec import Struct

from orc.ledger.wording import duration_text
from orc.scheduler.core.commands import (
    CancelJob,
    Command,
    Failed,
    Interrupted,
    InterruptJob,
    Outcome,
    TimeOutJob,
)
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.turn import Message

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

StopCommand = CancelJob | InterruptJob | TimeOutJob


class Stop(Struct, frozen=True):
    """Why the runner stops the job before its end."""

    reason: Literal["signal", "cancel", "timeout"]
    command: Command

    @property
    def leaves_remote(self) -> bool:
        """Whether attempts on other machines go on, for the next owner of the job."""
        return self.reason == "signal"

    @classmethod
    def by(cls, command: StopCommand) -> Stop:
        """The stop that the command requests."""
        match command:
            case CancelJob():
                return cls("cancel", command)
            case InterruptJob():
                return cls("signal", command)
            case TimeOutJob():
                return cls("timeout", command)


def cut_short_outcome(
    state: JobState, step_id: str, stop: Stop | None, duration_s: float
) -> Outcome:
    """The outcome of an attempt that the runner cancelled.

    `stop` is None if the step's own total_timeout is over.
    """
    if stop is None:
        limit_s = state.graph.steps[step_id].total_timeout_s or 0.0
        message = f"the step's total_timeout of {duration_text(limit_s)} is over"
        return Failed("timeout", message, duration_s, final=True)
    if stop.reason == "timeout":
        limit_s = state.timeout_s or 0.0
        message = f"the job's timeout of {duration_text(limit_s)} is over"
        return Failed("timeout", message, duration_s, final=True, tolerable=False)
    return Interrupted(stop.reason, duration_s)


OpenStops = Callable[[], AbstractAsyncContextManager[AsyncIterator[InterruptJob]]]
"""Opens the source of the stop requests of one job. From then on, no request is missed."""


async def watch_stops(
    open_stops: OpenStops,
    send: trio.MemorySendChannel[Message],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Send each stop request to the runner. Never returns before the source ends.

    `task_status` reports when requests are being received.
    """
    async with open_stops() as received:
        task_status.started()
        async for command in received:
            await send.send(Message(command))


@asynccontextmanager
async def stops_by_signals() -> AsyncIterator[AsyncIterator[InterruptJob]]:
    """The stop signals of a process that runs one job."""
    async with open_stop_signals() as names:
        yield _SignalStops(names)


@asynccontextmanager
async def open_stop_signals() -> AsyncIterator[AsyncIterator[str]]:
    """The names of received stop signals.

    Outside the main thread, and where this process ignores all of them, the iterator only waits.
    """
    heeded = [number for number in _STOP_SIGNALS if number not in ignored_signals()]
    if not heeded or threading.current_thread() is not threading.main_thread():
        yield _SignalNames(None)
        return
    with trio.open_signal_receiver(*heeded) as received:
        yield _SignalNames(received)


def ignored_signals() -> frozenset[signal.Signals]:
    """The stop signals that this process ignores."""
    return frozenset(
        number for number in _STOP_SIGNALS if signal.getsignal(number) is signal.SIG_IGN
    )


# Classes, since trio warns of asynchronous generators that are dropped before their end.


class _SignalNames(AsyncIterator[str]):
    def __init__(self, numbers: AsyncIterator[int] | None) -> None:
        self._numbers = numbers

    async def __anext__(self) -> str:
        if self._numbers is None:
            await trio.sleep_forever()
        return signal.Signals(await anext(self._numbers)).name


class _SignalStops(AsyncIterator[InterruptJob]):
    def __init__(self, names: AsyncIterator[str]) -> None:
        self._names = names

    async def __anext__(self) -> InterruptJob:
        return InterruptJob(signal=await anext(self._names))
