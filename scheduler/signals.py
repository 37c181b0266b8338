"""Polls the ledger for signals (rows of `signals`) that other processes sent to the running job."""

from __future__ import annotations

import trio

from orc.ledger import JobId, LedgerReader, Signal
from orc.scheduler.core.commands import CancelJob, DecideApproval
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.turn import Message

POLL_S = 0.25


async def poll_signals(
    ledger: LedgerReader,
    job_id: JobId,
    state: JobState,
    send: trio.MemorySendChannel[Message],
) -> None:
    """Send each new signal of the job to the runner once, as a command. Never returns."""
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
    """The command for a signal of kind `decide`."""
    return DecideApproval(
        step=str(sent.data.get("step", "")),
        option=str(sent.data.get("option", "")),
        comment=sent.data.get("comment"),
        by=sent.data.get("by"),
        signal_id=sent.id,
    )
