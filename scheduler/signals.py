"""Wishes on their way to the loop: signals of the system, those in the ledger, and those of time."""

from __future__ import annotations

import signal

import trio

from orc.ledger import JobId, LedgerReader, Signal
from orc.scheduler.core.commands import CancelJob, DecideApproval, InterruptJob
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.stop_signals import open_stop_signals
from orc.scheduler.turn import Message

POLL_S = 0.25


async def watch_signals(
    send: trio.MemorySendChannel[Message],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Signals that ask for the end, from the moment at which this says that it has begun."""
    async with open_stop_signals() as received:
        task_status.started()
        async for number in received:
            await send.send(Message(InterruptJob(signal=signal.Signals(number).name)))


async def poll_wishes(
    ledger: LedgerReader,
    job_id: JobId,
    state: JobState,
    send: trio.MemorySendChannel[Message],
) -> None:
    """Wishes that other processes left in the ledger, each once."""
    last = 0
    while True:
        await trio.sleep(POLL_S)
        seen = min(state.signal_seen, state.cancel_seen)
        for wish in ledger.read_signals(job_id, after=max(last, seen)):
            last = wish.id
            if wish.kind == "cancel" and wish.id > state.cancel_seen:
                await send.send(Message(CancelJob(wish.id, wish.data.get("reason"))))
            elif wish.kind == "decide" and wish.id > state.signal_seen:
                await send.send(Message(_decision(wish)))


def _decision(wish: Signal) -> DecideApproval:
    """The command of a decision that another process left in the ledger."""
    return DecideApproval(
        step=str(wish.data.get("step", "")),
        option=str(wish.data.get("option", "")),
        comment=wish.data.get("comment"),
        by=wish.data.get("by"),
        signal_id=wish.id,
    )
