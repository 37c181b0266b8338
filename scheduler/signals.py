"""Signals on their way to the loop: rows of `signals`, and stop signals of the system."""

from __future__ import annotations

import signal

import trio

from orc.ledger import JobId, LedgerReader, Signal
from orc.scheduler.core.commands import CancelJob, DecideApproval, InterruptJob
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.stop_signals import open_stop_signals
from orc.scheduler.turn import Message

POLL_S = 0.25


async def watch_stop_signals(
    send: trio.MemorySendChannel[Message],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Send the loop each stop signal, from the moment at which this has started."""
    async with open_stop_signals() as received:
        task_status.started()
        async for number in received:
            await send.send(Message(InterruptJob(signal=signal.Signals(number).name)))


async def poll_signals(
    ledger: LedgerReader,
    job_id: JobId,
    state: JobState,
    send: trio.MemorySendChannel[Message],
) -> None:
    """Send the loop the signals that other processes left in the ledger, each once."""
    last = 0
    while True:
        await trio.sleep(POLL_S)
        seen = min(state.signal_seen, state.cancel_seen)
        for sent in ledger.read_signals(job_id, after=max(last, seen)):
            last = sent.id
            if sent.kind == "cancel" and sent.id > state.cancel_seen:
                await send.send(Message(CancelJob(sent.id, sent.data.get("reason"))))
            elif sent.kind == "decide" and sent.id > state.signal_seen:
                await send.send(Message(_decision(sent)))


def _decision(sent: Signal) -> DecideApproval:
    """The command that a signal of kind `decide` stands for."""
    return DecideApproval(
        step=str(sent.data.get("step", "")),
        option=str(sent.data.get("option", "")),
        comment=sent.data.get("comment"),
        by=sent.data.get("by"),
        signal_id=sent.id,
    )
