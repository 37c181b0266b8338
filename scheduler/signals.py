"""Polls the ledger for signals (rows of `signals`) that other processes sent to the running job."""

from __future__ import annotations

import trio

from orc.ledger import JobId, LedgerReader, Signal
from orc.ledger.digest import clean_text
from orc.ledger.secrets.masking import Mask
from orc.scheduler.core.assessment_requests import parse_note, parse_scores, parse_tags
from orc.scheduler.core.commands import CancelJob, DecideApproval
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.turn import Message

POLL_S = 0.25


async def poll_signals(
    ledger: LedgerReader,
    job_id: JobId,
    state: JobState,
    send: trio.MemorySendChannel[Message],
    mask: Mask,
) -> None:
    """Send each new signal of the job to the runner once, as a command. Never returns."""
    last = 0
    while True:
        await trio.sleep(POLL_S)
        seen = min(state.signal_seen, state.cancel_seen)
        for sent in ledger.read_signals(job_id, after=max(last, seen)):
            last = sent.id
            is_new = sent.id > (state.cancel_seen if sent.kind == "cancel" else state.signal_seen)
            message = _message_of(sent, mask)
            if is_new and message is not None:
                await send.send(message)


def unread_decisions(ledger: LedgerReader, job_id: JobId, state: JobState) -> list[DecideApproval]:
    """The decisions that other processes have sent and that the job does not know yet."""
    sent = ledger.read_signals(job_id, after=state.signal_seen)
    return [one for one in map(command_of, sent) if isinstance(one, DecideApproval)]


def command_of(sent: Signal) -> CancelJob | DecideApproval | None:
    """The command for a signal that changes the run; None for another one."""
    match sent.kind:
        case "cancel":
            return CancelJob(sent.id, _text(sent, "reason"))
        case "decide":
            return _decision(sent)
        case _:
            return None


def _message_of(sent: Signal, mask: Mask) -> Message | None:
    """The command for a signal, with its blobs; None if it asks for nothing of the job's owner."""
    match sent.kind:
        case "score":
            asked = parse_scores(sent.data, signal_id=sent.id, hide=mask.text)
        case "tag":
            asked = parse_tags(sent.data, signal_id=sent.id)
        case "note":
            asked = parse_note(sent.data, signal_id=sent.id, hide=mask.text)
        case _:
            command = command_of(sent)
            return None if command is None else Message(command)
    return None if asked is None else Message(asked.command, asked.blobs)


def _decision(sent: Signal) -> DecideApproval:
    """The command for a signal of kind `decide`."""
    return DecideApproval(
        step=str(sent.data.get("step", "")),
        option=str(sent.data.get("option", "")),
        comment=_text(sent, "comment"),
        by=_text(sent, "by"),
        signal_id=sent.id,
    )


def _text(sent: Signal, name: str) -> str | None:
    """A text of the signal. Any program may have sent it, with any value."""
    value = sent.data.get(name)
    return None if value is None else clean_text(str(value))
