"""Stopping a job before its end: stop signals, the reason, and the outcome of interrupted attempts.

A stop signal is a signal of the operating system (SIGINT, SIGTERM or SIGHUP) to the runner.
Signals that are rows in the ledger are left to `signals.py`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import trio

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


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the runner stops the job before its end."""

    reason: Literal["signal", "cancel", "timeout"]
    command: Command

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


async def watch_stop_signals(
    send: trio.MemorySendChannel[Message],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Send each stop signal to the runner as a command. Never returns.

    `task_status` reports when signals are being received.
    """
    async with _open_stop_signals() as received:
        task_status.started()
        async for number in received:
            await send.send(Message(InterruptJob(signal=signal.Signals(number).name)))


@asynccontextmanager
async def _open_stop_signals() -> AsyncIterator[AsyncIterator[int]]:
    """The numbers of received stop signals. Outside the main thread, the iterator only waits."""
    if threading.current_thread() is not threading.main_thread():
        yield _never()
        return
    with trio.open_signal_receiver(*_STOP_SIGNALS) as received:
        yield received


async def _never() -> AsyncIterator[int]:
    await trio.sleep_forever()
    yield 0
